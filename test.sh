#!/bin/bash
# Runs the tests: the fast ones, then those on real machines. Needs root for the latter (network namespaces, mounts, BMC ports).
# Usage: ./test.sh [fast|system|long|wide|ci|everything]
#   fast        without root, machines or network
#   system      real disks and machines, the main path
#   long        real machines, what takes them longest: faults at every macro step, every way to broadcast, a batch scheduler
#   wide        real machines, every kind of image, layout and way to boot: about as long again
#   ci          fast, system and long
#   everything  all of them
# Without a word: fast and system.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 1
what=${1:-all}
case $what in all | fast | system | long | wide | ci | everything) ;; *) echo "test.sh: '$what' is not known; fast, system, long, wide, ci, everything, or nothing for fast and system" >&2; exit 2 ;; esac

. packaging/needs.sh
if [ "$what" = fast ]; then needs images; else needs lab images tests; fi

export KA_TEST_WORK=${KA_TEST_WORK:-$here/artifacts/test-work}
mkdir -p "$KA_TEST_WORK"
logs=$here/artifacts/test-logs
mkdir -p "$logs"

# The images take as long to build as the programs; both go on at once.
images=''
if [ "$what" != fast ]; then
    packaging/build-images.sh "$KA_TEST_WORK" tiny debian12 >"$logs/images.log" 2>&1 &
    images=$!
fi

locked=''
[ "${CI:-}" = true ] && locked=-p:RestoreLockedMode=true
dotnet build Ka.slnx -v q -nologo -clp:ErrorsOnly $locked || exit 1
touch artifacts/bin/.built

passed=0 failed=0 skipped=0 ran=()

# Runs one test program and adds up what it says; a program that dies without a summary counts as failed.
run() {
    local name=$1 log=$logs/$1.log
    shift
    ran+=("$log")
    echo "== $name"
    "$@" -xml "$logs/$name.xml" 2>&1 | tee "$log" | grep -v -E 'Discover|Starting:|Finished:' || true
    local summary
    summary=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E 'Total: [0-9]+' | tail -1)
    if [ -z "$summary" ]; then
        echo "$name ended without a summary"
        failed=$((failed + 1))
        return
    fi
    local total errors bad left
    total=$(sed -n 's/.*Total: \([0-9]*\).*/\1/p' <<<"$summary")
    errors=$(sed -n 's/.*Errors: \([0-9]*\).*/\1/p' <<<"$summary")
    bad=$(sed -n 's/.*Failed: \([0-9]*\).*/\1/p' <<<"$summary")
    left=$(sed -n 's/.*Skipped: \([0-9]*\).*/\1/p' <<<"$summary")
    failed=$((failed + bad + errors))
    skipped=$((skipped + left))
    passed=$((passed + total - bad - left))
    # Every skip says why.
    sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -A1 -F '[SKIP]' || true
}

case $what in all | fast | ci | everything)
    # What hangs has failed; which test it is, is said before.
    run fast timeout -k 10 900 artifacts/bin/Ka.Tests/debug/Ka.Tests -noLogo -noColor -longRunning 120 ;;
esac
if [ "$what" != fast ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "the tests on real machines need root: sudo ./test.sh"
        exit 1
    fi
    packaging/build-images.sh "$KA_TEST_WORK" minimal || exit 1
    wait "$images" || { cat "$logs/images.log"; exit 1; }
    # Loop devices and mounts of the tests stay in a mount namespace of their own.
    real="unshare --mount --propagation private artifacts/bin/Ka.SystemTests/debug/Ka.SystemTests -noLogo -noColor -longRunning 900"
    # shellcheck disable=SC2086 # fixed words
    case $what in all | system | ci | everything) run system $real -trait- scope=long -trait- scope=wide ;; esac
    # shellcheck disable=SC2086
    case $what in long | ci | everything) run long $real -trait scope=long ;; esac
    # shellcheck disable=SC2086
    case $what in wide | everything) run wide $real -trait scope=wide ;; esac
fi

# Once more where nobody has to look for it.
if [ "$failed" != 0 ]; then
    echo
    echo "== what failed"
    sed 's/\x1b\[[0-9;]*m//g' "${ran[@]}" | grep -A 12 -E '\[FAIL\]|\[Long Running Test\]' | head -200
fi

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

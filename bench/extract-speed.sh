#!/bin/bash
# How long a node takes to put an image on its disk: by Ka's own code (unpacking enclosed, synced, checked by a sample) and by hand
# (zstd -dc | tar -x, synced), in turn on the same loop device. Prints the seconds of each run and the ratio of the medians. Needs root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

help() {
    cat <<'HELP'
Usage: extract-speed.sh --image FILE [options]
  --image FILE         a root file system, tar.zst
  --rounds N           runs of each kind (default 5)
  --size SIZE          of the file system (default 8G)
  --work DIR           where the disk and the image's copy lie (default /var/tmp/ka-extract)
  --runner PROGRAM     the system tests' program (default: the debug build)
HELP
}

die() { echo "extract-speed.sh: $*" >&2; exit 1; }
image='' rounds=5 size=8G work=/var/tmp/ka-extract
runner=$here/../artifacts/bin/Ka.SystemTests/debug/Ka.SystemTests
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --image | --rounds | --size | --work | --runner) [ $# -ge 2 ] || die "$1 needs a value" ;;
        *) die "unknown option '$1'; try --help" ;;
    esac
    case $1 in
        --image) image=$(realpath "$2") ;;
        --rounds) rounds=$2 ;;
        --size) size=$2 ;;
        --work) work=$2 ;;
        --runner) runner=$(realpath "$2") ;;
    esac
    shift 2
done
[ -f "$image" ] || die "there is no image '$image'"
[ -x "$runner" ] || die "there is no program '$runner'; build tests/Ka.SystemTests"
[ "$(id -u)" = 0 ] || die "mounting needs root"

mkdir -p "$work/dest"
truncate -s "$size" "$work/disk"
loop=$(losetup --find --show "$work/disk")
trap 'umount "$work/dest" 2>/dev/null; losetup --detach "$loop"; rm -f "$work/disk"' EXIT

fresh() {
    mountpoint -q "$work/dest" && umount "$work/dest"
    mkfs.ext4 -q -F "$loop"
    mount "$loop" "$work/dest"
    cat "$image" >/dev/null # both read it from memory
    sync
}
by_hand() {
    fresh
    local start=$EPOCHREALTIME
    zstd -dc "$image" | tar -x -p --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -C "$work/dest" -f -
    sync -f "$work/dest"
    hand+=("$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')")
}
by_ka() {
    fresh
    ka+=("$(KA_EXTRACT_IMAGE=$image KA_EXTRACT_TARGET=$work/dest KA_EXTRACT_RESULT=$work/result \
        "$runner" -class Ka.SystemTests.Agent.ExtractSpeed >"$work/log" 2>&1 && cat "$work/result" || { tail -n 20 "$work/log" >&2; die "the run failed"; })")
}
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

hand=() ka=()
by_hand; hand=()
for _ in $(seq "$rounds"); do by_hand; by_ka; done
unpacked=$(zstd -dc "$image" | wc -c)
echo "by hand: ${hand[*]} s"
echo "Ka:      ${ka[*]} s   (unpacked, synced and checked)"
awk -v h="$(median "${hand[@]}")" -v k="$(median "${ka[@]%% *}")" -v b="$unpacked" \
    'BEGIN { g = b / 1e9; printf "median per GB unpacked: by hand %.2f s, Ka %.2f s, ratio %.3f\n", h / g, k / g, k / h }'

#!/bin/bash
# What extraction takes on a node: the same machine in its minimal environment puts an image on its disk in turn by hand
# (wget | zstd -dc | tar -x, synced) and by Ka (received, proved while it passes, unpacked enclosed, synced, checked by a sample).
# Usage: bench/extract-on-node.sh [--rounds N] [--firmware bios|uefi] [--image tiny|debian12] [--cpus N] [--memory MIB]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
rounds=3 firmware=bios image=debian12 cpus=2 memory=1024
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift 2 ;;
        --firmware) firmware=$2; shift 2 ;;
        --image) image=$2; shift 2 ;;
        --cpus) cpus=$2; shift 2 ;;
        --memory) memory=$2; shift 2 ;;
        *) echo "extract-on-node.sh: '$1' is not understood" >&2; exit 2 ;;
    esac
done
. packaging/needs.sh
needs lab images tests

work=$here/artifacts/bench-work
mkdir -p "$work"
dotnet build Apps.slnf -c Release -v q -nologo -clp:ErrorsOnly
packaging/build-images.sh "$work" minimal "$image"
bin=$here/artifacts/bin
lab=$bin/Ka.Lab/release/ka-lab
ka=$bin/Ka.Cli/release/ka
[ -f "$work/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/id"
export KA_LAB=kaextract

"$lab" down --name kaextract --purge >/dev/null 2>&1 || true
"$lab" up 1 --name kaextract --state "$work/lab-extract" --firmware "$firmware" --cpus "$cpus" --memory "$memory" --serve --minimal "$work/minimal" --kad "$bin/Ka.Server/release/kad" >/dev/null
"$lab" exec --name kaextract -- python3 -m http.server --bind 10.77.0.1 --directory "$work/$image" 8490 >/dev/null 2>&1 &
web=$!
trap 'kill "$web" || true; "$lab" down --name kaextract --purge >/dev/null' EXIT
"$ka" env apply -f "$work/$image/$image.yaml" >/dev/null

on() { "$lab" ssh node1 --name kaextract -i "$work/id" "$@"; }

# By hand the file system is made anew, too, and only what comes after is counted; /proc/uptime is the node's own clock.
by_hand() {
    on "set -e
        if grep -q /mnt/dest /proc/mounts; then umount -R /mnt/dest; fi
        mkfs.ext4 -q -F /dev/vda3; mkdir -p /mnt/hand; mount /dev/vda3 /mnt/hand; sync
        read a rest </proc/uptime
        wget -q -O - http://10.77.0.1:8490/$image.tar.zst | zstd -dc | tar -x -p --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -C /mnt/hand -f -
        sync -f /mnt/hand
        read b rest </proc/uptime; umount /mnt/hand; echo \$a \$b" | awk '{ printf "%.2f", $2 - $1 }'
}

# The steps send_image and verify as the server's journal has them.
by_ka() {
    local id
    id=$("$ka" deploy "$image" -w node1 -k "$work/id.pub" --no-wait --breakpoint BroadcastEnv:identity "$@")
    "$ka" ops watch "$id" -q >/dev/null
    curl -s --max-time 5 --unix-socket /run/ka/lab/kaextract/kad.sock -H "Authorization: Bearer $(cat "$work"/lab-extract/kad/token)" \
        "http://ka/api/v1/operations/$id/events" | python3 -c '
import datetime, json, re, sys
last = taken = None
for line in sys.stdin:
    if line.startswith("data:"):
        event = json.loads(line[5:])
        second, fraction = re.match(r"([^.+Z]*)(\.\d+)?", event["at"]).groups()
        at = datetime.datetime.fromisoformat(second).timestamp() + float(fraction or 0)
        if event["kind"] == "step_ok":
            if event["step"] in ("send_image", "verify"):
                taken = (taken or 0) + at - last
            last = at
print(f"{taken:.2f}")'
}
median() { printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

by_ka >/dev/null
hand=() ka_took=()
for _ in $(seq "$rounds"); do
    hand+=("$(by_hand)")
    ka_took+=("$(by_ka --strategy minimal-env=trusted)")
done
unpacked=$(zstd -dc "$work/$image/$image.tar.zst" | wc -c)
echo "by hand: ${hand[*]} s"
echo "Ka:      ${ka_took[*]} s   (with the sample check)"
awk -v h="$(median "${hand[@]}")" -v k="$(median "${ka_took[@]}")" -v b="$unpacked" \
    'BEGIN { g = b / 1e9; printf "median per GB unpacked: by hand %.1f s, Ka %.1f s, ratio %.3f\n", h / g, k / g, k / h }'

#!/bin/bash
# Time from the command to ssh on all machines: Ka against the same steps by hand, in turn, on the same kind of lab.
# Usage: bench/time-to-ssh.sh [--runs N] [--nodes N] [--firmware bios|uefi|mixed] [--final kexec|reboot]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
runs=3 nodes=4 firmware=bios final=kexec
while [ $# -gt 0 ]; do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        --nodes) nodes=$2; shift 2 ;;
        --firmware) firmware=$2; shift 2 ;;
        --final) final=$2; shift 2 ;;
        *) echo "time-to-ssh.sh: '$1' is not understood" >&2; exit 2 ;;
    esac
done
. packaging/needs.sh
needs lab images
command -v dnsmasq >/dev/null || { echo "installing from Debian: dnsmasq-base (the peer's DHCP)" >&2; apt-get install -y -q --no-install-recommends dnsmasq-base >/dev/null; }

work=$here/artifacts/bench-work
mkdir -p "$work"
dotnet build Apps.slnf -c Release -v q -nologo -clp:ErrorsOnly
packaging/build-images.sh "$work" minimal tiny
bin=$here/artifacts/bin
lab=$bin/Ka.Lab/release/ka-lab
ka=$bin/Ka.Cli/release/ka
[ -f "$work/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/id"
export KA_LAB=kabench

by_ka() {
    "$lab" down --name kabench --purge >/dev/null 2>&1 || true
    "$lab" up "$nodes" --name kabench --state "$work/lab" --firmware "$firmware" --serve --minimal "$work/minimal" --kad "$bin/Ka.Server/release/kad" >/dev/null
    if [ "$final" = reboot ]; then
        echo "--final reboot is measured by hand only" >&2
    fi
    "$ka" env apply -f "$work/tiny/tiny.yaml" >/dev/null
    local start=$EPOCHREALTIME
    "$ka" deploy tiny -w "node[1-$nodes]" -k "$work/id.pub" --yes -q >/dev/null
    for i in $(seq "$nodes"); do
        [ "$("$lab" ssh "node$i" --name kabench -i "$work/id" hostname)" = "node$i" ]
    done
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
    sed -n "s/.*own share was \([0-9]*\) ms.*/ \1/p" "$work/lab/kad.log" | tail -1
    "$lab" down --name kabench --purge >/dev/null
}

by_hand() { bench/by-hand.sh --image "$work/tiny" --nodes "$nodes" --firmware "$firmware" --final "$final" --ka-lab "$lab" --work "$work/by-hand" | tee -a "$work/by-hand.log" | awk '/ s  / { t = $1 } END { print t }'; }

echo "run  by hand (s)  ka (s)  engine's own share (ms)"
for run in $(seq "$runs"); do
    hand=$(by_hand)
    read -r own share <<<"$(by_ka)"
    echo "$run    $hand         $own    $share"
done

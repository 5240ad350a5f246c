#!/bin/bash
# Deploys a small operating system on virtual machines, for real: IPMI, DHCP, iPXE, disks, ssh. Nothing outside the lab is touched.
# Usage: ./demo.sh [--nodes N] [--keep]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"

nodes=4
keep=no
while [ $# -gt 0 ]; do
    case $1 in
        --nodes) nodes=${2:?--nodes wants a number}; shift 2 ;;
        --keep) keep=yes; shift ;;
        -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
        *) echo "demo.sh: '$1' is not understood; try --help" >&2; exit 2 ;;
    esac
done
case $nodes in '' | *[!0-9]* | 0 | ????*) echo "demo.sh: --nodes wants a number from 1 to 999" >&2; exit 2 ;; esac
if [ "$(id -u)" != 0 ]; then
    echo "demo.sh: network namespaces need root: sudo ./demo.sh" >&2
    exit 1
fi

started=$(date +%s)
step() { printf '\n== %s  (%s s)\n' "$1" "$(($(date +%s) - started))"; }

. packaging/needs.sh
step "What is missing"
needs lab images

step "Build: Ka, the minimal environment, and a tiny operating system"
work=${XDG_STATE_HOME:-$HOME/.local/state}/ka/demo
mkdir -p "$work"
packaging/build-images.sh "$work" tiny &
tiny=$!
dotnet build Apps.slnf -v q -nologo -clp:ErrorsOnly
touch artifacts/bin/.built
packaging/build-images.sh "$work" minimal
wait "$tiny"

step "A lab of $nodes machines: half BIOS, half UEFI; each with a BMC"
finish() {
    status=$?
    if [ "$keep" = yes ] && [ "$status" = 0 ]; then
        echo "The lab stays up. End it with: ./ka lab down --name demo"
    else
        ./ka lab down --name demo --purge >/dev/null 2>&1 || true
    fi
    exit "$status"
}
trap finish EXIT
./ka lab down --name demo --purge >/dev/null 2>&1 || true
./ka lab up "$nodes" --name demo --serve --minimal "$work/minimal" --kad "$here/artifacts/bin/Ka.Server/debug/kad"
export KA_LAB=demo

step "Register the environment 'tiny'"
./ka env apply -f "$work/tiny/tiny.yaml"

set_of_nodes="node[1-$nodes]"
[ "$nodes" = 1 ] && set_of_nodes=node1
[ -f "$work/id" ] || ssh-keygen -q -t ed25519 -N '' -C ka-demo -f "$work/id"
step "Deploy it on $set_of_nodes"
./ka deploy tiny -w "$set_of_nodes" -k "$work/id.pub" --yes
deployed=$(date +%s)

step "Log in to each"
for i in $(seq "$nodes"); do
    # What must be true: the machine's own name, and a root file system on its disk.
    seen=$(./ka lab ssh "node$i" --name demo -i "$work/id" 'echo "$(hostname): $(cat /etc/os-release | sed -n "s/^NAME=//p"), root on $(sed -n "s,^\(/dev/[^ ]*\) / \([^ ]*\) .*,\1 (\2),p" /proc/mounts | head -1)"')
    echo "  $seen"
    case $seen in "node$i: "*"root on /dev/"*) ;; *) echo "demo.sh: node$i is not what was deployed" >&2; exit 1 ;; esac
done

step "Done"
echo "$nodes machine(s) deployed and logged in to; $((deployed - started)) s from the start of this script to the last one running."
cat <<GO

How to go on (with ./demo.sh --keep):
  ./ka nodes ls --lab demo                              what each machine is
  ./ka deploy tiny -w node1 --lab demo                  do it again and watch
  ./ka lab break node2 --how cable --name demo          pull a cable first, and see how a failure is told
  ./ka lab console node1 --name demo                    its serial console; Ctrl-] leaves
  ./ka lab down --name demo                             end it
GO

#!/bin/bash
# Lists the 5,000 nodes of a server over its Unix socket, RUNS times: milliseconds and bytes of each answer, as curl sees them.
# usage: bench/list-nodes.sh [--nodes N] [--runs N] [--kad PATH] [--wait SECONDS]
# The first request comes SECONDS after the socket is there; default 0.
set -euo pipefail
nodes=5000 runs=10 kad= wait=0
while [ $# -gt 0 ]; do
    case $1 in
        --nodes) nodes=$2; shift 2 ;;
        --runs) runs=$2; shift 2 ;;
        --kad) kad=$2; shift 2 ;;
        --wait) wait=$2; shift 2 ;;
        *) echo "usage: $0 [--nodes N] [--runs N] [--kad PATH] [--wait SECONDS]" >&2; exit 2 ;;
    esac
done
root=$(cd "$(dirname "$0")/.." && pwd)
kad=${kad:-$root/artifacts/publish/Ka.Server/release_linux-x64/kad}
[ -x "$kad" ] || { echo "publish it first: dotnet publish src/Ka.Server -c Release -r linux-x64 --self-contained" >&2; exit 2; }
dir=$(mktemp -d)
trap '[ -z "${pid:-}" ] || { kill "$pid" && wait "$pid" || true; }; rm -rf "$dir"' EXIT
mkdir "$dir/minimal"; : > "$dir/minimal/vmlinuz"; : > "$dir/minimal/initramfs.zst"
cat > "$dir/ka.yaml" <<EOF
server:
  state: state
  users: ["unix:$dir/kad.sock"]
  nodes: {address: 127.0.0.9, http: 18480, agent: 18481, chain: 18482, torrent: 18483}
boot: {dhcp: off, tftp: false, network: 10.0.0.0/16}
clusters: [graphene.yaml]
EOF
{
    echo "cluster: graphene"
    echo "defaults: {rack: rack-1, power: {kind: command, commands: {status: [/bin/true], on: [/bin/true], off: [/bin/true]}}}"
    echo "nodes:"
    for ((i = 1; i <= nodes; i++)); do
        printf '  graphene-%d: {mac: "52:54:00:00:%02x:%02x", address: 10.0.%d.%d}\n' "$i" $((i / 256)) $((i % 256)) $((1 + i / 250)) $((1 + i % 250))
    done
} > "$dir/graphene.yaml"
"$kad" run --config "$dir/ka.yaml" > "$dir/log" 2>&1 &
pid=$!
for ((i = 0; i < 300; i++)); do [ -S "$dir/kad.sock" ] && break; kill -0 "$pid" || { cat "$dir/log" >&2; exit 1; }; sleep 0.1; done
sleep "$wait"
for query in '' '?fields=name,state,environment,operation,fault'; do
    echo "nodes$query"
    for ((i = 0; i < runs; i++)); do
        curl -s --unix-socket "$dir/kad.sock" -H 'Accept-Encoding: gzip' -o /dev/null -w '%{time_total} s  %{size_download} bytes\n' "http://ka/api/v1/nodes$query"
    done
done

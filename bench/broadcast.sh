#!/bin/bash
# One file to N receivers, each in a network namespace of its own (veth on one bridge): Ka's chain beside mbuffer, nc and a relay in C,
# in turn in one run. Makes its own namespaces and programs, and ends and removes all of them. Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"

help() {
    cat <<'HELP'
Usage: bench/broadcast.sh [options]
  --nodes "N …"        numbers of receivers (default "1 4 16 32")
  --tools "TOOL …"     of: ka ka-verified ka-encrypted splice copy mbuffer nc star kascade hash (default: all but kascade); ka-encrypted proves too
  --runs N             of each, in turn (default 3)
  --bytes N            size of the file (default 1 GiB)
  --rate RATE          shape every link both ways, as tc writes it (1gbit)
  --outward            shape only what leaves a host: in a chain nothing else comes in, and it halves what the shaping itself costs
  --congestion NAME    the hosts' congestion control of TCP (default cubic, as Linux has it; bbr costs all but ka several times the processor)
  --sink PATH          where receivers write; NAME in it becomes the receiver's number (default /dev/null)
  --kascade PATH       Kascade's program, which joins the tools
  --ka PATH            another ka than the one that is published from this tree

Prints a table: wall (median, s), CPU seconds per GiB and hop (user and system of all processes, the source too), and the largest peak
memory of a process on a node (VmHWM, MiB). Wall runs from the moment when every receiver waits. 'hash' is SHA-256 of the file by openssl,
one process for each node at once.
HELP
}

die() { echo "broadcast.sh: $*" >&2; exit 2; }
nodes='1 4 16 32' tools='ka ka-verified ka-encrypted splice copy mbuffer nc star hash' runs=3 bytes=1073741824 rate='' sink=/dev/null kascade='' ka='' congestion='' outward=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --outward) outward=yes; shift; continue ;;
        --nodes | --tools | --runs | --bytes | --rate | --congestion | --sink | --kascade | --ka) [ $# -ge 2 ] || die "$1 needs a value" ;;
        *) die "unknown option '$1'; try --help" ;;
    esac
    case $1 in
        --nodes) nodes=$2 ;;
        --tools) tools=$2 ;;
        --runs) runs=$2 ;;
        --bytes) bytes=$2 ;;
        --rate) rate=$2 ;;
        --congestion) congestion=$2 ;;
        --sink) sink=$2 ;;
        --kascade) kascade=$(realpath "$2"); tools="$tools kascade" ;;
        --ka) ka=$(realpath "$2") ;;
    esac
    shift 2
done
. bench/net.sh
prepare

work=$(mktemp -d /tmp/ka-broadcast-XXXXXX)
net=kab$$
most=0 pids=()
for n in $nodes; do [ "$n" -le "$most" ] || most=$n; done

close() {
    trap - EXIT INT TERM
    set +e
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    for file in "$work"/*.pid; do [ -e "$file" ] && kill -KILL "$(cat "$file")" 2>/dev/null; done
    wait 2>/dev/null
    unlay
    rm -rf "$work"
}
trap close EXIT
trap 'exit 130' INT TERM

cc -O2 -Wall -o "$work/relay" bench/relay.c
relay=$work/relay image=$work/image
head -c "$bytes" /dev/urandom >"$image"
"$ka" bcast key "$work/key"
"$ka" bcast key --encrypt "$work/key-encrypted"

lay

port=7100
sink_of() { echo "${sink//NAME/$1}"; }
# on HOST NAME PROGRAM…: starts a measured program on a host, in the background
on() {
    local host=$1 name=$2
    shift 2
    ip netns exec "${net}h$host" "$relay" run "$work/$name" "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
    pids+=($!)
    last=$!
}
listens() { grep -q "$(printf ':%04X 00000000:0000 0A' "$2")" "/proc/$1/net/tcp" 2>/dev/null; }
await_port() { for _ in $(seq 500); do listens "$last" "$port" && return; sleep 0.01; done; die "host $1 does not listen"; }
now() { echo "$EPOCHREALTIME"; }

# Each starts N receivers, waits until they wait, sends, and sets wall. CPU that was used before that is in $work/before.
by_chain() { # by_chain N SENDER-FUNCTION RECEIVER-FUNCTION
    local n=$1 i started waiting=()
    for i in $(seq "$n" -1 1); do
        "$3" "$i" "$([ "$i" -lt "$n" ] && address $((i + 1)) || echo -)"
        await_port "$i"
        waiting+=("$last")
    done
    started=$(now)
    "$2" "$n"
    waiting+=("$last")
    wait "${waiting[@]}"
    wall=$(awk -v a="$started" -v b="$(now)" 'BEGIN { print b - a }')
}
relay_recv() { on "$1" "r$1" "$relay" recv $port "$([ "$2" = - ] && echo - || echo "$2:$port")" "$(sink_of "$1")" "$mode"; }
relay_send() { on 0 r0 "$relay" send "$image" "$(address 1):$port" "$mode"; }
mbuffer_recv() {
    local onward=()
    [ "$2" = - ] || onward=(-O "$2:$port")
    on "$1" "r$1" mbuffer -q -f -s 256k -m 8M -I $port "${onward[@]}" -o "$(sink_of "$1")"
}
mbuffer_send() { on 0 r0 mbuffer -q -s 256k -m 8M -i "$image" -O "$(address 1):$port"; }
nc_recv() {
    if [ "$2" = - ]; then
        on "$1" "r$1" sh -c "nc -l -p $port > $(sink_of "$1")"
    else
        on "$1" "r$1" sh -c "nc -l -p $port | tee $(sink_of "$1") | nc -N $2 $port"
    fi
}
nc_send() { on 0 r0 sh -c "nc -N $(address 1) $port < $image"; }
star_recv() { nc_recv "$1" -; }
star_send() {
    local words='' i
    for i in $(seq "$1"); do words="$words nc -N $(address "$i") $port < $image &"; done
    on 0 r0 sh -c "$words wait"
}
kascade_send() { # all names resolve by address; Kascade starts its receivers itself, so its wall includes that
    local list='' i started
    for i in $(seq "$1"); do list="$list,$(address "$i")"; done
    started=$(now)
    on 0 r0 "$kascade" -N "${list#,}" -i "$image" -o "$sink"
    wait "$last"
    wall=$(awk -v a="$started" -v b="$(now)" 'BEGIN { print b - a }')
}
by_hash() {
    local i started waiting=()
    started=$(now)
    for i in $(seq "$1"); do
        on "$i" "r$i" openssl dgst -sha256 "$image"
        waiting+=("$last")
    done
    wait "${waiting[@]}"
    wall=$(awk -v a="$started" -v b="$(now)" 'BEGIN { print b - a }')
}
by_ka() { # by_ka N KEY [OPTION…]: wall is the sender's own, from the moment when all have come
    local n=$1 i at waiting=()
    at=$(address 0):$port
    local key=$work/$2
    shift 2
    for i in $(seq "$n"); do
        on "$i" "r$i" "$ka" bcast recv --from "$at" --key "$key" --name "n$i" --to "$(sink_of "$i")"
        waiting+=("$last")
    done
    sleep "$(awk -v n="$n" 'BEGIN { print 1 + n * 0.15 }')"
    spent_so_far >"$work/before"
    on 0 r0 "$ka" bcast send "$image" --listen "$at" --key "$key" --count "$n" -q "$@"
    waiting+=("$last")
    wait "${waiting[@]}" || { cat "$work"/r*.err "$work"/r0.out >&2; die "ka failed"; }
    wall=$(sed -n 's/.* bytes in \([0-9.]*\) s;.*/\1/p' "$work/r0.out")
}
spent_so_far() { # CPU seconds of the children of the measuring processes
    local file
    for file in "$work"/r*.pid; do cat "/proc/$(cat "$file")/task/"*/schedstat 2>/dev/null || true; done | awk '{ s += $1 } END { printf "%.6f\n", s / 1e9 }'
}

measure() { # measure TOOL N
    local tool=$1 n=$2
    rm -f "$work"/r[0-9]*
    echo 0 >"$work/before"
    pids=()
    mode=$tool
    case $tool in
        ka) by_ka "$n" key --no-verify ;;
        ka-verified) by_ka "$n" key ;;
        ka-encrypted) by_ka "$n" key-encrypted ;;
        splice | copy) by_chain "$n" relay_send relay_recv ;;
        mbuffer) by_chain "$n" mbuffer_send mbuffer_recv ;;
        nc) by_chain "$n" nc_send nc_recv ;;
        star) by_chain "$n" star_send star_recv ;;
        kascade) kascade_send "$n" ;;
        hash) by_hash "$n" ;;
        *) die "unknown tool '$tool'" ;;
    esac
    local spent
    spent=$(cat "$work"/r*[0-9] | awk -v b="$(cat "$work/before")" -v g="$bytes" -v n="$n" '{ s += $1 + $2 } END { printf "%.3f", (s - b) / n / (g / 1073741824) }')
    local peak
    peak=$(for i in $(seq "$n"); do cat "$work/r$i"; done | awk '$3 > m { m = $3 } END { printf "%.1f", m / 1024 }')
    echo "$tool $n $wall $spent $peak" >>"$work/figures"
    echo "  $tool N=$n: ${wall} s, $spent CPU s per GiB and hop, $peak MiB; load $(cut -d' ' -f1 /proc/loadavg)" >&2
}

median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
for run in $(seq "$runs"); do
    echo "run $run of $runs" >&2
    for n in $nodes; do
        for tool in $tools; do measure "$tool" "$n"; done
    done
done

cell() { # cell TOOL N COLUMN
    awk -v t="$1" -v n="$2" -v c="$3" '$1 == t && $2 == n { print $c }' "$work/figures" | median
}
printf '| Tool |'; for n in $nodes; do printf ' N=%s: wall s | CPU s/GiB·hop | peak MiB |' "$n"; done; echo
printf '|---|'; for n in $nodes; do printf -- '---|---|---|'; done; echo
for tool in $tools; do
    printf '| %s |' "$tool"
    for n in $nodes; do printf ' %.2f | %.3f | %.1f |' "$(cell "$tool" "$n" 3)" "$(cell "$tool" "$n" 4)" "$(cell "$tool" "$n" 5)"; done
    echo
done

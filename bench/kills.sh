#!/bin/bash
# Kills K neighbours at every place of a chain of real processes, in each manner and at several moments; all others must have the image, bit by
# bit. Makes its own namespaces and removes them. Needs root. The whole of it takes an hour or more: options choose a part.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"

help() {
    cat <<'HELP'
Usage: bench/kills.sh [options]
  --nodes N        receivers (default 16)
  --kills "K …"    how many neighbours die (default "1 2 … N-1")
  --places "P …"   place of the first of them, from 1 (default: every one where K fit)
  --how "WAY …"    kill (SIGKILL), stop (SIGSTOP), cut (the link goes down) (default: all)
  --at "PERCENT …" of the image that the first victim has by then (default "5 15 25 35 45 55 65 75 85 95")
  --every N        only every N-th case
  --first N        begin with the N-th case (default: the N of --every), so that the whole can be run in parts
  --sample         as --every 31: of the ways and moments about one for every K and place, in turn
  --jobs N         so many cases at once, each with hosts of its own (default 1): quicker, but they take each other's processors, and times say less
  --bytes N        size of the image (default 64 MiB)
  --rate RATE      of every link both ways, as tc writes it (default 400mbit)
  --straggle       instead: one node has a tenth of the rate, at each of --places; every byte is verified, but kept nowhere
  --ka PATH        another ka than the one that is published from this tree

Prints a table: for each way and K the runs, those in which somebody who lived had not every byte, the most time beyond an undisturbed run, and
the most that the source sent, as a multiple of the image. Status 1 when somebody was lost.
HELP
}
die() { echo "kills.sh: $*" >&2; exit 2; }
count=16 kills='' places='' how='kill stop cut' moments='5 15 25 35 45 55 65 75 85 95' bytes=67108864 rate=400mbit ka='' straggle='' every=1 jobs=1 first='' asked=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --straggle) straggle=yes; shift; continue ;;
        --sample) every=31; shift; continue ;;
        --nodes | --kills | --places | --how | --at | --bytes | --rate | --ka | --every | --first | --jobs | --part) [ $# -ge 2 ] || die "$1 needs a value" ;;
        *) die "unknown option '$1'; try --help" ;;
    esac
    case $1 in
        --nodes) count=$2 ;;
        --kills) kills=$2 ;;
        --places) places=$2 ;;
        --how) how=$2 ;;
        --at) moments=$2 ;;
        --bytes) bytes=$2 ;;
        --rate) rate=$2 ;;
        --every) every=$2 ;;
        --first) first=$2 ;;
        --jobs) jobs=$2 ;;
        --part) first=${2%:*} runs=${2#*:} ;; # of itself: a job's first case, and where it writes its runs
        --ka) ka=$(realpath "$2") ;;
    esac
    shift 2
done
first=${first:-$every}
. bench/net.sh
prepare

work=$(mktemp -d "${TMPDIR:-/tmp}/ka-kills-XXXXXX")
runs=${runs:-$work/runs}
export TMPDIR=$work # what a killed process leaves there goes with it
: >"$runs"
net=kak$$ window=6291456 # Linux's default: what lies in a dead one's kernel was sent for nothing
most=$count
ending=KILL
pids=()
close() {
    trap - EXIT
    trap '' INT TERM
    set +e
    for pid in "${pids[@]}"; do kill "-$ending" "$pid" 2>/dev/null; done
    wait 2>/dev/null
    unlay
    rm -rf "$work"
}
trap close EXIT
trap 'exit 130' INT TERM
table() {
    echo "| Way | K | Runs | Somebody lost | Extra s, most | Sent, most |"; echo "|---|---|---|---|---|---|"
    sort -k1,1 -k2,2n "$@" | awk '{ i = $1 " | " $2; if (!(i in n)) order[++m] = i; n[i]++; if ($3 > t[i]) t[i] = $3; if ($4 > s[i]) s[i] = $4; l[i] += $5 == "lost" }
        END { for (j = 1; j <= m; j++) { i = order[j]; printf "| %s | %d | %d | %.2f | %.2f |\n", i, n[i], l[i], t[i], s[i] } }'
    ! grep -hq lost "$@"
}
if [ "$jobs" -gt 1 ]; then
    ending=TERM # jobs remove what they made
    for job in $(seq "$jobs"); do
        bench/kills.sh "${asked[@]}" --ka "$ka" --jobs 1 --every $((every * jobs)) --part "$((first + every * (job - 1))):$work/runs$job" >/dev/null &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || true; done
    table "$work"/runs[0-9]*
    exit
fi
cc -O2 -Wall -o "$work/relay" bench/relay.c
head -c "$bytes" /dev/urandom >"$work/image"
"$ka" bcast key "$work/key"
lay

sink() { if [ -n "$straggle" ]; then echo /dev/null; else echo "$work/out$1"; fi; } # all hosts have one memory: a slow link is to be the only slow thing
begin() { # starts all; pids[I] is the process of receiver I, pids[0] the sender
    local i at
    at=$(address 0):7200
    rm -f "$work"/out*
    pids=()
    nsenter "--net=/run/netns/${net}h0" "$ka" bcast send "$work/image" --listen "$at" --key "$work/key" --count "$count" -q "$@" >"$work/said" 2>&1 </dev/null &
    pids[0]=$!
    for i in $(seq "$count"); do
        nsenter "--net=/run/netns/${net}h$i" "$ka" bcast recv --from "$at" --key "$work/key" --name "n$i" --to "$(sink "$i")" >"$work/r$i.err" 2>&1 </dev/null &
        pids[i]=$!
    done
}
took() { sed -n 's/.* bytes in \([0-9.]*\) s;.*/\1/p' "$work/said"; }
sent() { sed -n 's/.* the sender sent \([0-9]*\) bytes.*/\1/p' "$work/said"; }
lost() { # lost FIRST LAST: who, outside of these, has not the image
    local i
    for i in $(seq "$count"); do
        [ "$i" -ge "$1" ] && [ "$i" -le "$2" ] || cmp -s "$work/image" "$work/out$i" || echo "n$i"
    done
}
end() { # end FIRST LAST: waits until the others have all bytes or gave up, lets it be known that these died, and ends what is left
    local i
    # Without the shell's own words for each that was killed.
    { for i in $(seq "$count"); do
        [ "$i" -ge "$1" ] && [ "$i" -le "$2" ] || "$work/relay" await "$work/out$i" "$bytes" "${pids[i]}"
    done
    for i in $(seq "$1" "$2"); do
        ip -n "$net" link set "p$i" up
        kill -KILL "${pids[i]}" || true
    done
    wait "${pids[0]}" || true
    for pid in "${pids[@]}"; do kill -KILL "$pid" || true; done
    wait || true; } 2>/dev/null
}
undisturbed() {
    for _ in 1 2 3; do begin "$@"; wait "${pids[@]}" || { cat "$work/said" >&2; die "a run without any death failed"; }; took; done | sort -g | sed -n 2p
}

if [ -n "$straggle" ]; then
    base=$(undisturbed)
    echo "| Place of the slow one | Without it s | The others s | Ratio | All s |"; echo "|---|---|---|---|---|"
    for place in ${places:-$(seq "$count")}; do
        for side in "${net}h$place eth0" "$net p$place"; do tc -n ${side% *} qdisc replace dev ${side#* } root tbf rate "$(( ${rate%mbit} / 10 ))mbit" burst 256k latency 50ms; done
        begin; wait "${pids[@]}" || { cat "$work/said" >&2; die "somebody failed"; }
        others=$(sed -n 's/^the others had it after \([0-9.]*\) s/\1/p' "$work/said")
        awk -v p="$place" -v b="$base" -v o="${others:-$(took)}" -v a="$(took)" 'BEGIN { printf "| %d | %.2f | %.2f | %.2f | %.2f |\n", p, b, o, o / b, a }'
        for side in "${net}h$place eth0" "$net p$place"; do tc -n ${side% *} qdisc replace dev ${side#* } root tbf rate "$rate" burst 256k latency 50ms; done
    done
    exit 0
fi

base=$(undisturbed)
echo "without any death: $base s" >&2
turn=0
for way in $how; do
    for k in ${kills:-$(seq $((count - 1)))}; do
        for place in ${places:-$(seq $((count - k + 1)))}; do
            last=$((place + k - 1))
            [ "$last" -le "$count" ] || continue
            for percent in $moments; do
                turn=$((turn + 1))
                [ "$turn" -ge "$first" ] && [ $(((turn - first) % every)) = 0 ] || continue
                begin
                "$work/relay" await "$work/out$place" $((bytes / 100 * percent)) "${pids[0]}"
                for victim in $(seq "$place" "$last"); do
                    case $way in
                        kill) kill -KILL "${pids[victim]}" ;;
                        stop) kill -STOP "${pids[victim]}" ;;
                        cut) ip -n "$net" link set "p$victim" down ;;
                        *) die "unknown way '$way'" ;;
                    esac
                done 2>/dev/null || true
                end "$place" "$last"
                missing=$(lost "$place" "$last" | tr '\n' ' ')
                [ -z "$missing" ] || { echo "$way K=$k place $place at $percent %: lost $missing" >&2; cat "$work/said" >&2; }
                extra=$(awk -v b="$base" -v t="$(took)" 'BEGIN { printf "%.2f", t - b }')
                awk -v e="$extra" 'BEGIN { exit !(e > 1.5) }' && { echo "$way K=$k place $place at $percent %: +$extra s" >&2; cat "$work/said" >&2; }
                awk -v r="$way $k $extra" -v g="$bytes" -v s="$(sent)" -v l="${missing:+lost}" -v c="$place $percent" 'BEGIN { printf "%s %.2f %s %s\n", r, s / g, l ? l : "-", c }' >>"$runs"
            done
        done
        awk -v w="$way" -v k="$k" '$1 == w && $2 == k { n++; if ($3 > t) t = $3; if ($4 > s) s = $4; l += $5 == "lost" }
            END { if (n) printf "  %s K=%d: %d runs, %d lost, at most +%.2f s, %.2f times sent\n", w, k, n, l, t, s }' "$runs" >&2
    done
done
table "$runs"

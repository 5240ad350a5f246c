# Sourced by the benchmarks of the broadcast: a switch and hosts 0 to $most, each a network namespace named after $net with one link,
# shaped both ways where $rate says so.

prepare() { # programs that are missing are installed, and ka is published where --ka names none
    [ "$(id -u)" = 0 ] || die "network namespaces need root"
    . packaging/needs.sh
    needs broadcast
    [ -n "$ka" ] || { packaging/publish.sh Ka.Cli artifacts/publish/bench >&2; ka=$PWD/artifacts/publish/bench/ka; }
}
address() { echo "10.78.$((($1 + 1) / 250)).$((($1 + 1) % 250 + (($1 + 1) >= 250)))"; }
shape() { [ -z "$rate" ] || tc -n "$1" qdisc add dev "$2" root tbf rate "$rate" burst 256k latency 50ms; }
# A namespace may only use what the machine allows everybody. Kept in $allowed until unlay: what it allowed before.
allow() {
    allowed=$(sysctl -n net.ipv4.tcp_allowed_congestion_control)
    case " $allowed " in
        *" $1 "*) allowed='' ;;
        *)
            echo "until the end this machine allows '$1' as congestion control" >&2
            sysctl -qw "net.ipv4.tcp_allowed_congestion_control=$allowed $1"
            ;;
    esac
}
lay() {
    allow "${congestion:-cubic}"
    ip netns add "$net"
    ip -n "$net" link add br0 type bridge stp_state 0 forward_delay 0
    ip -n "$net" link set br0 up
    for i in $(seq 0 "$most"); do
        ip netns add "${net}h$i"
        ip -n "$net" link add "p$i" type veth peer name eth0 netns "${net}h$i"
        ip -n "$net" link set "p$i" master br0 up
        ip -n "${net}h$i" link set lo up
        ip -n "${net}h$i" addr add "$(address "$i")/16" dev eth0
        ip -n "${net}h$i" link set eth0 up
        ip netns exec "${net}h$i" sysctl -qw "net.ipv4.tcp_congestion_control=${congestion:-cubic}" # Linux's default, whatever this machine's is
        [ -z "${window:-}" ] || ip netns exec "${net}h$i" sysctl -qw "net.ipv4.tcp_rmem=4096 131072 $window"
        shape "${net}h$i" eth0
        [ -n "${outward:-}" ] || shape "$net" "p$i"
    done
}
unlay() {
    for i in $(seq 0 "$most"); do ip netns del "${net}h$i" 2>/dev/null || true; done
    ip netns del "$net" 2>/dev/null || true
    [ -z "${allowed:-}" ] || sysctl -qw "net.ipv4.tcp_allowed_congestion_control=$allowed"
}

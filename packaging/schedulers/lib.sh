# Sourced by the prologue and epilogue scripts of all schedulers.
# Settings (files of the administrator, see README.md): KA, KA_SERVER, KA_TOKEN_FILE, KA_CA, SLURM_CONF, SITE_ENVIRONMENT.

config=${KA_SCHEDULER_CONFIG:-/etc/ka/scheduler.conf}
if [ -r "$config" ]; then
    # shellcheck disable=SC1090 # the site's own file
    . "$config"
fi
export KA_SERVER KA_TOKEN_FILE KA_CA SLURM_CONF
ka=${KA:-ka}

# Where everybody's list of nodes comes from the scheduler's arguments, ka must not look for a job of its own.
unset OAR_NODEFILE OAR_NODE_FILE PBS_NODEFILE

complain() {
    echo "ka: $*" >&2
    command -v logger >/dev/null && logger -t ka -p daemon.err -- "$*"
    return 1
}

# grant USER JOB UNTIL -w NODES | --nodes-file FILE     (UNTIL empty: the job has no end of its own)
# A job that was begun again gets the right anew, never twice.
grant() {
    user=$1 job=$2 until=$3
    shift 3
    case $user in
        '' | [@*-]*) complain "job $job: '$user' is no user" || return 1 ;;
    esac
    revoke "$job" || return 1
    "$ka" rights grant "$user" --source "job:$job" ${until:+--until "$until"} "$@" >/dev/null || complain "job $job: no right was given to $user"
}

# revoke JOB: ends the user's operations there within five seconds. What is gone already is no failure.
revoke() {
    said=$("$ka" rights revoke --source "job:$1" 2>&1) && return 0
    case $said in
        *'(rights.unknown)'*) ;;
        *) complain "job $1: its rights were not taken back: $said" ;;
    esac
}

# Runs a command again while its nodes are busy: operations of a user end within five seconds of their right.
patiently() {
    for again in 1 2 3 4 5 6 7 8 9 10; do
        "$@" >/dev/null
        status=$?
        [ "$status" = 75 ] || return "$status"
        sleep 2
    done
    return 75
}

# restore -w NODES | --nodes-file FILE
# Nodes that still have the site's environment are rebooted; all are deployed when one has another, or does not come back.
restore() {
    [ -n "${SITE_ENVIRONMENT:-}" ] || return 0
    patiently "$ka" reboot --to "$SITE_ENVIRONMENT" --check-destructive --yes --quiet "$@" && return 0
    patiently "$ka" deploy "$SITE_ENVIRONMENT" --yes --quiet "$@" || complain "$SITE_ENVIRONMENT is not on all of $*"
}

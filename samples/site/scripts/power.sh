#!/bin/sh
# Switches an outlet of an APC power strip by SNMP. For the power driver 'command'; runs on the server.
# Usage: power.sh status|on|off STRIP/OUTLET      status prints 'on' or 'off'; exit status 0 means done
set -eu
verb=$1 strip=${2%/*} outlet=${2#*/}
case $outlet in '' | *[!0-9]*) echo "power.sh: '$2' is not STRIP/OUTLET" >&2; exit 2 ;; esac

# The directory holds snmp.conf with version and community (or SNMPv3 user), mode 0600; it is no part of this sample.
SNMPCONFPATH=$(dirname "$0")/../secrets
export SNMPCONFPATH
object=1.3.6.1.4.1.318.1.1.4.4.2.1.3.$outlet # sPDUOutletCtl: 1 on, 2 off

case $verb in
    status)
        case $(snmpget -Oqve "$strip" "$object") in
            1) echo on ;;
            2) echo off ;;
            *) echo "power.sh: outlet $2 is neither on nor off" >&2; exit 1 ;;
        esac
        ;;
    on) snmpset -Oq "$strip" "$object" i 1 >/dev/null ;;
    off) snmpset -Oq "$strip" "$object" i 2 >/dev/null ;;
    *) echo "power.sh: '$verb' is not status, on or off" >&2; exit 2 ;;
esac

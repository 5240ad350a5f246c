#!/bin/bash
# The peer that Ka is held against: the same deployment of tiny on the same lab as a capable administrator would do it
# with dnsmasq, ssh, tar and a shell, every step on all nodes at once. Prints the seconds of each step and the total.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

help() {
    cat <<'HELP'
Usage: by-hand.sh --image DIR [options]
  --image DIR          where tiny.tar.zst is (images/tiny.sh made it)
  --nodes N            default 4
  --firmware F         bios, uefi or mixed (default bios)
  --via http|chain     every node fetches from the server, or node k feeds node k+1 (default chain)
  --final reboot|kexec how the deployed system starts (default reboot)
  --ka-lab PROGRAM     default ka-lab
  --work DIR           state; kept between runs (default /var/tmp/ka-by-hand)
HELP
}

die() { echo "by-hand.sh: $*" >&2; exit 1; }
image='' nodes=4 firmware=bios via=chain final=reboot kalab=ka-lab work=/var/tmp/ka-by-hand inside=
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --inside) inside=yes; shift; continue ;;
        --image | --nodes | --firmware | --via | --final | --ka-lab | --work) [ $# -ge 2 ] || die "$1 needs a value" ;;
        *) die "unknown option '$1'; try --help" ;;
    esac
    case $1 in
        --image) image=$(realpath "$2") ;;
        --nodes) nodes=$2 ;;
        --firmware) firmware=$2 ;;
        --via) via=$2 ;;
        --final) final=$2 ;;
        --ka-lab) kalab=$2 ;;
        --work) work=$2 ;;
    esac
    shift 2
done
[ -f "$image/tiny.tar.zst" ] || die "there is no tiny.tar.zst in '$image'"
for pair in dnsmasq:dnsmasq-base python3:python3 ssh:openssh-client ipmitool:ipmitool; do
    command -v "${pair%%:*}" >/dev/null || die "the program '${pair%%:*}' is missing; install it with: apt-get install ${pair##*:}"
done

# --- outside: lab, minimal environment with our key (neither is timed) ---
if [ -z "$inside" ]; then
    mkdir -p "$work/www"
    [ -f "$work/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    if [ ! -f "$work/minimal/initramfs.zst" ]; then
        printf '#!/bin/sh\nexec sleep 1000000\n' >"$work/no-agent"
        "$here/../images/minimal.sh" --agent "$work/no-agent" --out "$work/minimal" --authorized-keys "$work/key.pub" >/dev/null
    fi
    cp "$work/minimal/vmlinuz" "$work/minimal/initramfs.zst" "$image/tiny.tar.zst" "$work/www/"
    trap '"$kalab" down --name byhand' EXIT
    rm -f "$work"/lab/node*/disk.raw
    "$kalab" up "$nodes" --name byhand --state "$work/lab" --firmware "$firmware" --minimal "$work/minimal" >/dev/null
    "$kalab" exec --name byhand -- "$0" --inside --image "$image" --nodes "$nodes" --via "$via" --final "$final" --work "$work"
    exit
fi

# --- inside the lab's network ---
cd "$work"
all=$(seq 1 "$nodes")
address() { echo "10.77.0.$((100 + $1))"; }
mac() { printf '52-54-00-77-00-%02x' "$1"; }
export control=$work/ssh
mkdir -p "$control"
on() {
    local node=$1; shift
    ssh -q -i key -o BatchMode=yes -o ConnectTimeout=3 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ControlMaster=auto -o ControlPersist=60 -o "ControlPath=$control/%h-$phase" "root@$(address "$node")" "$@"
}
# each FUNCTION: on all nodes at once; ends when all have ended, and with an error if one had one
each() {
    local node jobs=() bad=0
    for node in $all; do "$1" "$node" & jobs+=($!); done
    for job in "${jobs[@]}"; do wait "$job" || bad=1; done
    [ $bad = 0 ] || die "$1 failed"
}
start=$EPOCHREALTIME last=$EPOCHREALTIME
step() {
    local now=$EPOCHREALTIME
    awk -v a="$start" -v l="$last" -v n="$now" -v w="$*" 'BEGIN { printf "%7.1f s  (+%5.1f)  %s\n", n - a, n - l, w }'
    last=$now
}

install_profile() {
    printf '#!ipxe\nkernel http://10.77.0.1:8480/vmlinuz console=ttyS0,115200 quiet panic=10 BOOTIF=01-%s initrd=initrd\n' "$(mac "$1")"
    printf 'initrd --name initrd http://10.77.0.1:8480/initramfs.zst\nboot\n'
}
disk_profile() { printf '#!ipxe\nsanboot --no-describe --drive 0x80\n'; }
profile() { "$1" "$2" >"www/$(mac "$2").new"; mv "www/$(mac "$2").new" "www/$(mac "$2").ipxe"; }
{
    printf 'port=0\ninterface=br0\nbind-interfaces\nexcept-interface=lo\nno-ping\ndhcp-authoritative\n'
    printf 'dhcp-leasefile=%s/leases\ndhcp-range=10.77.0.0,static,255.255.255.0,12h\n' "$work"
    printf 'dhcp-option-force=encap:175,176,1b\ndhcp-boot=http://10.77.0.1:8480/${net0/mac:hexhyp}.ipxe\n'
    for node in $all; do echo "dhcp-host=$(mac "$node" | tr - :),$(address "$node"),node$node"; done
} >dnsmasq.conf
dnsmasq -k -C dnsmasq.conf --user=root --log-facility="$work/dnsmasq.log" & services=$!
(cd www && exec python3 -m http.server 8480 --bind 10.77.0.1 >"$work/http.log" 2>&1) & services="$services $!"
trap 'kill $services' EXIT
for node in $all; do profile install_profile "$node"; done
sleep 0.5

bmc() { ipmitool -I lanplus -C 3 -H "127.0.1.$1" -U admin -f lab/bmc.password chassis "${@:2}" >/dev/null; }
power_on() { bmc "$1" power on; }
wait_minimal() {
    for _ in $(seq 600); do on "$1" test -x /sbin/ka-agent 2>/dev/null && return; sleep 0.3; done
    return 1
}
partition() {
    on "$1" 'set -e
        printf "label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=bios\nsize=64MiB, type=uefi, name=esp\nname=root\n" |
            sfdisk -q --wipe always --wipe-partitions always /dev/vda 2>/dev/null
        mkfs.ext4 -q -F /dev/vda3 2>/dev/null
        [ ! -d /sys/firmware/efi ] || mkfs.vfat /dev/vda2 >/dev/null 2>&1
        mount /dev/vda3 /mnt'
}
unpack='zstd -dc | tar -x --numeric-owner --xattrs --xattrs-include="*" --acls -C /mnt'
fetch() { on "$1" "set -e; wget -q -O - http://10.77.0.1:8480/tiny.tar.zst | $unpack; sync"; }
# nc ends when its own input or its peer ends, so the listening one reads from a fifo that never does
listen() {
    if [ "$1" = "$nodes" ]; then
        on "$1" "mkfifo /tmp/hold; nc -l -p 7000 <>/tmp/hold | $unpack; sync"
    else
        on "$1" "mkfifo /tmp/hold /tmp/next; nc $(address $(($1 + 1))) 7000 </tmp/next >/dev/null &
            nc -l -p 7000 <>/tmp/hold | tee /tmp/next | $unpack; wait; sync"
    fi
}
chain() {
    local node jobs=()
    # from the last to the first: a node connects to its successor at once
    for node in $(seq "$nodes" -1 1); do
        listen "$node" & jobs+=($!)
        until on "$node" 'netstat -ltn | grep -q :7000'; do sleep 0.1; done
    done
    python3 - "$(address 1)" www/tiny.tar.zst <<'PYTHON'
import socket, sys
with socket.create_connection((sys.argv[1], 7000)) as node, open(sys.argv[2], "rb") as image:
    node.sendfile(image)
PYTHON
    for job in "${jobs[@]}"; do wait "$job"; done
}
settle() {
    on "$1" "set -e
        uuid=\$(blkid -s UUID -o value /dev/vda3)
        echo node$1 >/mnt/etc/hostname
        echo \"UUID=\$uuid / ext4 defaults 0 1\" >/mnt/etc/fstab
        ssh-keygen -q -t ed25519 -N '' -f /mnt/etc/ssh/ssh_host_ed25519_key
        cp /root/.ssh/authorized_keys /mnt/root/.ssh/
        mkdir -p /mnt/boot/grub
        printf 'set timeout=0\nserial\nterminal_output serial\nmenuentry tiny {\nsearch --no-floppy --fs-uuid --set=root %s\nlinux /boot/vmlinuz root=UUID=%s ro console=ttyS0,115200 net.ifnames=0 quiet\ninitrd /boot/initrd.img\n}\n' \$uuid \$uuid >/mnt/boot/grub/grub.cfg
        for place in dev proc sys; do mount --bind /\$place /mnt/\$place; done
        if [ -d /sys/firmware/efi ]; then
            mount -t vfat /dev/vda2 /mnt/boot/efi
            chroot /mnt grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram >/dev/null 2>&1
            umount /mnt/boot/efi
        else
            chroot /mnt grub-install --target=i386-pc --no-floppy /dev/vda >/dev/null 2>&1
        fi
        umount /mnt/dev /mnt/proc /mnt/sys"
    profile disk_profile "$1"
}
leave() {
    if [ "$final" = kexec ]; then
        on "$1" 'set -e; kexec -s -l /mnt/boot/vmlinuz --initrd=/mnt/boot/initrd.img --command-line="root=UUID=$(blkid -s UUID -o value /dev/vda3) ro console=ttyS0,115200 net.ifnames=0 quiet"
            umount /mnt; sync; (sleep 0.3; kexec -e) </dev/null >/dev/null 2>&1 &'
    elif on "$1" test -d /sys/firmware/efi; then
        # leaving iPXE by exit costs two minutes of firmware HTTP boot before the disk's turn comes
        on "$1" 'umount /mnt; sync'
        bmc "$1" bootdev disk
        bmc "$1" power reset
    else
        on "$1" 'umount /mnt; sync; (sleep 0.3; reboot -f) </dev/null >/dev/null 2>&1 &'
    fi
}
wait_deployed() {
    local answer
    for _ in $(seq 600); do
        answer=$(on "$1" 'cat /etc/os-release /etc/hostname; /usr/share/ka-fidelity/verify' 2>/dev/null) || true
        case $answer in *ID=ka-tiny*"node$1"*'all as packed'*) return ;; esac
        sleep 0.3
    done
    return 1
}

phase=minimal
each power_on; step 'power on'
each wait_minimal; step 'minimal environment answers by ssh'
each partition; step 'partition, format, mount'
if [ "$via" = http ]; then each fetch; else chain; fi; step "image ($via), unpacked and synced"
each settle; step 'host name, keys, GRUB'
each leave; step "$final"
phase=deployed
each wait_deployed; step 'deployed systems answer, fidelity verified'
awk -v a="$start" -v n="$EPOCHREALTIME" -v c="$nodes" 'BEGIN { printf "total %.1f s for %d nodes by hand\n", n - a, c }'

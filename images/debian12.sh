#!/bin/sh
# Builds debian12: an ordinary Debian 12 server with systemd, sshd, DHCP on every wired interface and GRUB for BIOS
# and UEFI. With --full also what roots on LVM, RAID, LUKS, btrfs and xfs need, and the signed loaders of Secure Boot. No password, no host keys, no machine-id: the deployment and the first boot make them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

help() {
    cat <<'HELP'
Usage: debian12.sh --out DIR [options]
Builds DIR/NAME.tar.zst and DIR/NAME.yaml with mmdebstrap, from the mirror the host's apt uses for bookworm
(else from mmdebstrap's default). The image itself names the public mirrors.

  --out DIR       where the files go
  --full          debian12-full: also lvm2, mdadm, cryptsetup-initramfs, btrfs-progs, xfsprogs, and for Secure Boot
                  shim-signed and grub-efi-amd64-signed
  --level N       zstd level, 1-19 (default 12)
  --version N     the environment's version number (default 1)
  --kernel NAME   kernel package (default linux-image-cloud-amd64; on real machines linux-image-amd64)
  --name NAME     name of the environment and its files (default debian12)
  --with LIST     further packages, with commas between them; with cloud-init the network is left to it
HELP
}

out='' level=12 version=1 kernel=linux-image-cloud-amd64 name=debian12 more=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --full) name=debian12-full more=lvm2,mdadm,cryptsetup-initramfs,btrfs-progs,xfsprogs,dosfstools,shim-signed,grub-efi-amd64-signed; shift ;;
        --out) out=$(value "$@"); shift 2 ;;
        --level) level=$(value "$@"); shift 2 ;;
        --version) version=$(value "$@"); shift 2 ;;
        --kernel) kernel=$(value "$@"); shift 2 ;;
        --name) name=$(value "$@"); shift 2 ;;
        --with) more=$(value "$@"); shift 2 ;;
        *) usage "unknown option '$1'" ;;
    esac
done
[ -n "$out" ] || usage "--out is missing"
case $level in [1-9] | 1[0-9]) ;; *) usage "--level is '$level', expected 1 to 19" ;; esac
case $version in *[!0-9]* | '') usage "--version is '$version', expected a number" ;; esac
case $kernel in *[!a-z0-9.+-]* | '') usage "--kernel is '$kernel', expected a package name" ;; esac
case $name in *[!a-z0-9.+-]* | '') usage "--name is '$name', expected lower-case letters and digits" ;; esac
case $more in *[!a-z0-9.+,-]*) usage "--with is '$more', expected package names with commas between them" ;; esac
need mmdebstrap mmdebstrap; need zstd zstd; need tar tar; need apt-get apt
workspace

# the host's own bookworm sources, if it has any
apt-get indextargets --format '$(CREATED_BY) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 2>/dev/null |
    sed -n 's/^Packages bookworm\(-security\|-updates\)\{0,1\} \(deb .* bookworm[a-z-]* main\)$/\2/p' | sort -u >"$WORK/sources"
[ -s "$WORK/sources" ] || echo 'deb http://deb.debian.org/debian bookworm main' >"$WORK/sources"
mkdir "$WORK/files"
cat >"$WORK/files/sources.list" <<'SOURCES'
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
SOURCES
cat >"$WORK/files/wired.network" <<'NETWORK'
[Match]
Type=ether

[Network]
DHCP=ipv4
LinkLocalAddressing=ipv6

[DHCPv4]
ClientIdentifier=mac
NETWORK
cat >"$WORK/files/keys.service" <<'UNIT'
[Unit]
Description=OpenSSH host key, where the deployment left none
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
UNIT

packages="$kernel,systemd,systemd-sysv,udev,dbus,openssh-server,iproute2,iputils-ping,ca-certificates,kmod,zstd,e2fsprogs,\
less,nano,procps,grub2-common,grub-pc-bin,grub-efi-amd64-bin,efibootmgr${more:+,$more}"
mmdebstrap --variant=apt --mode=auto --architectures=amd64 --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" && echo COMPRESS=zstd >"$1/etc/initramfs-tools/conf.d/compress"' \
    --customize-hook="copy-in $WORK/files/wired.network /etc/systemd/network/" \
    --customize-hook='[ ! -e "$1/usr/bin/cloud-init" ] || rm "$1/etc/systemd/network/wired.network"' \
    --customize-hook="copy-in $WORK/files/keys.service /etc/systemd/system/" \
    --customize-hook="copy-in $WORK/files/sources.list /etc/apt/" \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list.d/* "$1"/var/lib/apt/lists/* "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/resolv.conf "$1"/var/log/*.log "$1"/var/log/apt/*' \
    --customize-hook='mkdir -p "$1/boot/efi" "$1/boot/grub" && : >"$1/etc/machine-id" && echo debian12 >"$1/etc/hostname"' \
    --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd keys.service serial-getty@ttyS0.service' \
    --customize-hook='chroot "$1" passwd --quiet --lock root' \
    --customize-hook='printf "127.0.0.1 localhost\n::1 localhost\n" >"$1/etc/hosts"' \
    bookworm "$WORK/image.tar" "$WORK/sources" >"$WORK/log" 2>&1 || { tail -n 20 "$WORK/log" >&2; die "mmdebstrap failed"; }

mkdir -p "$out"
zstd -q -f -T0 "-$level" "$WORK/image.tar" -o "$out/$name.tar.zst.new"
mv "$out/$name.tar.zst.new" "$out/$name.tar.zst"
sed -e "s/@VERSION@/$version/" -e "s/@NAME@/$name/" "$here/debian12/debian12.yaml" >"$out/$name.yaml"
ls -l "$out/$name.tar.zst"

#!/bin/sh
# Builds tiny: the smallest system worth deploying. It boots by its own GRUB on BIOS and UEFI, takes its address by
# DHCP, runs sshd, and carries files that show whether a deployment kept every attribute.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

help() {
    cat <<'HELP'
Usage: tiny.sh --out DIR [options]
Builds DIR/tiny.tar.zst and DIR/tiny.yaml from Debian 12 packages. Needs root (owners, devices, capabilities) or
'unshare --map-auto --map-root-user'.

  --out DIR       where the files go
  --cache DIR     where downloaded packages are kept (default ~/.cache/ka/packages)
  --level N       zstd level, 1-19 (default 19)
  --version N     the environment's version number (default 1)
HELP
}

out='' level=19 version=1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ka/packages
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --out) out=$(value "$@"); shift 2 ;;
        --cache) cache=$(value "$@"); shift 2 ;;
        --level) level=$(value "$@"); shift 2 ;;
        --version) version=$(value "$@"); shift 2 ;;
        *) usage "unknown option '$1'" ;;
    esac
done
[ -n "$out" ] || usage "--out is missing"
case $level in [1-9] | 1[0-9]) ;; *) usage "--level is '$level', expected 1 to 19" ;; esac
case $version in *[!0-9]* | '') usage "--version is '$version', expected a number" ;; esac
[ "$(id -u)" = 0 ] || die "owners and capabilities need root; run as root or under: unshare --map-auto --map-root-user"
tool_needs
need setfattr attr
workspace

packages="busybox openssh-server openssh-client attr grub-common grub2-common grub-pc-bin grub-efi-amd64-bin
libattr1 libaudit1 libc6 libcap-ng0 libcap2 libcom-err2 libcrypt1 libdevmapper1.02.1 libefiboot1 libefivar1 libgcc-s1
libgcrypt20 libgpg-error0 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1 liblzma5
libnsl2 libpam0g libpcre2-8-0 libselinux1 libssl3 libsystemd0 libtirpc3 libudev1 libwrap0 libzstd1 zlib1g"
# shellcheck disable=SC2086
fetch "$cache" "$(kernel_package cloud)" $packages

# micro_initrd FILE: finds and mounts the root file system.
micro_initrd() {
    micro=$WORK/micro
    skeleton "$micro"
    busybox "$micro"
    modules "$micro" virtio_pci virtio_blk virtio_scsi? sd_mod? ahci? ata_piix? nvme? ext4? xfs
    install -m 755 "$here/tiny/initrd-init" "$micro/init"
    initramfs "$micro" "$1" "$level"
}

# fidelity DIR: one file for each thing an extraction may lose; tiny/fidelity-verify knows what to expect.
fidelity() {
    mkdir -p "$1"
    cp "$here/tiny/fidelity-verify" "$1/verify"
    chmod 755 "$1/verify"
    (
        cd "$1"
        echo linked >link-a; ln link-a link-b
        ln -s ../ka-fidelity/link-a symlink
        ln -s /usr/share/ka-fidelity/link-a symlink-absolute
        ln -s /nowhere/at/all symlink-dangling
        echo setuid >setuid; chmod 4755 setuid
        mkdir setgid sticky; chgrp 5 setgid; chmod 2775 setgid; chmod 1777 sticky
        echo odd >odd; chown 65533:4242 odd; chmod 604 odd
        echo dated >dated
        mkfifo fifo
        mknod device c 1 3
        truncate -s 67108864 sparse; printf end >>sparse
        printf long >"$(printf '%0200d' 7)"
        printf strange >'a name with  spaces and "quotes" and é'
        echo attributes >xattr; setfattr -n user.ka -v 0x6661697468 xattr
        echo capable >capability; chmod 755 capability
        setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 capability
        echo list >acl; chmod 640 acl
        setfattr -n system.posix_acl_access \
            -v 0x0200000001000600ffffffff020004009210000004000400ffffffff10000400ffffffff20000000ffffffff acl
        seq 1 50000 >content; sha256sum <content | cut -d' ' -f1 >content.sha256
    ) || die "the file system of $WORK does not keep all attributes; point TMPDIR at ext4 or xfs"
}

# grub TREE: what grub-install needs for both firmwares, inside a chroot.
grub() {
    program "$1" sbin/grub-install bin/grub-mkimage sbin/grub-probe
    ln -sf ../sbin/grub-probe "$1/usr/bin/grub-probe"
    mkdir -p "$1/usr/lib/grub" "$1/boot/grub" "$1/boot/efi"
    for target in i386-pc x86_64-efi; do
        mkdir -p "$1/usr/lib/grub/$target"
        for file in "$DONOR/usr/lib/grub/$target"/*.mod "$DONOR/usr/lib/grub/$target"/*.lst "$DONOR/usr/lib/grub/$target"/*.img \
            "$DONOR/usr/lib/grub/$target/modinfo.sh"; do
            [ ! -f "$file" ] || cp "$file" "$1/usr/lib/grub/$target/"
        done
    done
    cp "$here/tiny/os-release" "$1/etc/os-release"
}

tree=$WORK/tree
skeleton "$tree"
mkdir -p "$tree/etc/ssh" "$tree/etc/init.d" "$tree/root/.ssh" "$tree/home" "$tree/opt" "$tree/srv" "$tree/var/tmp" "$tree/var/lib"
chmod 700 "$tree/root/.ssh"
chmod 1777 "$tree/var/tmp"
program "$tree" sbin/sshd bin/ssh-keygen bin/getfattr
grub "$tree"
busybox "$tree"
modules "$tree" virtio_pci virtio_net virtio_blk virtio_rng virtio_scsi? sd_mod? ahci? ata_piix? nvme? ext4? xfs vfat nls_cp437? \
    nls_iso8859-1? nls_ascii? nls_utf8? evdev? button? efivarfs?
accounts "$tree"
echo tiny >"$tree/etc/hostname"
: >"$tree/etc/fstab"
ln -s /proc/mounts "$tree/etc/mtab"
install -m 755 "$here/tiny/rcS" "$tree/etc/init.d/rcS"
install -m 644 "$here/tiny/inittab" "$tree/etc/inittab"
install -m 755 "$here/minimal/udhcpc.script" "$tree/etc/udhcpc.script"
install -m 600 "$here/minimal/sshd_config" "$tree/etc/ssh/sshd_config"
cp "$DONOR/boot/vmlinuz-$(kernel_version)" "$tree/boot/vmlinuz"
micro_initrd "$tree/boot/initrd.img"
chmod 644 "$tree/boot/vmlinuz" "$tree/boot/initrd.img"
chown -R 0:0 "$tree"
fidelity "$tree/usr/share/ka-fidelity"
dated "$tree"
touch -d @981173106 "$tree/usr/share/ka-fidelity/dated"

mkdir -p "$out"
# sparse version 0.0, because the later ones put tar's process id into the archive
tar -C "$tree" --create --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --numeric-owner --xattrs --xattrs-include='*' --acls --sparse --sparse-version=0.0 . | zstd -q -f --single-thread "-$level" -o "$out/tiny.tar.zst.new"
mv "$out/tiny.tar.zst.new" "$out/tiny.tar.zst"
sed "s/@VERSION@/$version/" "$here/tiny/tiny.yaml" >"$out/tiny.yaml"
cp "$WORK/manifest" "$out/tiny.manifest"
ls -l "$out/tiny.tar.zst"

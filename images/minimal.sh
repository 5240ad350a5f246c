#!/bin/sh
# Builds the minimal environment: the trusted RAM system that runs the agent on every node under deployment.
# Equal packages and an equal agent give equal bytes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

help() {
    cat <<'HELP'
Usage: minimal.sh --agent FILE --out DIR [options]
Builds DIR/vmlinuz, DIR/initramfs.zst, DIR/localdisk.efi, DIR/kexec.tar, DIR/torrent.tar.zst, DIR/ka-agent and DIR/manifest from Debian 12 packages. Needs no root.

  --agent FILE              executable that becomes /sbin/ka-agent (x86-64 program or script)
  --out DIR                 where the files go
  --kernel cloud|generic    cloud: virtual machines; generic: also server network and storage cards (default cloud)
  --cache DIR               where downloaded packages are kept (default ~/.cache/ka/packages)
  --level N                 zstd level, 1-19 (default 19)
HELP
}

agent='' out='' kernel=cloud level=19 keys=''
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ka/packages
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --agent) agent=$(value "$@"); shift 2 ;;
        --out) out=$(value "$@"); shift 2 ;;
        --kernel) kernel=$(value "$@"); shift 2 ;;
        --cache) cache=$(value "$@"); shift 2 ;;
        --level) level=$(value "$@"); shift 2 ;;
        # For measuring against a deployment by hand only: a key that may log in before any agent has spoken.
        --authorized-keys) keys=$(value "$@"); shift 2 ;;
        *) usage "unknown option '$1'" ;;
    esac
done
[ -n "$agent" ] || usage "--agent is missing"
[ -n "$out" ] || usage "--out is missing"
[ -f "$agent" ] || die "there is no agent at '$agent'"
[ -z "$keys" ] || [ -f "$keys" ] || die "there is no file '$keys'"
case $kernel in cloud | generic) ;; *) usage "--kernel is '$kernel', expected cloud or generic" ;; esac
case $level in [1-9] | 1[0-9]) ;; *) usage "--level is '$level', expected 1 to 19" ;; esac
tool_needs
workspace

packages="busybox tar zstd xz-utils gzip bzip2 lz4 fdisk util-linux mount e2fsprogs xfsprogs dosfstools kexec-tools
efibootmgr openssh-server openssh-client openssh-sftp-server attr acl lvm2 dmsetup mdadm cryptsetup-bin btrfs-progs
libaio1 libargon2-1 libbsd0 libcryptsetup12 libdevmapper-event1.02.1 libjson-c5 liblzo2-2 libmd0
libacl1 libattr1 libaudit1 libblkid1 libbz2-1.0 libc6 libcap-ng0 libcap2 libcom-err2 libcrypt1 libdevmapper1.02.1
libedit2 libefiboot1 libefivar1 libext2fs2 libfdisk1 libgcc-s1 libgcrypt20 libgpg-error0 libgssapi-krb5-2 libinih1
libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1 liblzma5 libmount1 libncursesw6 libnsl2 libpam0g
libpcre2-8-0 libpopt0 libreadline8 libselinux1 libsmartcols1 libssl3 libstdc++6 libsystemd0 libtinfo6 libtirpc3
libudev1 liburcu8 libuuid1 libwrap0 libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1
libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1 libxxhash0 libzstd1 zlib1g
aria2 libaria2-0 libc-ares2 libffi8 libgmp10 libgnutls30 libhogweed6 libicu72 libidn2-0 libnettle8 libp11-kit0 libsqlite3-0 libssh2-1
libtasn1-6 libunistring2 libxml2"
# shellcheck disable=SC2086
fetch "$cache" "$(kernel_package "$kernel")" $packages grub-common grub2-common grub-pc-bin grub-efi-amd64-bin
need grub-mkimage grub-common

tree=$WORK/tree
skeleton "$tree"
mkdir -p "$tree/etc/ssh" "$tree/root/.ssh"
program "$tree" bin/tar bin/zstd bin/xz bin/gzip bin/bzip2 bin/lz4 bin/lsblk bin/mount bin/umount bin/unshare bin/getfattr \
    bin/setfattr bin/ssh-keygen bin/efibootmgr sbin/sfdisk bin/partx sbin/wipefs sbin/blkid sbin/blockdev sbin/mke2fs \
    sbin/e2fsck sbin/resize2fs sbin/tune2fs sbin/mkfs.xfs sbin/xfs_growfs sbin/mkfs.fat sbin/mkswap sbin/kexec sbin/sshd \
    sbin/mkfs.btrfs bin/btrfs sbin/lvm sbin/dmsetup sbin/mdadm sbin/cryptsetup
for link in pvcreate vgcreate lvcreate pvs vgs lvs vgchange; do ln -s lvm "$tree/usr/sbin/$link"; done
# GRUB for both firmwares, for images that bring none
program "$tree" sbin/grub-install bin/grub-mkimage sbin/grub-probe
ln -sf ../sbin/grub-probe "$tree/usr/bin/grub-probe"
for target in i386-pc x86_64-efi; do
    mkdir -p "$tree/usr/lib/grub/$target"
    for file in "$DONOR/usr/lib/grub/$target"/*.mod "$DONOR/usr/lib/grub/$target"/*.lst "$DONOR/usr/lib/grub/$target"/*.img \
        "$DONOR/usr/lib/grub/$target/modinfo.sh"; do
        [ ! -f "$file" ] || cp "$file" "$tree/usr/lib/grub/$target/"
    done
done
for link in ext2 ext3 ext4; do ln -s mke2fs "$tree/usr/sbin/mkfs.$link"; done
ln -s mkfs.fat "$tree/usr/sbin/mkfs.vfat"
ln -s e2fsck "$tree/usr/sbin/fsck.ext4"
ln -s zstd "$tree/usr/bin/unzstd"
ln -s lz4 "$tree/usr/bin/unlz4"
cp "$DONOR/etc/mke2fs.conf" "$tree/etc/"

# what a self-contained .NET agent loads: needed libraries, and OpenSSL by name at run time
for soname in libstdc++.so.6 libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libssl.so.3 libcrypto.so.3; do
    library "$tree" "$soname"
done
install -m 755 "$agent" "$tree/usr/sbin/ka-agent"
libraries "$tree" "$tree/usr/sbin/ka-agent"
busybox "$tree"

early="virtio_pci virtio_net virtio_blk virtio_rng"
late="virtio_scsi? virtio_console? sd_mod? ahci? ata_piix? nvme? ext4? xfs vfat nls_cp437? nls_iso8859-1? nls_ascii? nls_utf8? loop?"
# loaded when a layout or file system asks for them
stacked="dm_mod dm_crypt md_mod raid0 raid1 btrfs xts? ecb? cbc? essiv? aes_generic? aesni_intel? algif_skcipher? sha256_generic?
sha512_generic? blake2b_generic? xxhash_generic? crc32c_generic? crc32c_intel?"
hardware=
if [ "$kernel" = generic ]; then
    hardware="e1000 e1000e igb igc ixgbe ixgbevf i40e iavf ice bnx2 bnx2x bnxt_en tg3 mlx4_en mlx5_core r8169 8139cp? be2net
    enic? ena? sfc? qede? cxgb4? atlantic? vmxnet3 hv_netvsc? hv_storvsc? megaraid_sas mpt3sas hpsa smartpqi aacraid
    mptsas? mptspi? ata_generic? isci? mmc_block sdhci_pci sdhci_acpi? mvsas? pm80xx? vmw_pvscsi? sg?"
    late="$late mmc_block?"
fi
# shellcheck disable=SC2086
modules "$tree" $early $late $stacked efivarfs? $hardware
echo "$late" | tr -d '?' | tr ' ' '\n' | grep . >"$tree/etc/modules"

accounts "$tree"
printf 'NAME="Ka minimal environment"\nID=ka-minimal\n' >"$tree/etc/os-release"
ln -s /proc/mounts "$tree/etc/mtab"
install -m 755 "$here/minimal/init" "$tree/init"
install -m 755 "$here/minimal/udhcpc.script" "$tree/etc/udhcpc.script"
install -m 644 "$here/minimal/inittab" "$tree/etc/inittab"
install -m 755 "$here/minimal/ka-agent-run" "$here/minimal/ka-sshd" "$here/minimal/ka-console" "$tree/usr/sbin/"
install -m 600 "$here/minimal/sshd_config" "$tree/etc/ssh/sshd_config"
chmod 700 "$tree/root/.ssh"
if [ -n "$keys" ]; then install -m 600 "$keys" "$tree/root/.ssh/authorized_keys"; fi

# iPXE for UEFI cannot start a system from the disk; this GRUB finds the ESP's loader and hands over
cat >"$WORK/localdisk.cfg" <<'GRUB'
search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI
if [ -f /EFI/BOOT/BOOTX64.EFI ]; then
    chainloader /EFI/BOOT/BOOTX64.EFI
    boot
fi
exit 1
GRUB
grub-mkimage -O x86_64-efi -d "$DONOR/usr/lib/grub/x86_64-efi" -p /EFI/BOOT -c "$WORK/localdisk.cfg" -o "$WORK/localdisk.efi" \
    part_gpt part_msdos fat search search_fs_file chain normal test echo

# kexec with its libraries, for jumping out of a running system that has none; the agent, for starting it in one
mkdir -p "$WORK/jump/kexec" "$WORK/jump-tree/usr/lib64"
program "$WORK/jump-tree" sbin/kexec
loader "$WORK/jump-tree"
find "$WORK/jump-tree" -type f -exec cp {} "$WORK/jump/kexec/" \;
mv "$WORK/jump/kexec/ld-linux-x86-64.so.2" "$WORK/jump/kexec/ld.so"
tar -c -f "$WORK/kexec.tar" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$WORK/jump" kexec

# a BitTorrent client, a third of the environment's own size: a node that needs it fetches it
mkdir -p "$WORK/swarm/torrent" "$WORK/swarm-tree/usr/lib64"
program "$WORK/swarm-tree" bin/aria2c
loader "$WORK/swarm-tree"
find "$WORK/swarm-tree" -type f -exec cp {} "$WORK/swarm/torrent/" \;
mv "$WORK/swarm/torrent/ld-linux-x86-64.so.2" "$WORK/swarm/torrent/ld.so"
tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$WORK/swarm" torrent | zstd -q -T1 "-$level" -o "$WORK/torrent.tar.zst"

mkdir -p "$out"
cp "$agent" "$WORK/ka-agent"
cp "$DONOR/boot/vmlinuz-$(kernel_version)" "$WORK/vmlinuz"
initramfs "$tree" "$WORK/initramfs.zst" "$level"
{
    echo "# minimal environment, kernel $(kernel_version): package version sha256"
    cat "$WORK/manifest"
    echo "ka-agent - $(sha256sum <"$agent" | cut -d' ' -f1)"
} >"$WORK/manifest.out"
# the kernel's modules are in the initramfs: replace both or none, each by rename
for file in vmlinuz initramfs.zst localdisk.efi kexec.tar torrent.tar.zst ka-agent; do cp "$WORK/$file" "$out/$file.new"; done
for file in vmlinuz initramfs.zst localdisk.efi kexec.tar torrent.tar.zst ka-agent; do mv "$out/$file.new" "$out/$file"; done
cp "$WORK/manifest.out" "$out/manifest"
chmod 644 "$out/vmlinuz" "$out/initramfs.zst" "$out/localdisk.efi" "$out/kexec.tar" "$out/torrent.tar.zst" "$out/manifest"
chmod 755 "$out/ka-agent"
ls -l "$out/vmlinuz" "$out/initramfs.zst"

#!/bin/sh
# Makes a disk image of a system that is there as an archive: GPT with BIOS boot, ESP and root, GRUB for both firmwares.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

help() {
    cat <<'HELP'
Usage: disk.sh --from ARCHIVE --out FILE [options]
Unpacks ARCHIVE (a tar with kernel, initrd and GRUB inside, zstd or plain) into a disk image and makes it boot by its own
GRUB. FILE.raw is the image, FILE.raw.zst the same compressed, FILE.qcow2 with --qcow2. Needs root, loop devices, mounts.

  --from ARCHIVE  what the disk holds
  --out FILE      name without suffix
  --size SIZE     size of the disk (default 1500M)
  --kernel PATH   kernel inside the archive (default /vmlinuz)
  --initrd PATH   initrd inside the archive (default /initrd.img)
  --params TEXT   kernel parameters (default console=ttyS0,115200)
  --qcow2         also FILE.qcow2
HELP
}

from='' out='' size=1500M kernel=/vmlinuz initrd=/initrd.img params=console=ttyS0,115200 qcow2=''
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --from) from=$(value "$@"); shift 2 ;;
        --out) out=$(value "$@"); shift 2 ;;
        --size) size=$(value "$@"); shift 2 ;;
        --kernel) kernel=$(value "$@"); shift 2 ;;
        --initrd) initrd=$(value "$@"); shift 2 ;;
        --params) params=$(value "$@"); shift 2 ;;
        --qcow2) qcow2=yes; shift ;;
        *) usage "unknown option '$1'" ;;
    esac
done
[ -f "$from" ] || usage "--from names no file"
[ -n "$out" ] || usage "--out is missing"
[ "$(id -u)" = 0 ] || die "loop devices and mounts need root"
# What is mounted here is nobody else's business, and is gone with this process.
[ "${KA_IMAGE_MOUNTS:-}" = own ] || KA_IMAGE_MOUNTS=own exec unshare --mount --propagation private "$0" --from "$from" --out "$out" --size "$size" \
    --kernel "$kernel" --initrd "$initrd" --params "$params" ${qcow2:+--qcow2}
need sfdisk fdisk; need losetup mount; need partx util-linux; need mkfs.ext4 e2fsprogs; need mkfs.vfat dosfstools; need tar tar; need zstd zstd; need mcopy mtools
[ -z "$qcow2" ] || need qemu-img qemu-utils
workspace

disk=$WORK/disk
truncate -s "$size" "$disk"
sfdisk --quiet "$disk" <<'LAYOUT'
label: gpt
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=bios
start=2MiB, size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=esp
start=66MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
LAYOUT
loop=$(losetup --find --show "$disk")
trap 'umount -R -l "$WORK/root" 2>/dev/null || true; partx --delete "$loop" 2>/dev/null || true; losetup --detach "$loop" 2>/dev/null || true; rm -rf "$WORK"' EXIT
partx --delete "$loop" 2>/dev/null || true
partx --add "$loop"
mkfs.vfat -n ESP "${loop}p2" >/dev/null
mkfs.ext4 -q -L ka-root "${loop}p3"
root=$WORK/root
mkdir "$root"
mount "${loop}p3" "$root"
tar -x -p --numeric-owner --xattrs --xattrs-include='*' --acls -C "$root" -f "$from"
mkdir -p "$root/boot/efi" "$root/boot/grub"
uuid=$(blkid -c /dev/null -s UUID -o value "${loop}p3")
printf 'UUID=%s / ext4 defaults 0 1\nUUID=%s /boot/efi vfat umask=0077 0 2\n' "$uuid" "$(blkid -c /dev/null -s UUID -o value "${loop}p2")" >"$root/etc/fstab"
cat >"$root/boot/grub/grub.cfg" <<GRUB
set timeout=1
set default=0
menuentry 'Linux' {
    search --no-floppy --fs-uuid --set=root $uuid
    linux $kernel root=UUID=$uuid $params
    initrd $initrd
}
GRUB
for bound in dev proc sys; do mkdir -p "$root/$bound"; mount --bind "/$bound" "$root/$bound"; done
# grub-install does not know loop devices. What it does on a GPT: the core image goes into the BIOS boot partition, the
# boot sector is told its place (offset 0x5C), and its first sector the place of the second (offset 500).
printf 'search --no-floppy --fs-uuid --set=root %s\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$uuid" >"$root/boot/grub/early.cfg"
chroot "$root" grub-mkimage -O i386-pc -p /boot/grub -c /boot/grub/early.cfg -o /boot/grub/core.img \
    biosdisk part_gpt ext2 search search_fs_uuid configfile normal linux gzio echo || die "GRUB for BIOS could not be made"
[ "$(wc -c <"$root/boot/grub/core.img")" -le 1048576 ] || die "GRUB's core image is larger than the BIOS boot partition"
printf '\001\010\000\000\000\000\000\000' | dd of="$root/boot/grub/core.img" bs=1 seek=500 conv=notrunc status=none
dd if="$root/boot/grub/core.img" of="${loop}p1" bs=64K status=none
cp "$root/usr/lib/grub/i386-pc/boot.img" "$WORK/boot.img"
printf '\000\010\000\000\000\000\000\000' | dd of="$WORK/boot.img" bs=1 seek=92 conv=notrunc status=none
dd if="$WORK/boot.img" of="$loop" bs=440 count=1 conv=notrunc status=none
mkdir -p "$root/boot/grub/i386-pc" "$root/boot/grub/x86_64-efi"
cp "$root/usr/lib/grub/i386-pc/"*.mod "$root/usr/lib/grub/i386-pc/"*.lst "$root/boot/grub/i386-pc/"
cp "$root/usr/lib/grub/x86_64-efi/"*.mod "$root/usr/lib/grub/x86_64-efi/"*.lst "$root/boot/grub/x86_64-efi/"
# The ESP is filled without being mounted: not every build host's kernel knows FAT.
chroot "$root" grub-mkimage -O x86_64-efi -p /boot/grub -c /boot/grub/early.cfg -o /boot/grub/BOOTX64.EFI \
    part_gpt ext2 search search_fs_uuid configfile normal linux gzio echo all_video || die "GRUB for UEFI could not be made"
mmd -i "${loop}p2" ::/EFI ::/EFI/BOOT
mcopy -i "${loop}p2" "$root/boot/grub/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
rm "$root/boot/grub/BOOTX64.EFI" "$root/boot/grub/early.cfg" "$root/boot/grub/core.img"
umount -R "$root"
fsck.ext4 -f -p "${loop}p3" >/dev/null || [ $? -le 1 ] || die "the file system is damaged"
partx --delete "$loop"
losetup --detach "$loop"

mkdir -p "$(dirname "$out")"
if [ -n "$qcow2" ]; then
    qemu-img convert -f raw -O qcow2 -c "$disk" "$out.qcow2.new"
    mv "$out.qcow2.new" "$out.qcow2"
fi
zstd -q -f -T0 -3 --sparse "$disk" -o "$out.raw.zst.new"
mv "$out.raw.zst.new" "$out.raw.zst"
mv "$disk" "$out.raw"
ls -l "$out".*

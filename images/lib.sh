# Shared by the image scripts; source it. Everything comes from Debian 12 packages unpacked into a donor tree
# ($DONOR); nothing of the host's own system reaches an image. Programs and libraries keep their merged-/usr paths.

export LC_ALL=C TZ=UTC
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}

# die MESSAGE...: one sentence on stderr, exit 1.
die() { echo "${0##*/}: $*" >&2; exit 1; }

# usage MESSAGE...: like die, exit 2.
usage() { echo "${0##*/}: $*; try --help" >&2; exit 2; }

# need PROGRAM PACKAGE: refuse to start without the program, naming the package that has it.
need() { command -v "$1" >/dev/null 2>&1 || die "the program '$1' is missing; install it with: apt-get install $2"; }

# value OPTION [VALUE]: the option's value, or a usage error.
value() { [ $# -ge 2 ] && [ -n "$2" ] || usage "$1 needs a value"; printf '%s\n' "$2"; }

# workspace: a private directory in $WORK, removed at exit.
workspace() {
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/ka-image.XXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 130' INT TERM
    DONOR=$WORK/donor
}

# kernel_package cloud|generic: the name of the newest kernel package of that flavour.
kernel_package() {
    case $1 in cloud) kp_meta=linux-image-cloud-amd64 ;; *) kp_meta=linux-image-amd64 ;; esac
    kp_name=$(apt-cache --no-all-versions show "$kp_meta" 2>/dev/null | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p')
    [ -n "$kp_name" ] || die "apt knows no package '$kp_meta'; Debian 12 package lists are needed, run: apt-get update"
    echo "$kp_name"
}

# fetch CACHE PACKAGE...: downloads the candidate versions into CACHE (what is there already is verified, not fetched
# again), unpacks them into $DONOR and writes "name version sha256" lines to $WORK/manifest.
fetch() {
    f_cache=$1; shift
    mkdir -p "$f_cache" "$DONOR"
    f_cache=$(cd "$f_cache" && pwd)
    for f_dir in bin sbin lib lib64; do
        mkdir -p "$DONOR/usr/$f_dir"
        [ -e "$DONOR/$f_dir" ] || ln -s "usr/$f_dir" "$DONOR/$f_dir"
    done
    apt-get --print-uris download "$@" >"$WORK/uris" 2>"$WORK/apt.err" ||
        die "apt cannot resolve the packages (run apt-get update?): $(tail -n 1 "$WORK/apt.err")"
    (cd "$f_cache" && apt-get -q -o APT::Sandbox::User=root download "$@") >"$WORK/apt.err" 2>&1 ||
        die "apt cannot download the packages: $(tail -n 1 "$WORK/apt.err")"
    awk '{ print $2 }' "$WORK/uris" | sort -u | while read -r f_deb; do
        dpkg-deb --fsys-tarfile "$f_cache/$f_deb" | tar -x --keep-directory-symlink -C "$DONOR"
        echo "$(dpkg-deb -f "$f_cache/$f_deb" Package) $(dpkg-deb -f "$f_cache/$f_deb" Version) $(sha256sum <"$f_cache/$f_deb" | cut -d' ' -f1)"
    done >>"$WORK/manifest"
    sort -o "$WORK/manifest" "$WORK/manifest"
}

# skeleton TREE: an empty root with merged /usr.
skeleton() {
    mkdir -p "$1"
    for s_dir in bin sbin lib lib64; do
        mkdir -p "$1/usr/$s_dir"
        [ -e "$1/$s_dir" ] || ln -s "usr/$s_dir" "$1/$s_dir"
    done
    for s_dir in dev etc mnt proc root run sys tmp var var/log; do mkdir -p "$1/$s_dir"; done
    ln -sf ../run "$1/var/run"
    chmod 700 "$1/root"
    chmod 1777 "$1/tmp"
}

# libraries TREE FILE: copies the closure of FILE's needed libraries from the donor tree.
libraries() {
    for l_name in $(readelf -d "$2" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do library "$1" "$l_name"; done
}

# library TREE SONAME: one library and what it needs itself.
library() {
    case $2 in ld-linux*) lib_dirs='usr/lib64 usr/lib/x86_64-linux-gnu' ;; *) lib_dirs='usr/lib/x86_64-linux-gnu usr/lib' ;; esac
    for lib_dir in $lib_dirs; do
        [ -e "$1/$lib_dir/$2" ] && return 0
        [ -e "$DONOR/$lib_dir/$2" ] || continue
        mkdir -p "$1/$lib_dir"
        cp -L "$DONOR/$lib_dir/$2" "$1/$lib_dir/$2"
        libraries "$1" "$1/$lib_dir/$2"
        return 0
    done
    die "no fetched package has the library '$2'; add its package to the list in this script"
}

# program TREE PATH...: programs of the donor tree (paths below /usr) with their libraries.
program() {
    p_tree=$1; shift
    for p_path in "$@"; do
        [ -e "$DONOR/usr/$p_path" ] || die "no fetched package has /usr/$p_path"
        mkdir -p "$p_tree/usr/${p_path%/*}"
        rm -f "$p_tree/usr/$p_path"
        cp -L "$DONOR/usr/$p_path" "$p_tree/usr/$p_path"
        libraries "$p_tree" "$p_tree/usr/$p_path"
    done
}

# loader TREE: the dynamic loader itself.
loader() {
    cp -L "$DONOR/usr/lib64/ld-linux-x86-64.so.2" "$1/usr/lib64/ld-linux-x86-64.so.2" 2>/dev/null ||
        cp -L "$DONOR/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$1/usr/lib64/ld-linux-x86-64.so.2"
}

# busybox TREE: busybox with a link for every applet that no real program in the tree provides.
busybox() {
    program "$1" bin/busybox
    loader "$1"
    "$1/usr/lib64/ld-linux-x86-64.so.2" --library-path "$1/usr/lib/x86_64-linux-gnu" "$1/usr/bin/busybox" --list |
        while read -r b_applet; do
            for b_dir in bin sbin; do [ -e "$1/usr/$b_dir/$b_applet" ] || [ -L "$1/usr/$b_dir/$b_applet" ] && continue 2; done
            case $b_applet in
                init|modprobe|depmod|insmod|rmmod|getty|reboot|poweroff|halt|switch_root|udhcpc) b_dir=sbin ;;
                *) b_dir=bin ;;
            esac
            ln -s /bin/busybox "$1/usr/$b_dir/$b_applet"
        done
}

# kernel_version: the version of the one kernel in the donor tree.
kernel_version() { basename "$(echo "$DONOR"/boot/vmlinuz-*)" | sed 's/^vmlinuz-//'; }

# modules TREE MODULE...: modules with their dependencies; a name ending in '?' may be missing or built in.
modules() {
    m_tree=$1; shift
    m_version=$(kernel_version)
    m_from=$DONOR/usr/lib/modules/$m_version
    m_to=$m_tree/usr/lib/modules/$m_version
    mkdir -p "$m_to"
    [ -e "$m_from/modules.dep" ] || depmod -b "$DONOR" "$m_version"
    for m_name in "$@"; do
        modprobe -d "$DONOR" -S "$m_version" --show-depends "${m_name%\?}" 2>/dev/null ||
            [ "$m_name" != "${m_name%\?}" ] || die "the kernel has no module '$m_name'"
    done | sed -n "s|^insmod .*/$m_version/\([^ ]*\).*|\1|p" | sort -u | while read -r m_file; do
        mkdir -p "$m_to/${m_file%/*}"
        cp "$m_from/$m_file" "$m_to/$m_file"
    done
    cp "$m_from/modules.order" "$m_from/modules.builtin" "$m_from/modules.builtin.modinfo" "$m_to/"
    depmod -b "$m_tree" "$m_version"
    # busybox reads the text indices only
    rm -f "$m_to"/*.bin "$m_to"/modules.builtin* "$m_to/modules.order" "$m_to/modules.devname"
}

# accounts TREE: root (no password, keys only) and sshd.
accounts() {
    printf 'root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n' >"$1/etc/passwd"
    printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$1/etc/group"
    printf 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n' >"$1/etc/shadow"
    chmod 600 "$1/etc/shadow"
    printf '/bin/sh\n' >"$1/etc/shells"
    printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$1/etc/nsswitch.conf"
    printf '127.0.0.1 localhost\n' >"$1/etc/hosts"
}

# dated TREE: every time stamp becomes SOURCE_DATE_EPOCH.
dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# initramfs TREE FILE LEVEL: newc archive, root-owned, sorted, zstd; equal trees give equal bytes.
initramfs() {
    dated "$1"
    (cd "$1" && find . -mindepth 1 | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | zstd -q -f --single-thread "-$3" -o "$2"
}

# tool_needs: the programs that every image script uses.
tool_needs() {
    need apt-get apt; need dpkg-deb dpkg; need tar tar; need cpio cpio; need zstd zstd
    need readelf binutils; need depmod kmod; need modprobe kmod; need sha256sum coreutils
}

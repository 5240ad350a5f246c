# Sourced by demo.sh and test.sh: installs what is missing on a Debian 12 machine, and says so.
# Usage: needs SET…   (sets: lab, images, tests, broadcast, native)

packages_of() {
    case $1 in
        lab) echo "qemu-system-x86 qemu-utils seabios ipxe-qemu ipxe ovmf openipmi ipmitool iproute2 procps openssh-client" ;;
        images) echo "zstd xz-utils gzip bzip2 lz4 cpio kmod binutils ca-certificates mmdebstrap fakeroot attr acl libcap2-bin grub-common fdisk e2fsprogs dosfstools mtools util-linux mount qemu-utils" ;;
        tests) echo "aria2 shim-signed grub-efi-amd64-signed clustershell python3 dnsmasq-base curl findutils mount e2fsprogs xfsprogs btrfs-progs dosfstools fdisk util-linux attr acl libcap2-bin systemd ifupdown python3-gi gir1.2-nm-1.0 slurm-wlm munge snmp snmpd" ;;
        broadcast) echo "iproute2 mbuffer netcat-openbsd gcc libc6-dev openssl" ;;
        native) echo "gcc libc6-dev" ;;
    esac
}

needs() {
    missing=''
    for set in "$@"; do
        for package in $(packages_of "$set"); do
            dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
        done
    done
    if [ -n "$missing" ]; then
        echo "installing from Debian:$missing" >&2
        as_root=''
        [ "$(id -u)" = 0 ] || as_root=sudo
        # A fresh machine has no package lists yet.
        $as_root apt-get update -q >/dev/null
        # shellcheck disable=SC2086
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
    fi
    command -v dotnet >/dev/null || {
        echo "the .NET 10 SDK is missing: see https://learn.microsoft.com/dotnet/core/install/linux-debian" >&2
        exit 1
    }
}

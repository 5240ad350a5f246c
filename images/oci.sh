#!/bin/sh
# Makes a container image of a system that is there as an archive: an OCI layout of two layers without kernel, modules
# and bootloader. The second layer removes and replaces something of the first, as real images do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

help() {
    cat <<'HELP'
Usage: oci.sh --from ARCHIVE --out DIR [options]
Writes an OCI image layout of ARCHIVE (a tar, zstd or plain) to DIR. Needs root (owners, capabilities).

  --from ARCHIVE  the system
  --out DIR       where the layout goes; what is there is replaced
  --tag NAME      its name in the layout (default latest)
HELP
}

from='' out='' tag=latest
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) help; exit 0 ;;
        --from) from=$(value "$@"); shift 2 ;;
        --out) out=$(value "$@"); shift 2 ;;
        --tag) tag=$(value "$@"); shift 2 ;;
        *) usage "unknown option '$1'" ;;
    esac
done
[ -f "$from" ] || usage "--from names no file"
[ -n "$out" ] || usage "--out is missing"
case $tag in *[!A-Za-z0-9._-]* | '') usage "--tag is '$tag', expected letters, digits, '.', '_' and '-'" ;; esac
need tar tar; need gzip gzip; need zstd zstd; need sha256sum coreutils
workspace

layout=$WORK/layout
mkdir -p "$layout/blobs/sha256" "$WORK/one" "$WORK/two"
tar -x -p --numeric-owner --xattrs --xattrs-include='*' --acls --exclude=./boot/* --exclude=./usr/lib/modules/* \
    --exclude=./usr/lib/grub/* --exclude=./usr/sbin/grub* --exclude=./usr/bin/grub* --exclude=./vmlinuz* --exclude=./initrd.img* -C "$WORK/one" -f "$from"
mkdir "$WORK/one/opt/whole"
echo first >"$WORK/one/opt/replaced"; echo first >"$WORK/one/opt/removed"; echo first >"$WORK/one/opt/whole/hidden"
mkdir -p "$WORK/two/opt/whole"
echo second >"$WORK/two/opt/replaced"; : >"$WORK/two/opt/.wh.removed"; : >"$WORK/two/opt/whole/.wh..wh..opq"; echo second >"$WORK/two/opt/whole/seen"

# blob FILE: moves the file to its place and prints "sha256 size".
blob() {
    b_hash=$(sha256sum <"$1" | cut -d' ' -f1)
    b_size=$(wc -c <"$1")
    mv "$1" "$layout/blobs/sha256/$b_hash"
    echo "$b_hash $b_size"
}
# layer DIR PROGRAM...: packs a layer and prints "diff-id sha256 size".
layer() {
    l_dir=$1; shift
    tar -C "$l_dir" --create --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
        --numeric-owner --xattrs --xattrs-include='*' --acls --mtime="@$SOURCE_DATE_EPOCH" -f "$WORK/layer.tar" .
    l_diff=$(sha256sum <"$WORK/layer.tar" | cut -d' ' -f1)
    "$@" <"$WORK/layer.tar" >"$WORK/layer.packed"
    rm "$WORK/layer.tar"
    echo "$l_diff $(blob "$WORK/layer.packed")"
}
# shellcheck disable=SC2046
set -- $(layer "$WORK/one" zstd -q -3) $(layer "$WORK/two" gzip -n)
printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' "$1" "$4" >"$WORK/config"
config=$(blob "$WORK/config")
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"sha256:%s","size":%s},{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' \
    "${config% *}" "${config#* }" "$2" "$3" "$5" "$6" >"$WORK/manifest"
manifest=$(blob "$WORK/manifest")
printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"amd64","os":"linux"},"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
    "${manifest% *}" "${manifest#* }" "$tag" >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
mv "$layout" "$out"
ls -l "$out/blobs/sha256"

#!/bin/bash
# Builds the images that demo and tests deploy, unless they are newer than what they are made of.
# Usage: build-images.sh DIR minimal|tiny|debian12|debian12-full|disk|cloud|oci …
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
dir=$1
shift
agent=$here/artifacts/publish/agent/ka-agent

# Whether FILE exists and is newer than all of the rest.
fresh() {
    local file=$1
    shift
    [ -f "$file" ] && [ -z "$(find "$@" \( -name obj -o -name bin \) -prune -o -type f -newer "$file" -print -quit)" ]
}

for image in "$@"; do
    case $image in
        minimal)
            fresh "$agent" "$here"/src/Ka.{Core,Protocol,Broadcast,Agent} || {
                echo "publishing the agent"
                "$here/packaging/publish.sh" Ka.Agent "$(dirname "$agent")"
                touch "$agent"
            }
            fresh "$dir/minimal/initramfs.zst" "$agent" "$here/images" || {
                echo "building the minimal environment"
                "$here/images/minimal.sh" --agent "$agent" --out "$dir/minimal" --level 9
                touch "$dir/minimal/initramfs.zst"
            }
            ;;
        tiny | debian12)
            fresh "$dir/$image/$image.tar.zst" "$here/images" || {
                echo "building the environment $image"
                "$here/images/$image.sh" --out "$dir/$image"
                touch "$dir/$image/$image.tar.zst"
            }
            ;;
        debian12-full)
            fresh "$dir/$image/$image.tar.zst" "$here/images" || {
                echo "building the environment $image"
                "$here/images/debian12.sh" --full --out "$dir/$image"
                touch "$dir/$image/$image.tar.zst"
            }
            ;;
        disk)
            "$0" "$dir" debian12
            fresh "$dir/disk/disk.raw.zst" "$dir/debian12/debian12.tar.zst" "$here/images/disk.sh" || {
                echo "building a disk image of debian12"
                "$here/images/disk.sh" --from "$dir/debian12/debian12.tar.zst" --out "$dir/disk/disk"
                touch "$dir/disk/disk.raw.zst"
            }
            ;;
        cloud)
            fresh "$dir/cloud/debian12-cloud.tar.zst" "$here/images/debian12.sh" "$here/images/lib.sh" || {
                echo "building debian12 with cloud-init"
                "$here/images/debian12.sh" --out "$dir/cloud" --name debian12-cloud --with cloud-init,netplan.io --level 3
                touch "$dir/cloud/debian12-cloud.tar.zst"
            }
            fresh "$dir/cloud/cloud.qcow2" "$dir/cloud/debian12-cloud.tar.zst" "$here/images/disk.sh" || {
                echo "building a qcow2 image of it"
                "$here/images/disk.sh" --from "$dir/cloud/debian12-cloud.tar.zst" --out "$dir/cloud/cloud" --qcow2
                touch "$dir/cloud/cloud.qcow2"
            }
            ;;
        oci)
            "$0" "$dir" tiny
            fresh "$dir/oci/index.json" "$dir/tiny/tiny.tar.zst" "$here/images/oci.sh" || {
                echo "building a container image of tiny"
                "$here/images/oci.sh" --from "$dir/tiny/tiny.tar.zst" --out "$dir/oci"
                touch "$dir/oci/index.json"
            }
            ;;
        *) echo "build-images.sh: '$image' is not known" >&2; exit 2 ;;
    esac
done

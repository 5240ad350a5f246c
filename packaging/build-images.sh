#!/bin/bash
# Builds the images that demo and tests deploy, unless they are newer than what they are made of.
# Usage: build-images.sh DIR minimal|tiny|debian12|debian12-full …
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
dir=$1
shift
agent=$here/artifacts/publish/Ka.Agent/release_linux-x64/ka-agent

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
                dotnet publish "$here/src/Ka.Agent" -c Release -r linux-x64 -v q -nologo -clp:ErrorsOnly
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
        *) echo "build-images.sh: '$image' is not known" >&2; exit 2 ;;
    esac
done

#!/bin/sh
# Partitions a node's disk in place of Ka's own partitioning. Runs in the minimal environment with the KADEPLOY_* variables.
# Must make the partitions of the cluster's layout, in its order; Ka formats and mounts them afterwards.
set -eu
wipefs --all --force --quiet "$KADEPLOY_BLOCK_DEVICE"
sfdisk --quiet --wipe always "$KADEPLOY_BLOCK_DEVICE" <<TABLE
label: gpt
size=1MiB,   type=21686148-6449-6E6F-744E-656564454649, name="bios"
size=256MiB, type=uefi,  name="esp"
size=8GiB,   type=swap,  name="swap"
size=40GiB,  type=linux, name="root"
             type=linux, name="prod"
TABLE

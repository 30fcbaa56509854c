#!/bin/sh
# Mounts the data disk of a storage node, if it is not mounted yet.
set -eu

disk=/dev/nvme1n1
mountpoint=/var/lib/storage

if mountpoint -q "$mountpoint"; then
    exit 0
fi
mkdir -p "$mountpoint"
mount "$disk" "$mountpoint"

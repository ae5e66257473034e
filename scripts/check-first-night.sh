#!/usr/bin/env bash
# From a fresh Debian and the package to a first archived window and a first night, by the README's words, against the simulated
# platform: scripts/first-night.sh. By hand, as root: needs debootstrap and what scripts/package.sh needs, and fetches some 90 MB of
# Debian.
#
#     scripts/check-first-night.sh [PACKAGE.deb]
#
# FRESH_SUITE (bookworm) must be no older than the system that the program was built on.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
# Never what is mounted below it, should debootstrap be stopped in the middle.
trap 'rm -rf --one-file-system "$folder"' EXIT

mkdir "$folder/given"
deb=${1:-$(scripts/package.sh "$folder")}
cp "$deb" "$folder/given/archive.deb"
cp scripts/first-night.sh "$folder/given"
debootstrap --variant=minbase --include=systemd "${FRESH_SUITE:-bookworm}" "$folder/debian" \
    "${FRESH_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log" || { tail "$folder/debootstrap.log"; exit 1; }
scripts/in-a-copy.sh "$folder/debian" "$folder/given" bash /mnt/first-night.sh /mnt/archive.deb

#!/usr/bin/env bash
# From a fresh Debian and the package to a first archived window, by the README's words, against the simulated platform. By hand, as
# root: needs debootstrap and what scripts/package.sh needs, and fetches some 60 MB of Debian.
#
#     scripts/check-first-night.sh [PACKAGE.deb]
#
# FRESH_SUITE (bookworm) must be no older than the system that the program was built on.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
root=$folder/debian
simulated=
clean_up() {
    [ -z "$simulated" ] || kill "$simulated" 2>/dev/null || true
    # Never what is mounted below it: the tree of this machine's processes and devices is not this folder's.
    umount "$root/proc" 2>/dev/null || true
    mountpoint -q "$root/proc" 2>/dev/null || rm -rf --one-file-system "$folder"
}
trap clean_up EXIT

deb=${1:-$(scripts/package.sh "$folder")}
debootstrap --variant=minbase "${FRESH_SUITE:-bookworm}" "$root" "${FRESH_MIRROR:-http://deb.debian.org/debian}" >"$folder/debootstrap.log"
mount -t proc proc "$root/proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp "$deb" "$root/root/archive.deb"
inside() { chroot "$root" "$@"; }
inside env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends /root/archive.deb >"$folder/apt.log"

# The platform, as the README has it.
# Not "inside": what is ended is to be the server, not a shell that waits for it.
chroot "$root" archive simulate --listen 127.0.0.1:0 >"$folder/simulated" &
simulated=$!
until grep -q 'listening on' "$folder/simulated"; do sleep 0.1; done
url=$(sed -n 's/^listening on //p' "$folder/simulated")

as_archive() {
    inside runuser -u archive -- env -C /var/lib/archive ARCHIVE_SECRET_FILE=/etc/archive/archive.secret "$@"
}
inside install -o archive -m 600 /dev/null /etc/archive/archive.secret
echo rehearsal-secret >"$root/etc/archive/archive.secret"
as_archive archive init --akey rehearsal --url "$url" -o /etc/archive/jobs.toml
as_archive archive check /etc/archive/jobs.toml
from=$(date -u -d '2 hours ago' +%Y-%m-%dT%H:00:00Z)
to=$(date -u -d '2 hours ago' +%Y-%m-%dT%H:10:00Z)
device=$(sed -n 's/^devices = "\([0-9]*\).*/\1/p' "$root/etc/archive/jobs.toml" | head -1)
as_archive archive --config /etc/archive/jobs.toml --device "$device" --from "$from" --to "$to"
as_archive archive status --config /etc/archive/jobs.toml
inside find /var/lib/archive/recordings -name '*.flv' -ls
inside find /var/lib/archive/recordings -name '*.flv' | grep -q .
echo "a first window is archived, on a fresh $(inside cat /etc/debian_version)"

#!/usr/bin/env bash
# Runs a command in a copy of a system, started by systemd as a service of it, with a journal. What it changes stays in memory and
# goes away with it; the network is this machine's. Prints what the command prints, and ends with its exit code.
#
#     scripts/in-a-copy.sh SYSTEM FOLDER COMMAND…      SYSTEM is / for this machine, or the folder of another one
#
# FOLDER is /mnt in the copy, and may be written. After COPY_LIMIT seconds (300) it is killed. Needs root, systemd in SYSTEM, and a
# kernel that lets this root mount overlays and control groups, as on a machine of one's own: a container engine rarely does.
set -euo pipefail

if [ "${1:-}" != --laid ]; then
    system=$(realpath "$1") folder=$(realpath "$2")
    shift 2
    # systemd makes its control groups below one of our own.
    groups=$(findmnt -n -t cgroup2 -o TARGET | head -1)
    [ -n "$groups" ] || { echo "$0: no control groups of version 2 are mounted here" >&2; exit 1; }
    group=$groups/copy-of-a-system-$$
    lay=$(mktemp -d)
    : >"$lay/printed"
    clean_up() {
        # Who was killed takes a moment to go.
        echo 1 >"$group/cgroup.kill"
        for _ in {1..100}; do
            ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || break
            sleep 0.1
        done
        rm -rf --one-file-system "$lay"
    }
    trap clean_up EXIT
    mkdir "$group"
    code=0
    # Only what starts it moves there: an empty group can be removed.
    bash -c '
        echo 0 >"$1/cgroup.procs"
        shift
        exec timeout -s KILL "${COPY_LIMIT:-300}" unshare --mount --pid --fork --cgroup --ipc --uts --propagation private --kill-child "$@"
    ' copy "$group" bash "$0" --laid "$lay" "$system" "$folder" "$@" || code=$?
    cat "$lay/printed"
    exit "$code"
fi

lay=$2 system=$3 folder=$4
shift 4
mkdir "$lay/memory"
# As much as programs ask for before they begin; what is not written takes nothing.
mount -t tmpfs -o size=32g tmpfs "$lay/memory"
cd "$lay/memory"
mkdir changes work root
mount -t overlay -o "lowerdir=$system,upperdir=changes,workdir=work" overlay root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/printed
mount --bind "$lay/printed" dev/printed
mount --bind "$folder" mnt
# A name server that is written at start lies below /run.
resolv=$(cat /etc/resolv.conf)
rm -f etc/resolv.conf
echo "$resolv" >etc/resolv.conf

# Nothing of the system itself is started: no mounts, no settings of the kernel, no services.
rm -rf usr/lib/systemd/system-generators usr/lib/systemd/system/*.wants etc/systemd/system/*.wants
mkdir -p run/systemd/system old
printf '%q ' "$@" >run/command
cat >run/systemd/system/command.service <<'UNIT'
[Unit]
SuccessAction=exit
FailureAction=exit
Wants=systemd-journald.service
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/bash /run/command
WorkingDirectory=/root
Environment=HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
StandardOutput=append:/dev/printed
StandardError=append:/dev/printed
UNIT
pivot_root . old
umount -l /old
# As systemd finds it on a machine: what it mounts for a service is seen by the others.
mount --make-rshared /
exec env -i container=copy PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=command.service --log-target=journal-or-kmsg --show-status=0

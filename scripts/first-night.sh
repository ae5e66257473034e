#!/usr/bin/env bash
# From the package to a first archived window, and to a night that systemd starts, by the README's words and against the simulated
# platform. On a system that is thrown away afterwards: scripts/check-package.sh and scripts/check-first-night.sh call it there.
#
#     scripts/first-night.sh PACKAGE.deb
set -euo pipefail

fail() {
    echo "first-night: $*" >&2
    exit 1
}

[ "$(cat /run/systemd/container 2>/dev/null)" = copy ] || fail "this is not a copy: scripts/in-a-copy.sh makes one"

# Seconds for an index of manual pages that nobody opens.
rm -f /var/lib/man-db/auto-update
apt-get install -q -y --no-install-recommends "$1" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "it cannot be installed"; }
[ "$(stat -c '%U %a' /var/lib/archive)" = "archive 750" ] || fail "the package leaves /var/lib/archive to somebody else"
archive --version

# The platform, as the README has it.
archive simulate --listen 127.0.0.1:0 >/tmp/simulated &
until grep -q 'listening on' /tmp/simulated; do
    kill -0 $! || fail "the simulated platform ended"
    sleep 0.1
done
url=$(sed -n 's/^listening on //p' /tmp/simulated)

# runuser is what sudo is to root.
install -o archive -m 600 /dev/null /etc/archive/archive.secret
echo rehearsal-secret >/etc/archive/archive.secret
as_archive() {
    runuser -u archive -- env -C /var/lib/archive ARCHIVE_SECRET_FILE=/etc/archive/archive.secret archive "$@"
}
as_archive init --akey rehearsal --url "$url" -o /etc/archive/jobs.toml
as_archive check /etc/archive/jobs.toml
from=$(date -u -d '2 hours ago' +%Y-%m-%dT%H:00:00Z)
to=$(date -u -d '2 hours ago' +%Y-%m-%dT%H:10:00Z)
device=$(sed -n 's/^devices = "\([0-9]*\).*/\1/p' /etc/archive/jobs.toml | head -1)
as_archive --config /etc/archive/jobs.toml --device "$device" --from "$from" --to "$to"
as_archive status --config /etc/archive/jobs.toml
find /var/lib/archive/recordings -name '*.flv' | grep . || fail "nothing was archived"

# The timer, and what it starts: half an hour of all cameras, which are kept for some time.
systemctl enable --now archive.timer archive-verify.timer archive-prune.timer
systemctl list-timers --no-pager
[ "$(systemctl is-active archive.timer archive-verify.timer archive-prune.timer | sort -u)" = active ] || fail "a timer is not active"
sed -i 's/^# hours = .*/hours = ["09:00-09:30"]/; s/^# keep = /keep = /' /etc/archive/jobs.toml

# Waits until a unit has run, and holds its end to this.
ended() {
    until [[ $(systemctl show --value -p ActiveState "$1") = @(inactive|failed) ]]; do sleep 0.1; done
    journalctl --sync
    local how
    how=$(systemctl show -p Result -p ExecMainCode -p ExecMainStatus "$1" | sort | paste -s -d ' ')
    echo "$1: $how"
    [[ $how = $2 ]] && return
    journalctl --no-pager -o cat -u "$1" | tail -40
    fail "$1 was to end with $2"
}
# By itself (1: CLD_EXITED), with one of these codes, and systemd is content.
for unit in archive archive-verify archive-prune; do
    systemctl start "$unit"
    ended "$unit" 'ExecMainCode=1 ExecMainStatus=[03] Result=success'
    journalctl --no-pager -o cat -u "$unit" | grep -v '^device ' | tail -8
done
[ "$(find /var/lib/archive/recordings -name '*T09[012]000+0800_600s.flv' | wc -l)" -gt 6 ] || fail "the night archived too little"

# Live, until it is stopped: what streams is kept as far as it came.
printf '\n[[job]]\nname = "tills"\nkind = "live"\ndevices = "2,5"\n' >>/etc/archive/jobs.toml
systemctl enable --now archive-live
for _ in {1..600}; do
    streaming=$(find /var/lib/archive/recordings/.live -type f -size +8k 2>/dev/null || true)
    [ -z "$streaming" ] || break
    sleep 0.1
done
[ -n "$streaming" ] || { journalctl --no-pager -o cat -u archive-live; fail "nothing streams after a minute"; }
systemctl stop archive-live
journalctl --sync
journalctl --no-pager -o cat -u archive-live | tail -8 | tee /tmp/live
grep -q '^archive-live.service: Deactivated successfully' /tmp/live || fail "archive-live did not end as it should"
find /var/lib/archive/recordings -name '*_live.*' | grep . || fail "nothing was recorded live"

# Removed, it leaves what was archived.
dpkg --purge archive >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "it cannot be removed"; }
[ ! -e /usr/bin/archive ] || fail "the program is left"
[ -n "$(find /var/lib/archive/recordings -name '*.flv')" ] || fail "the recordings went with the package"
echo "first-night: a first window, a night by systemd, and a live stream are archived, on Debian $(cat /etc/debian_version)"

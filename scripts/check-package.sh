#!/usr/bin/env bash
# The Debian package is made, and what is in it works. Needs what scripts/package.sh needs.
#
#     scripts/check-package.sh
#
# It is unpacked into a folder. Where CI=true and this is root, on a machine that is thrown away, it is installed too.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
deb=$(scripts/package.sh "$folder")
root=$folder/root
dpkg-deb -x "$deb" "$root"
archive=$root/usr/bin/archive
if [ "${CI:-}" = true ] && [ "$(id -u)" -eq 0 ]; then
    apt-get install -q -y --no-install-recommends "$deb"
    archive=/usr/bin/archive
    id archive
    [ "$(stat -c '%U %a' /var/lib/archive)" = "archive 750" ]
fi

"$archive" --version
status=0
"$archive" rehearse --root "$folder/rehearsal" || status=$?
# One camera's footage has a hole.
[ "$status" -eq 3 ]
for page in archive archive-run archive-check; do
    zcat "$root/usr/share/man/man1/$page.1.gz" | grep '^\.TH archive' >/dev/null
done
bash -n "$root/usr/share/bash-completion/completions/archive"
dpkg-deb --field "$deb" Depends | grep adduser >/dev/null
if command -v systemd-analyze >/dev/null; then
    for unit in "$root"/usr/lib/systemd/system/archive*; do
        # Where the program lies.
        sed -i "s|^ExecStart=/usr/bin/archive|ExecStart=$archive|" "$unit"
        SYSTEMD_UNIT_PATH=$root/usr/lib/systemd/system: systemd-analyze verify --man=no "$unit"
    done
    for unit in "$root"/usr/lib/systemd/system/archive*.service; do
        systemd-analyze security --no-pager --offline=true --threshold=20 "$unit" | tail -1
    done
fi
echo "$(basename "$deb"), $(stat -c %s "$deb") bytes: all is in it, and it runs"

#!/usr/bin/env bash
# The Debian package is made, and what is in it works. Needs what scripts/package.sh needs.
#
#     scripts/check-package.sh
#
# It is unpacked into a folder. Where this is root, it is installed too, in a copy of this machine, and its units are started there:
# scripts/first-night.sh says what is done with it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=${PACKAGE_PROGRAM:-${CARGO_TARGET_DIR:-target}/release/archive}
# Symbols would be most of what is compressed.
strip -o "$folder/program" "$program"
deb=$(PACKAGE_PROGRAM=$folder/program scripts/package.sh "$folder" --fast)
root=$folder/root
dpkg-deb -x "$deb" "$root"
archive=$root/usr/bin/archive

"$archive" --version
for page in archive archive-run archive-check; do
    zcat "$root/usr/share/man/man1/$page.1.gz" | grep '^\.TH archive' >/dev/null
done
bash -n "$root/usr/share/bash-completion/completions/archive"
dpkg-deb --field "$deb" Depends | grep adduser >/dev/null
# Its units are judged in tests/it/unit_oracles.rs.
diff -r packaging/systemd "$root/usr/lib/systemd/system"

if [ "$(id -u)" -eq 0 ]; then
    cp scripts/first-night.sh "$folder"/
    scripts/in-a-copy.sh / "$folder" bash /mnt/first-night.sh "/mnt/$(basename "$deb")"
else
    echo "not installed, and no unit started: that needs root"
fi
echo "$(basename "$deb"), $(stat -c %s "$deb") bytes: all is in it, and it runs"

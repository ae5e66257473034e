#!/usr/bin/env bash
# Runs the main job against the simulated platform and checks what it leaves behind: the exit code, the time, the one
# gap, and, with ffmpeg as an independent judge, every published file.
#
#     scripts/check-rehearsal.sh [PROGRAM]     the program is target/release/archive unless said
#
# Needs ffmpeg and sqlite3.
set -euo pipefail

program=${1:-${CARGO_TARGET_DIR:-target}/release/archive}
longest_seconds=20
gaps_remain=3

fail() {
    echo "check-rehearsal: $*" >&2
    exit 1
}

for tool in ffmpeg sqlite3; do
    command -v "$tool" >/dev/null || fail "$tool is not installed"
done
[ -x "$program" ] || fail "there is no program $program; run: cargo build --release"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

begun=$(date +%s%N)
code=0
"$program" rehearse --root "$root" --quiet || code=$?
milliseconds=$((($(date +%s%N) - begun) / 1000000))

[ "$code" -eq "$gaps_remain" ] || fail "exit code $code, expected $gaps_remain: one hole is in the footage"
[ "$milliseconds" -lt $((longest_seconds * 1000)) ] || fail "it took $milliseconds ms, over $longest_seconds s"

ask() {
    sqlite3 -readonly "$root/ledger.db" "$1"
}

gaps=$(ask "SELECT count(*) || ' ' || group_concat(cause) FROM gaps")
[ "$gaps" = "1 no footage" ] || fail "expected one gap without footage, the ledger says: $gaps"

# Every row has its file, every file its row, and nothing is left half done.
diff <(ask "SELECT path FROM recordings ORDER BY path") \
    <(cd "$root" && find . -name '*.flv' -printf '%P\n' | LC_ALL=C sort) ||
    fail "the ledger's recordings (<) and the files (>) differ"
staged=$(find "$root/.staging" -type f | wc -l)
[ "$staged" -eq 0 ] || fail "$staged files are left in staging"

decode() {
    said=$(ffmpeg -v error -nostdin -i "$1" -f null - 2>&1) || said="exit code $?: $said"
    [ -z "$said" ] || echo "$1: $said"
}
export -f decode
complaints=$(find "$root" -name '*.flv' -print0 | xargs -0 -n 1 -P "$(nproc)" bash -c 'decode "$1"' decode)
[ -z "$complaints" ] || fail "ffmpeg complains: $complaints"

files=$(ask "SELECT count(*) FROM recordings")
[ "$files" -gt 0 ] || fail "nothing was archived"
echo "check-rehearsal: exit $code after $milliseconds ms; ffmpeg decoded $files files without a word; one gap: no footage"

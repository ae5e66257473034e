#!/usr/bin/env bash
# A Debian package of the program that is built: cargo build --release. Needs cargo-deb: cargo install --locked cargo-deb
#
#     scripts/package.sh FOLDER [ARGUMENT OF CARGO-DEB…]        writes archive_….deb into it, and prints its path
#
# PACKAGE_PROGRAM (target/release/archive) is another build of the program, for a trial of the package itself.
set -euo pipefail
to=$(realpath "$1")
shift
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
program=${PACKAGE_PROGRAM:-$target/release/archive}
if [ ! -x "$program" ]; then
    echo "$0: there is no $program: cargo build --release" >&2
    exit 1
fi
# What cargo-deb packs is laid out as it is named in Cargo.toml, whatever the target folder is called.
lay=$(mktemp -d)
trap 'rm -rf "$lay"' EXIT
cp -a Cargo.toml Cargo.lock README.md README.zh-CN.md CHANGELOG.md LICENSE-* jobs.example.toml packaging docs migrations src benches "$lay"/
# Nothing is built here, and a cargo-deb that is older than the edition would not read it.
sed -i 's/^edition = .*/edition = "2021"/' "$lay/Cargo.toml"
mkdir -p "$lay/target/release" "$lay/target/package/man"
cp "$program" "$lay/target/release/archive"
"$program" man "$lay/target/package/man"
"$program" completions bash >"$lay/target/package/archive.bash"
"$program" completions zsh >"$lay/target/package/_archive"
"$program" completions fish >"$lay/target/package/archive.fish"

mkdir -p "$to"
(cd "$lay" && CARGO_TARGET_DIR=target cargo deb --no-build --quiet --output "$to" "$@" >&2)
ls -t "$to"/archive_*.deb | head -1

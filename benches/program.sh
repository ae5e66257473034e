# Sourced by the benches of the whole program, with what must be installed: installs it, and builds the program unless
# ARCHIVE_PROGRAM names one. Gives it as $program.
PATH=$PATH:/usr/sbin
scripts/install-missing.sh "$@" >&2

program=${ARCHIVE_PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --release --locked --bin archive
    program=${CARGO_TARGET_DIR:-target}/release/archive
fi

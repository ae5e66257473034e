#!/usr/bin/env bash
# What it costs to bring recordings in, beside tools that only copy bytes: `archive`, which checks, hashes, syncs, renames and
# keeps its ledger meanwhile, and curl, aria2c, wget and cp, which do not. benches/transfer.py has the measuring.
#
#     benches/transfer.sh                                        five rounds; about half an hour, and 5 GB of memory
#     TRANSFER_MB=64 TRANSFER_PACED_MB=4 TRANSFER_ROUNDS=1 benches/transfer.sh      to try it out
#
# Settings: TRANSFER_MB (256) of each of the 16 files in bulk, TRANSFER_PACED_MB (64) of each of the 64 that are paced at
# 1 MiB/s, TRANSFER_ROUNDS (5), TRANSFER_MODES (bulk,paced), TRANSFER_TOOLS (archive,unhashed,curl,aria2c,wget,cp),
# TRANSFER_SOURCES (a folder in memory for what is served; /dev/shm), TRANSFER_TO (a folder on the disk that is written to;
# TMPDIR or /tmp), and ARCHIVE_PROGRAM and ARCHIVE_UNHASHED, programs that are there already. Servers listen on free ports of
# the loopback interface, and end with it.
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh nginx=nginx curl=curl aria2c=aria2 wget=wget python3=python3
# The same program with hashing left out: the others do not hash either.
if [[ ${TRANSFER_TOOLS:-unhashed} = *unhashed* && -z ${ARCHIVE_UNHASHED:-} ]]; then
    target=${CARGO_TARGET_DIR:-target}/unhashed
    RUSTFLAGS="${RUSTFLAGS:-} --cfg unhashed" cargo build --release --locked --bin archive --target-dir "$target"
    export ARCHIVE_UNHASHED=$target/release/archive
fi
exec python3 -B benches/transfer.py "$program"

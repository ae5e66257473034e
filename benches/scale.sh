#!/usr/bin/env bash
# What a night costs `archive` itself: nights of 10, 100, 1,000 and 10,000 cameras with tiny recordings, so that nothing is
# measured but the program's own work for each window. benches/scale.py has the measuring.
#
#     benches/scale.sh                                                       three rounds; about half an hour
#     SCALE_SIZES=10,100,1000 SCALE_ROUNDS=1 benches/scale.sh                to try it out
#
# Settings: SCALE_SIZES (10,100,1000,10000), how many cameras; SCALE_WINDOWS (6) of each; SCALE_ROUNDS (3); SCALE_STREAMS (64) at
# once; SCALE_UNDER, a command that the program is run under, such as "perf record -g"; SCALE_SOURCES (a folder in memory for
# what is served; /dev/shm), SCALE_TO (a folder on the disk that is written to; TMPDIR or /tmp), and ARCHIVE_PROGRAM, a program
# that is there already. Servers listen on free ports of the loopback interface, and end with it.
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh nginx=nginx python3=python3
exec python3 -B benches/scale.py "$program"

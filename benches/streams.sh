#!/usr/bin/env bash
# 256 streams at once: paced at 2 Mbit/s each, which is what cameras send, and as fast as they come, which is what makes read
# buffers grow. How much processor time and memory they take, and whether one of them is left waiting. benches/streams.py has the
# measuring.
#
#     benches/streams.sh                                             one round; about five minutes, and 13 GB of disk for a while
#     STREAMS_MB=8 STREAMS_FAST_MB=8 benches/streams.sh              to try it out
#
# Settings: STREAMS_MB (30) of each stream when paced, two minutes; STREAMS_FAST_MB (50) of each when not; STREAMS_COUNT (256);
# STREAMS_ROUNDS (1); STREAMS_MODES (paced,fast); STREAMS_SOURCES (a folder in memory for what is served; /dev/shm), STREAMS_TO (a
# folder on the disk that is written to; TMPDIR or /tmp), and ARCHIVE_PROGRAM, a program that is there already. Servers listen on
# free ports of the loopback interface, and end with it.
set -euo pipefail
cd "$(dirname "$0")/.."

. benches/program.sh nginx=nginx python3=python3
exec python3 -B benches/streams.py "$program"

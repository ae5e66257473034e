#!/usr/bin/env bash
# Installs Debian's packages for what is not there. No service that comes with them is started: tests and benches start
# their own.
#
#     scripts/install-missing.sh THING=PACKAGE…     a thing is a command, or the path of a file
set -euo pipefail

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Not in every user's search path, and there all the same.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "$@"; do
    thing=${pair%%=*}
    command -v "$thing" >/dev/null || [ -e "$thing" ] || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

# Debian asks this file before it starts a service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
fi
as_root apt-get update -q
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"

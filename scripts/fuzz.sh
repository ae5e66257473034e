#!/usr/bin/env bash
# Fuzzes: runs each target for some time and prints a line for each, to be copied into a note. Inputs that reach
# something new are kept in fuzz/corpus/ for the next time, one that breaks a property in fuzz/artifacts/. Needs what a build
# needs, and a C++ compiler; installs cargo-fuzz beside the build if it is not there.
#
#     scripts/fuzz.sh [SECONDS] [TARGET…]      1200 seconds each, all targets
set -euo pipefail
cd "$(dirname "$0")/.."

# cargo-fuzz asks the compiler for its sanitizer, which stable compilers have too, and hide.
export RUSTC_BOOTSTRAP=1
# The sanitizer keeps freed memory for a while, 256 MB unless it is told otherwise: memory that grows would not be seen.
export ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16}

seconds=1200
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/targets && printf '%s\n' *.rs | sed 's/\.rs$//')
for target in "${targets[@]}"; do
    [ -e "fuzz/targets/$target.rs" ] || { echo "there is no target $target; there are: $(ls fuzz/targets)" >&2; exit 2; }
done

tools=$PWD/${CARGO_TARGET_DIR:-target}/ci-tools
[[ ${CARGO_TARGET_DIR:-target} = /* ]] && tools=$CARGO_TARGET_DIR/ci-tools
PATH=$tools/bin:$PATH
command -v cargo-fuzz >/dev/null || RUSTC_BOOTSTRAP=0 cargo install --locked --version '^0.13' --root "$tools" cargo-fuzz

# The longest input that is tried, in bytes: enough for what the target reads to happen more than once.
longest() {
    case $1 in
    amf) echo 512 ;;
    times | names) echo 256 ;;
    catalog | containers) echo 8192 ;;
    *) echo 4096 ;;
    esac
}

# Runs a target for so many seconds, its output in $log.
run() {
    cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$1" -max_len="$(longest "$target")" -dict="fuzz/dictionaries/$target.dict" \
        -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 -print_final_stats=1 -reload=0 >"$log" 2>&1
}

# The last value of a statistic at the end of $log, or of a word in its last line of progress.
stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
word() { { grep -E "^#[0-9]+.* cov: " "$log" || true; } | tail -1 | sed -n "s/.* $1: \([^ ]*\).*/\1/p"; }

cargo fuzz build
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
rows=("target | seconds | executions | per second | coverage | features | corpus | peak memory | found")
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    log=$logs/$target
    executions=0 memory=0 found= begun=$SECONDS
    while left=$((seconds - SECONDS + begun)) && [ "$left" -gt 0 ]; do
        status=0
        run "$left" || status=$?
        executed=$(stat number_of_executed_units) peak=$(stat peak_rss_mb)
        executions=$((executions + ${executed:-0}))
        [ "${peak:-0}" -le "$memory" ] || memory=$peak
        [ "$status" -ne 0 ] || break
        found=$(sed -n 's/.*Test unit written to *//p' "$log" | tail -1)
        # A machine that slept, or was busy with something else, makes any input seem slow.
        if [[ $found = */timeout-* ]] && timeout 60 cargo fuzz run "$target" "$found" -- -timeout=10 >/dev/null 2>&1; then
            echo "$target: an input that took long does not when it is run alone; going on" >&2
            rm "$found"
            found=
            continue
        fi
        failed=1
        found=${found:-see above}
        # What happened, without the dump of the input.
        grep -vE '^#[0-9]|^INFO|^0x|NEW_FUNC' "$log" | tail -40 >&2
        break
    done
    spent=$((SECONDS - begun))
    rows+=("$target | $spent | $executions | $((executions / (spent > 0 ? spent : 1))) | $(word cov) | $(word ft) | $(word corp) | $memory MB | ${found:-nothing}")
    echo "${rows[-1]}"
done
printf '\n'
printf '%s\n' "${rows[@]}" | column -t -s '|'
exit "$failed"

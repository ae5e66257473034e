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
    containers) echo 8192 ;;
    *) echo 4096 ;;
    esac
}

cargo fuzz build
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
rows=("target | executions | per second | coverage | features | new inputs | corpus | slowest | peak memory | found")
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    log=$logs/$target
    status=0
    # The libraries' own allocations are bounded with the rest: what grows with an input's claims is a find.
    cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len="$(longest "$target")" -dict="fuzz/dictionaries/$target.dict" \
        -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 -print_final_stats=1 -verbosity=1 -reload=0 \
        >"$log" 2>&1 || status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    progress=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -1 || true)
    word() { sed -n "s/.* $1: \([^ ]*\).*/\1/p" <<<"$progress"; }
    found=$(sed -n 's/.*Test unit written to *//p' "$log" | tail -1)
    rows+=("$target | $(stat number_of_executed_units) | $(stat average_exec_per_sec) | $(word cov) | $(word ft) | $(stat new_units_added) | $(word corp) | $(stat slowest_unit_time_sec) s | $(stat peak_rss_mb) MB | ${found:-nothing}")
    if [ "$status" -ne 0 ]; then
        failed=1
        # What happened, without the dump of the input.
        grep -vE '^#[0-9]|^INFO|^0x|NEW_FUNC' "$log" | tail -40 >&2
    fi
    echo "${rows[-1]}"
done
printf '\n'
printf '%s\n' "${rows[@]}" | column -t -s '|'
exit "$failed"

#!/usr/bin/env bash
# The same tests on other stores than a folder with a ledger in a file, and kills of the real program there. Needs PostgreSQL's
# programs, and one of the object stores of tests/it/object_store_server.rs.
#
#     scripts/check-stores.sh postgres             the ledger on a PostgreSQL server
#     scripts/check-stores.sh s3                   recordings in an object store
#     scripts/check-stores.sh postgres,s3          both
#     scripts/check-stores.sh s3 kill:: stop::     of the tests those whose names have that
#     TORTURE_KILLS=1000 scripts/check-stores.sh postgres,s3
set -euo pipefail
cd "$(dirname "$0")/.."

export ARCHIVE_TEST_STORES=${1:?postgres, s3 or postgres,s3}
shift

# Which files of tests mean the same wherever an archive is:
#
# kill, stop                    kills, and signals
# kill_live                     kills of live runs
# healing                       what a live recording lacks, fetched from the recorder
# folding                       old attempts
# outcomes, codes               whatever a platform and its streams may come to
# commands                      gaps by command and by SQL, plans, jobs, secrets
#
# All others mean a file, a folder or a disk by what they test (faults, fault_matrix, power_oracles, verify, prune, reindex, mp4, export,
# slow_disk, check, init, migrate), set up stores of their own (postgres, hosts, many_hosts, object_night, vault_contract), or
# ask what has nothing to do with where an archive is.
tests=(kill:: kill_live:: stop:: healing:: folding:: outcomes:: codes:: commands::)

# And of those files, these do not.
skipped=(
    # Another file.
    shown_commands::
    # A folder of its own, in the current one.
    a_rehearsal_never_touches_what_is_there
    the_rehearsal_ends_with_one_gap_and_exit_code_3
)
case $ARCHIVE_TEST_STORES in *postgres*)
    skipped+=(
        # A file of an older version.
        an_older_ledger_is_brought_up_to_date_by_a_run
        what_an_older_version_left_is_found_without_a_note_and_once
        # Any number of runs may work with one on a server.
        a_second_run_on_the_same_ledger_is_refused_and_names_the_first
        # There a run puts right what concerns its own cameras, and so stumbles over the same place again.
        a_noted_file_that_cannot_be_looked_at_stays_noted_and_keeps_no_run_from_its_work
    )
    ;;
esac
case $ARCHIVE_TEST_STORES in *s3*)
    skipped+=(
        # A file in the place of a folder.
        a_noted_file_that_cannot_be_looked_at_stays_noted_and_keeps_no_run_from_its_work
        # Live recording within the test's own process, into a folder.
        healing::
        a_live_run_folds_too
    )
    ;;
esac

if [ $# -gt 0 ]; then tests=("$@"); fi
arguments=("${tests[@]}")
for name in "${skipped[@]}"; do arguments+=(--skip "$name"); done
cargo test --release --locked --test it -- "${arguments[@]}"
cargo test --release --locked --test torture -- --nocapture

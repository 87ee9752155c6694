#!/usr/bin/env bash
# One fuzz target for MANDRILL_FUZZ_SECONDS (10): fuzz.sh FUZZER GROWN DICTIONARY SEEDS...
# GROWN keeps what it finds of interest for the next run. An input that fails is shown, and stays in GROWN-failed.
set -euo pipefail
fuzzer=$1 grown=$2 dictionary=$3
shift 3
failed=$grown-failed
mkdir -p "$grown" "$failed"
folders=()
for folder in "$@"; do
    [ -d "$folder" ] && folders+=("$folder")
done
log=$(mktemp)
trap 'rm -f "$log" /dev/shm/mandrill-fuzz-*-"${pid:-none}"*' EXIT
# Its own lines go on; what the code under test says to people does not.
"$fuzzer" -max_total_time="${MANDRILL_FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 -close_fd_mask=3 -print_final_stats=1 \
    -dict="$dictionary" -artifact_prefix="$failed/" "$grown" "${folders[@]}" >"$log" 2>&1 &
pid=$!
if wait "$pid"; then
    grep -E 'INFO: Seed|DONE|stat::(number_of_executed_units|peak_rss)' "$log"
    exit 0
fi
grep -v '^#' "$log" | tail -n 100
for input in "$failed"/*; do
    [ -e "$input" ] && printf '%s\n' "$input" && od -An -tx1 -v "$input" | head -n 40
done
printf 'Mend it, and keep the input in tests/fuzz/regressions/%s.\n' "$(basename "$grown")"
exit 1

#!/usr/bin/env bash
# What a message costs in CPU, as a multiple of what it costs in the raw loop (floor.c) measured beside it: the part of the speed that is
# the same on any machine. Medians of alternating runs. Fails when the raw loop's share of the cost has fallen by more than a quarter.
#
#   ratio.sh MANDRILL FLOOR [flag of bench...]
set -euo pipefail

mandrill=$1 floor=$2
expected=1.5 # docs/PERFORMANCE.md, "Speed"
runs=5 count=200000

# cost COMMAND...: CPU a message in microseconds.
cost() {
    local report
    report=$("$@" --count "$count" 2>/dev/null) || { echo "FAILED: $*" >&2; exit 1; }
    sqlite3 :memory: "SELECT json_extract('${report//\'/\'\'}', '\$.cpu_us_per_message')"
}
median() {
    sort -n | sed -n "$((runs / 2 + 1))p"
}
pipelines='' floors=''
for ((run = 0; run < runs; run++)); do
    pipelines+=$(cost "$mandrill" bench --json "${@:3}")$'\n'
    floors+=$(cost "$floor")$'\n'
done
pipeline=$(printf %s "$pipelines" | median)
raw=$(printf %s "$floors" | median)
awk -v pipeline="$pipeline" -v raw="$raw" -v expected="$expected" 'BEGIN {
    ratio = pipeline / raw
    worst = expected / 0.75
    printf "%.2f us of CPU a message, raw loop %.2f us: %.2f times as much, expected %.2f, at most %.2f\n", pipeline, raw, ratio, expected, worst
    if (ratio > worst)
        print "FAILED: too much"
    exit ratio > worst
}'

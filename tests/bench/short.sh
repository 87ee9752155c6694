#!/usr/bin/env bash
# A short run of `mandrill bench`, judged by what must hold on any machine: all acked, nothing twice, memory
# bounded. How fast it was is printed and not judged.
#
#   short.sh MANDRILL COUNT [flag of bench...]
set -euo pipefail

mandrill=$1 count=$2
report=$("$mandrill" bench --json --count "$count" "${@:3}")
printf '%s\n' "$report"

# The values of a path below the report, one a line.
values() {
    sqlite3 :memory: "$1" <<<'' | sed '/^$/d'
}
quoted=${report//\'/\'\'}
expect() {
    local got
    got=$(values "$2")
    if [ "$got" != "$3" ]; then
        echo "FAILED: $1: expected $3, got $got"
        exit 1
    fi
}
expect "acked" "SELECT json_extract('$quoted', '\$.acked')" "$count"
expect "duplicates" "SELECT json_extract('$quoted', '\$.duplicates')" 0
expect "dead" "SELECT json_extract('$quoted', '\$.dead')" 0
expect "roles" "SELECT count(*) >= 4 FROM json_each('$quoted', '\$.roles')" 1
expect "roles above 150 MB" "SELECT count(*) FROM json_each('$quoted', '\$.roles')
    WHERE coalesce(json_extract(value, '\$.rss_mb'), 999) > 150" 0

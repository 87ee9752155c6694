#!/bin/sh
# Runs the fault suite of a build and prints what it saw as a table, for docs/RELIABILITY.md.
#
#   tests/faults/table.sh BUILD            the tests of ./check
#   tests/faults/table.sh BUILD ci         the longer ones
#   tests/faults/table.sh BUILD long       those that take hours
#
# What has changed is built first: tests of an older build print an older table. Some minutes on two processors.
# Exit 1 when a test failed: then the table holds what the others saw.
set -eu
build=${1:?usage: table.sh BUILD [ci|long]}
case ${2:-} in
'') label=faults ;;
ci | long) label=$2 ;;
*)
    sed -n 's/^# \{0,1\}//; 2,9p' "$0" >&2
    exit 2
    ;;
esac
cmake --build "$build" >&2
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
code=0
MANDRILL_FIGURES=$rows ctest --test-dir "$build" -L "^$label\$" -j 4 --output-on-failure --no-tests=error >&2 || code=1
echo '| what was done | cycles | messages | confirmed | lost | duplicates | double work | recovery p50 / max |'
echo '|---|---|---|---|---|---|---|---|'
LC_ALL=C sort "$rows"
exit "$code"

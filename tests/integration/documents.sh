#!/bin/sh
# What README.md and docs/RELIABILITY.md show is so: each command parses, each test is there.
#   documents.sh SOURCE-FOLDER PROGRAM-FOLDER BUILD-FOLDER
# The commands are called with -n, which checks their flags and ends.
set -eu
source=$(cd "$1" && pwd)
programs=$(cd "$2" && pwd)
build=$(cd "$3" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failed=0
count=0

fail() {
    printf '%s\n' "$1"
    failed=1
}

# Of the lines that are indented, put together where one goes on: without comments, behind the last pipe, not in the background, for a
# shell in which the programs are on the path. What is none of ours is left out.
shown() {
    sed -n 's/^    \(.*\)/\1/p' "$1" | sed ':join
/\\$/ { N; s/ *\\\n */ /; b join
}' | sed 's/ &$//; s/  *#.*//; s/.*| *//; s|^build/bin/||; s|^\./run\b|mandrill up|' |
        grep -E '^mandrill(-[a-z]+)? '
}

check_commands() {
    shown "$1" > list
    # What a command reads.
    printf 'consumer\n    max-tries = 3\n' > mandrill.zpl
    while IFS= read -r line; do
        count=$((count + 1))
        # Whether there is an engine, a command, a server, a token is looked at last: with none the flags are good.
        PATH=$programs:$PATH sh -c "$line -n" < /dev/null > told 2>&1 ||
            grep -qE ": (no Docker engine answers at |the server cannot be reached: |cannot read /etc/mandrill/|'[a-z/]*' is (not there|in no folder of PATH))" told ||
            fail "$1: $line: $(cat told)"
    done < list
}

# Names of tests as ctest has them: `suite.name`.
check_tests() {
    ctest --test-dir "$build" -N > tests
    tr '\140' '\n' < "$1" | grep -xE '(unit|contract|integration|faults|sim|compose)\.[a-z_]+' | sort -u > named # between backticks
    while IFS= read -r name; do
        count=$((count + 1))
        grep -qE " $name\$" tests || fail "$1: there is no test $name"
    done < named
}

check_commands "$source/README.md"
[ "$count" -ge 20 ] || fail "README.md: only $count commands were found"
count=0
check_tests "$source/docs/RELIABILITY.md"
[ "$count" -ge 20 ] || fail "RELIABILITY.md: only $count tests were found"
exit $failed

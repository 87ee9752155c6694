#!/bin/sh
# The flags that --help tells of and those in the table of docs/ARCHITECTURE.md are the same: flags_documented.sh SOURCE-FOLDER PROGRAM-FOLDER
set -eu
document=$1/docs/ARCHITECTURE.md
programs=$2
failed=0

# Words that begin with -- , but what every program has.
flags() {
    grep -oE -- '--(\[no-\])?[a-z][a-z-]*' | sed 's/\[no-\]//' | sort -u |
        grep -vxE -- '--(config|log-level|help|version|no-[a-z-]*)'
}

check() {
    row=$1
    shift
    told=$("$@" --help | sed -n '/^Options:/,/^Common options:/p' | grep -E '^  +(-[a-z], )?--' | sed 's/  *[A-Z].*//' | flags)
    written=$(grep -F "| $row |" "$document" | flags)
    if [ -z "$told" ] || [ "$told" != "$written" ]; then
        printf '%s: --help tells of\n%s\n    the document of\n%s\n' "$row" "$told" "$written"
        failed=1
    fi
}

check mandrill-publisher "$programs/mandrill-publisher"
check mandrill-consumer "$programs/mandrill-consumer"
check mandrill-worker "$programs/mandrill-worker"
for command in up publish load status health dead bench; do
    check "mandrill $command" "$programs/mandrill" "$command"
done
exit $failed

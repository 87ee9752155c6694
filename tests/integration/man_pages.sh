#!/bin/sh
# The manual says what --help says: each program and command has a page, with the same options, their arguments, their
# defaults, and which of them SIGHUP reloads; and groff finds nothing to warn of.
#   man_pages.sh SOURCE-FOLDER PROGRAM-FOLDER BUILD-FOLDER
set -eu
manual=$(cd "$1" && pwd)/docs/man
source=$(cd "$1" && pwd)
programs=$(cd "$2" && pwd)
built=$(cd "$3" && pwd)/man
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

fail() {
    printf '%s\n' "$1"
    failed=1
}

# "OPTION ARGUMENT | default | SIGHUP", a line for each, from lines "OPTION ARGUMENT<tab>text".
facts() {
    awk -F '\t' '{
        fallback = reloads = ""
        if (match($2, /\(default [^)]*\)/))
            fallback = substr($2, RSTART + 9, RLENGTH - 10)
        if ($2 ~ /\(SIGHUP\)/)
            reloads = "SIGHUP"
        # Words in place of a value are told in words here and there.
        if (fallback ~ /^HOST:PID/)
            fallback = ""
        print $1 " | " fallback " | " reloads
    }' | sort
}

# Of --help: an option begins at column 3, its text at a column that is the same for all of them.
told() {
    "$@" --help | sed -n '/^Options:/,/^Examples:/p' | awk '
        /^  -/ { if (option) print option "\t" text
                 option = text = substr($0, 3)
                 sub(/  .*/, "", option)
                 sub(/^.*[^ ]  +/, "", text)
                 if (text == option) text = ""
                 next }
        /^   / { more = $0; sub(/^ */, "", more); text = text " " more; next }
        END { print option "\t" text }' | facts
}

# Of a page, below OPTIONS and COMMON OPTIONS: "*--flag* _ARGUMENT_" and indented lines.
written() {
    "$manual/expand.sh" "$1" | sed 's/[\\*]//g' | awk '
        /^(#|-)/ { if (option) print option "\t" text
                   option = text = "" }
        /^#/ { inside = /OPTIONS$/ }
        inside && /^-/ { option = $0; gsub(/_/, "", option) }
        inside && /^\t/ { more = $0; sub(/^\t/, "", more); text = text " " more }
        END { if (option) print option "\t" text }' | facts
}

check_options() {
    page=$1
    shift
    [ -e "$manual/$page.scd" ] || { fail "there is no docs/man/$page.scd"; return; }
    told "$@" > "$folder/told"
    written "$manual/$page.scd" > "$folder/written"
    [ "$(wc -l < "$folder/told")" -ge 5 ] || fail "$*: --help could not be read"
    diff "$folder/told" "$folder/written" > "$folder/diff" ||
        fail "$page: < --help, > the page:
$(cat "$folder/diff")"
}

for program in publisher consumer worker; do
    check_options "mandrill-$program.8" "$programs/mandrill-$program"
done
commands=$("$programs/mandrill" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for command in $commands; do
    grep -q "^\*$command\*" "$manual/mandrill.1.scd" || fail "mandrill.1: \"$command\" is missing"
    case $command in
    help | version) ;;
    *) check_options "mandrill-$command.1" "$programs/mandrill" "$command" ;;
    esac
done
for kind in $("$programs/mandrill-worker" --help | sed -n 's/^  mandrill-worker --kind \([^ ]*\).*/\1/p'); do
    grep -qx "\*$kind\*" "$manual/mandrill-worker.8.scd" || fail "mandrill-worker.8: the kind \"$kind\" is missing"
done
for section in $(sed -n '/sections\[\] = {/,/}/p' "$source/common/runtime/config_file.c" | grep -o '"[a-z]*"' | tr -d '"'); do
    sed -n '/^# SECTIONS/,/^# VALUES/p' "$manual/mandrill.zpl.5.scd" | grep -q "\*$section\*" ||
        fail "mandrill.zpl.5: the section \"$section\" is missing"
done

for page in "$manual"/*.scd; do
    name=$(basename "$page" .scd)
    if [ ! -e "$built/$name" ]; then
        fail "$name has not been built: scdoc was missing when $3 was configured"
        continue
    fi
    LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$built/$name" 2> "$folder/warnings" > /dev/null ||
        fail "$name: man cannot show it"
    [ ! -s "$folder/warnings" ] || fail "$name: $(cat "$folder/warnings")"
    # The pages that a page names are there, or are the system's.
    for other in $(grep -o '\*mandrill[a-z.-]*\*([0-9])' "$page" | tr -d '*()' | sed 's/.$/.&/' | sort -u); do
        [ -e "$manual/$other.scd" ] || fail "$name names $other, which is not there"
    done
done
exit $failed

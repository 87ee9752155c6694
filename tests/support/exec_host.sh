#!/bin/sh
# Hosts that are files, for commands that restart them: what was done to one is there, whatever became of who did it.
#
#   exec_host.sh DIR observe HOST           "boot-<count of its restarts>" and for how many seconds it is up
#   exec_host.sh DIR restart HOST [ID]      with an ID only when it is still that; else exit 9
#   exec_host.sh DIR health HOST
#   exec_host.sh DIR                        the same by words of SSH_ORIGINAL_COMMAND: the forced command of an sshd
#
# DIR/HOST.restarts has a byte for each restart, DIR/log a line for each call, DIR/running a file for each restart
# that is under way, DIR/most the most that were there at once. What a host does stands before its first dash:
#   refuses  exit 3, not restarted         broken   exit 4, not restarted, and says much
#   slow     waits for DIR/go first        held     is restarted, and waits for DIR/go
#   hung     never ends, not by SIGTERM    cut      is restarted, exit 255; over ssh its connection is cut
#   ill      is not well                   odd      says no id
#   off      cannot be looked at           wide     takes 50 ms
set -u
dir=$1
shift
if [ $# -eq 0 ]; then
    # Words have no quotes here: ssh has joined them.
    # shellcheck disable=SC2086
    set -- ${SSH_ORIGINAL_COMMAND:?}
fi
what=$1 host=$2 id=${3:-}
file=$dir/$host.restarts
[ -e "$file" ] || { : >"$file" && touch -d '1 day ago' "$file"; }
printf '%s %s %s\n' "$what" "$host" "$id" >>"$dir/log"

count() {
    wc -c <"$1" | tr -d ' '
}

observe() {
    case $host in
    off-*) echo "no route to $host" >&2 && exit 1 ;;
    odd-*) echo '(it is a teapot)' && exit 0 ;;
    esac
    echo "a warning that nobody asked for" >&2
    echo "boot-$(count "$file") $(($(date +%s) - $(stat -c %Y "$file"))).25 99.5"
}

wait_for_go() {
    while [ ! -e "$dir/go" ]; do sleep 0.01; done
}

restart() {
    case $host in
    refuses-*) echo 'it is in production' && exit 3 ;;
    broken-*) printf 'broken: \033[1m' && yes because | head -c 5000 && echo ' pipe' >&2 && exit 4 ;;
    hung-*)
        trap '' TERM
        echo $$ >"$dir/$host.pid"
        echo 'calling'
        while :; do sleep 60; done
        ;;
    slow-*) wait_for_go ;;
    esac
    if [ -n "$id" ] && [ "$id" != "boot-$(count "$file")" ]; then
        echo "it is no longer $id"
        exit 9
    fi
    mkdir -p "$dir/running" && : >"$dir/running/$host"
    # shellcheck disable=SC2012
    ls "$dir/running" | wc -l >>"$dir/most"
    printf x >>"$file"
    case $host in
    held-*)
        echo $$ >"$dir/$host.pid"
        wait_for_go
        ;;
    wide-*) sleep 0.05 ;;
    esac
    rm -f "$dir/running/$host"
    case $host in
    cut-*)
        [ -z "${SSH_CONNECTION:-}" ] || kill -9 "$PPID"
        exit 255
        ;;
    esac
    echo "restarting $host"
}

case $what in
observe) observe ;;
restart) restart ;;
health)
    case $host in
    ill-*) echo 'two units failed' && exit 1 ;;
    esac
    ;;
*) echo "what is $what?" >&2 && exit 64 ;;
esac

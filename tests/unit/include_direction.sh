#!/usr/bin/env bash
# Fails when an #include arrow runs the wrong way (docs/ARCHITECTURE.md, "What depends on what").
#
#   include_direction.sh ROOT          checks the sources below ROOT
#   include_direction.sh --self-test   shows that each rule can fail
set -euo pipefail

# Reads lines "FILE:LINE:#include ..." and prints those that break a rule.
check_lines() {
    awk '
    function say(why) { printf "%s: %s %s\n", place, target, why; bad = 1 }
    function starts(text, prefix) { return index(text, prefix) == 1 }
    {
        split($0, part, ":")
        file = part[1]
        place = part[1] ":" part[2]
        target = $0
        ours = target ~ /#[ \t]*include[ \t]*"/
        sub(/^.*#[ \t]*include[ \t]*["<]/, "", target)
        sub(/[">].*$/, "", target)
    }
    # A name without its folder, or one that climbs, would hide where the arrow goes.
    ours && target !~ /^(common\/(core|runtime)|publisher|consumer|workers|cli)\/[a-z0-9_\/]+\.h$/ {
        say("is not written from the root of the sources"); next
    }
    ours && starts(file, "common/core/") && !starts(target, "common/core/") { say("is not of the core") }
    ours && starts(file, "common/runtime/") && !starts(target, "common/") { say("lies above the runtime") }
    ours && file ~ /^(publisher|consumer|workers|cli)\// && !starts(target, "common/") {
        program = file; sub(/\/.*$/, "/", program)
        if (!starts(target, program)) say("is another program")
    }
    ours && file ~ /^workers\/[a-z0-9_]+\// && starts(target, "workers/") && target != "workers/worker.h" {
        kind = file; sub(/[^\/]*$/, "", kind)
        if (!starts(target, kind) && !starts(target, "workers/http/"))
            say("is not for kinds, which see workers/worker.h and workers/http only")
    }
    # What several kinds share is below them.
    ours && starts(file, "workers/http/") && !starts(target, "workers/http/") && !starts(target, "common/") {
        say("is no part of HTTP, which sees common only")
    }
    !ours && starts(file, "common/core/") &&
        target ~ /^(zmq|czmq|jansson|sqlite3|pthread|time|unistd|fcntl|poll|signal|syslog|threads)\.h$|^(sys|net|netinet|arpa)\// {
        say("has no place in the core: no socket, clock, disk or log")
    }
    !ours && target ~ /^msgpack/ && file != "common/core/codec.c" { say("belongs into common/core/codec.c only") }
    !ours && target == "sqlite3.h" && file !~ /^(publisher\/outbox[a-z_]*|common\/runtime\/sqlite_rows)\.[ch]$/ &&
        file != "workers/save/save_sqlite.c" { say("belongs into the outbox and save_sqlite.c only") }
    ours && target == "common/runtime/sqlite_rows.h" &&
        file !~ /^(publisher\/outbox[a-z_]*|common\/runtime\/sqlite_rows)\.[ch]$/ &&
        file != "workers/save/save_sqlite.c" { say("brings SQLite along: it belongs into the outbox and save_sqlite.c only") }
    !ours && target ~ /^(postgresql\/)?libpq-fe\.h$/ && file !~ /^workers\/save\/save_postgres[a-z_]*\.c$/ {
        say("belongs into save_postgres.c only")
    }
    !ours && target ~ /^curl\// && file !~ /^workers\/http\/client[a-z_]*\.[ch]$/ {
        say("belongs into the HTTP client only")
    }
    END { exit bad }'
}

check_tree() {
    local folders=() folder
    for folder in common publisher consumer workers cli; do
        [ -d "$1/$folder" ] && folders+=("$folder")
    done
    if [ ${#folders[@]} -eq 0 ]; then
        echo "no sources below $1" >&2
        return 2
    fi
    (cd "$1" && grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' "${folders[@]}") | check_lines
}

# Each row: a file, the include that it must not have, a part of what is told.
self_test() {
    local failures=0 file include want told
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    expect() {
        file=$1 include=$2 want=$3
        rm -rf "${root:?}"/*
        mkdir -p "$root/common/core" "$root/$(dirname "$file")"
        echo '#include "common/core/heap.h"' >"$root/common/core/good.c"
        printf '/* x */\n%s\n' "$include" >"$root/$file"
        told=$(check_tree "$root") && told="passed: $told"
        if [ "$want" = pass ]; then want="passed: "; else want="$file:2: *$want*"; fi
        # shellcheck disable=SC2053 # $want is a pattern
        if [[ "$told" != $want ]]; then
            echo "FAILED: $include in $file: expected \"$want\", got \"$told\""
            failures=$((failures + 1))
        fi
    }
    expect common/core/a.c '#include "common/runtime/log.h"' "not of the core"
    expect common/core/a.h '#include "publisher/outbox.h"' "not of the core"
    expect common/core/a.c '  #  include <time.h>' "no place in the core"
    expect common/core/a.c '#include <sys/socket.h>' "no place in the core"
    expect common/core/a.c '#include <msgpack.h>' "codec.c only"
    expect common/core/codec.c '#include <msgpack.h>' pass
    expect common/core/codec.c '#include "common/core/buffer.h"' pass
    expect common/core/a.c '#include "heap.h"' "not written from the root"
    expect common/core/a.c '#include "common/core/../runtime/log.h"' "not written from the root"
    expect common/runtime/a.c '#include "workers/worker.h"' "above the runtime"
    expect common/runtime/a.c '#include "common/core/heap.h"' pass
    expect common/runtime/a.c '#include <msgpack.h>' "codec.c only"
    expect publisher/a.c '#include "consumer/consumer.h"' "another program"
    expect consumer/a.c '#include "publisher/outbox.h"' "another program"
    expect cli/a.c '#include "publisher/outbox.h"' "another program"
    expect workers/a.c '#include "cli/cli.h"' "another program"
    expect workers/a.c '#include "workers/runtime.h"' pass
    expect workers/save/a.c '#include "workers/runtime.h"' "not for kinds"
    expect workers/save/a.c '#include "workers/restart/rule.h"' "not for kinds"
    expect workers/save/a.c '#include "workers/save/rows.h"' pass
    expect workers/save/a.c '#include "workers/worker.h"' pass
    expect publisher/publisher.c '#include <sqlite3.h>' "outbox and save_sqlite.c"
    expect publisher/outbox.c '#include <sqlite3.h>' pass
    expect common/runtime/sqlite_rows.h '#include <sqlite3.h>' pass
    expect common/runtime/a.c '#include <sqlite3.h>' "outbox and save_sqlite.c"
    expect publisher/publisher.c '#include "common/runtime/sqlite_rows.h"' "brings SQLite along"
    expect publisher/outbox.c '#include "common/runtime/sqlite_rows.h"' pass
    expect workers/save/save_sqlite.c '#include <sqlite3.h>' pass
    expect workers/restart/a.c '#include <sqlite3.h>' "outbox and save_sqlite.c"
    expect workers/save/save_sqlite.c '#include <libpq-fe.h>' "save_postgres.c only"
    expect workers/save/row.c '#include <libpq-fe.h>' "save_postgres.c only"
    expect workers/save/save_postgres_session.h '#include <libpq-fe.h>' "save_postgres.c only"
    expect workers/save/save_postgres_session.c '#include <libpq-fe.h>' pass
    expect workers/save/save_postgres.c '#include <sqlite3.h>' "outbox and save_sqlite.c"
    expect workers/restart/a.c '#include "workers/http/client.h"' pass
    expect workers/http/a.c '#include "workers/http/client.h"' pass
    expect workers/http/a.c '#include "common/core/proto.h"' pass
    expect workers/http/a.c '#include "workers/worker.h"' "no part of HTTP"
    expect workers/http/a.c '#include "workers/restart/driver.h"' "no"
    expect workers/save/a.c '#include <curl/curl.h>' "HTTP client only"
    expect workers/restart/restart_docker_engine.c '#include <curl/curl.h>' "HTTP client only"
    expect workers/http/template.c '#include <curl/curl.h>' "HTTP client only"
    expect workers/http/client.h '#include <curl/curl.h>' pass
    expect workers/http/client_request.c '#include <curl/curl.h>' pass
    [ "$failures" -eq 0 ] && echo "every rule can fail"
}

case ${1:-} in
--self-test) self_test ;;
'') echo "usage: $0 ROOT | --self-test" >&2; exit 2 ;;
*) check_tree "$1" && echo "every include runs the right way" ;;
esac

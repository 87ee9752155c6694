/* What happened to a message, for people: a line for each note, the newest 4 kB of them. */
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first line of a history that was cut says how many lines are missing. */
static const char cut_format[] = "(%lu earlier)\n";

static const char *skip_line(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline + 1 : end;
}

/* old + text + newline in `ret` (HISTORY_BYTES_MAX), whole lines left out from the front. */
static size_t append_line(const char *old, size_t old_len, const char *text, size_t len, char *ret)
{
    enum { CUT_BYTES = 40 };
    const char *at = old, *end = old + old_len;
    unsigned long missing = 0;
    size_t n = 0;

    if (len > TEXT_BYTES_MAX)
        len = TEXT_BYTES_MAX;
    if (old_len > 0 && old[0] == '(') {
        missing = strtoul(old + 1, NULL, 10);
        at = skip_line(at, end);
    }
    while (at < end && CUT_BYTES + (size_t)(end - at) + len + 1 > HISTORY_BYTES_MAX) {
        at = skip_line(at, end);
        missing++;
    }
    if (missing > 0)
        n = (size_t)snprintf(ret, CUT_BYTES, cut_format, missing);
    memcpy(ret + n, at, (size_t)(end - at));
    n += (size_t)(end - at);
    /* One line each: a text from outside must not look like two. */
    for (size_t i = 0; i < len; i++)
        ret[n++] = (char)(text[i] == '\n' ? ' ' : text[i]);
    ret[n++] = '\n';
    return n;
}

/* -ENOENT: no such row. */
static int append_in(outbox_t *o, statement_t get, statement_t set, uint64_t id, const char *text, size_t len)
{
    char line[HISTORY_BYTES_MAX];
    sqlite3_stmt *st = o->statements[get];

    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    int rc = sqlite3_step(st);
    size_t n = 0;
    if (rc == SQLITE_ROW) {
        const char *old = (const char *)sqlite3_column_text(st, 0);
        n = append_line(old ? old : "", (size_t)sqlite3_column_bytes(st, 0), text, len, line);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_DONE)
        return -ENOENT;
    if (rc != SQLITE_ROW)
        return outbox_error(o, rc, "reading a history");
    st = o->statements[set];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    sqlite3_bind_text(st, 2, line, (int)n, SQLITE_TRANSIENT);
    o->dirty = true;
    return outbox_run(o, set, "writing a history");
}

int outbox_note(outbox_t *o, uint64_t id, const char *text, size_t len)
{
    outbox_row_t row;
    int r = o->now.states > 0 ? append_in(o, ST_HISTORY, ST_HISTORY_SET, id, text, len) : -ENOENT;
    if (r == -ENOENT && o->now.dead > 0)
        r = append_in(o, ST_HISTORY_DEAD, ST_HISTORY_SET_DEAD, id, text, len);
    if (r != -ENOENT)
        return r;
    /* Nothing was noted on it yet: a row for it, when the message is there. */
    r = outbox_find(o, id, &row);
    if (r < 0)
        return r;
    r = outbox_change(o, &(delivery_change_t){.id = id, .kind = CHANGE_MARK}, 0);
    return r < 0 ? r : append_in(o, ST_HISTORY, ST_HISTORY_SET, id, text, len);
}

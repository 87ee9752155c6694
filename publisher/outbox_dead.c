/* Dead letters: how a message becomes one, is looked at, becomes a message again, is done after all, or goes
 * for good. */
#include "common/core/history.h"
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <string.h>

static void bind_events(outbox_t *o, sqlite3_stmt *st, int column)
{
    sqlite3_bind_blob(st, column, o->history.data, (int)o->history.len, SQLITE_STATIC);
}

int outbox_bury(outbox_t *o, const delivery_change_t *c, int64_t wall_ms)
{
    sqlite3_stmt *st = o->statements[ST_BURY];
    char reason[REASON_BYTES_MAX];
    uint64_t tries;
    int r = o->now.states > 0 ? outbox_history_read(o, ST_HISTORY, c->id, &tries) : -ENOENT;
    if (r == -ENOENT)
        buffer_clear(&o->history);
    else if (r < 0)
        return r;
    size_t len = history_reason(o->history.data, o->history.len, c->bad, c->exhausted, c->deliveries, reason);
    outbox_bind(o, ST_BURY, (uint64_t[]){c->id, c->done, c->bad, c->deliveries, (uint64_t)wall_ms, o->epoch},
                6);
    sqlite3_bind_text(st, 7, reason, (int)len, SQLITE_STATIC);
    bind_events(o, st, 8);
    r = outbox_run(o, ST_BURY, "burying a message");
    if (r < 0)
        return r;
    if (sqlite3_changes(o->db) == 0)
        return -ENOENT;
    o->now.dead++;
    o->now.died++;
    o->dirty = true;
    r = outbox_delete_run(o, ST_DELETE, c->id, c->id, &o->now.rows);
    if (r == 0 && o->now.states > 0)
        r = outbox_delete_run(o, ST_DELETE_STATES, c->id, c->id, &o->now.states);
    return r;
}

/* Those among them that died since the start are dead no more. */
static int forget_died(outbox_t *o, uint64_t first, uint64_t last)
{
    sqlite3_stmt *st = o->statements[ST_DIED];
    if (o->now.died == 0)
        return 0;
    outbox_bind(o, ST_DIED, (uint64_t[]){first, last, o->epoch}, 3);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        o->now.died -= (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return rc == SQLITE_ROW ? 0 : outbox_error(o, rc, "counting dead letters");
}

int outbox_delete_dead(outbox_t *o, uint64_t first, uint64_t last)
{
    int r = forget_died(o, first, last);
    return r < 0 ? r : outbox_delete_run(o, ST_DELETE_DEAD, first, last, &o->now.dead);
}

int outbox_redrive(outbox_t *o, uint64_t id, const void *events, size_t len, int64_t wall_ms)
{
    uint64_t tries;
    int r = outbox_history_read(o, ST_HISTORY_DEAD, id, &tries);
    if (r == 0)
        r = outbox_history_append(o, events, len);
    if (r < 0)
        return r;
    outbox_bind(o, ST_REDRIVE, &id, 1);
    r = outbox_run(o, ST_REDRIVE, "redriving a dead letter");
    if (r < 0)
        return r;
    outbox_bind(o, ST_REDRIVE_STATE, (uint64_t[]){id, (uint64_t)wall_ms}, 2);
    bind_events(o, o->statements[ST_REDRIVE_STATE], 3);
    r = outbox_run(o, ST_REDRIVE_STATE, "redriving a dead letter");
    if (r < 0)
        return r;
    o->now.rows++;
    o->now.states++;
    o->dirty = true;
    return outbox_delete_dead(o, id, id);
}

int outbox_purge(outbox_t *o, uint64_t id)
{
    uint64_t before = o->now.dead;
    int r = outbox_delete_run(o, ST_DELETE_DEAD, id, id, &o->now.dead);
    o->dirty = true;
    return r == 0 && o->now.dead == before ? -ENOENT : r;
}

int outbox_resolve(outbox_t *o, uint64_t id, uint8_t legs, outbox_resolved_t *ret)
{
    outbox_row_t row;
    int r = outbox_find(o, id, &row);
    if (r < 0)
        return r;
    uint8_t done = row.bad & legs & row.legs & (uint8_t)~row.done;
    if (!row.dead || done == 0)
        return -ENOENT;
    bool gone = ((row.done | done) & row.legs) == row.legs;
    outbox_bind(o, ST_MARK_DEAD, (uint64_t[]){id, row.done | done, row.bad & (uint8_t)~done, row.deliveries},
                4);
    r = gone ? outbox_delete_dead(o, id, id) : outbox_run(o, ST_MARK_DEAD, "resolving a dead letter");
    if (r < 0)
        return r;
    o->dirty = true;
    *ret = (outbox_resolved_t){.done = done, .gone = gone};
    return 0;
}

/* An integer column, or 0 where none can be that is at most `max`. */
static uint64_t read_number(sqlite3_stmt *st, int column, uint64_t max, bool *ret_damaged)
{
    uint64_t value = (uint64_t)sqlite3_column_int64(st, column);
    if (sqlite3_column_type(st, column) == SQLITE_INTEGER && value <= max)
        return value;
    *ret_damaged = true;
    return 0;
}

static const void *read_bytes(sqlite3_stmt *st, int column, uint32_t max, uint32_t *ret_len,
                              bool *ret_damaged)
{
    int type = sqlite3_column_type(st, column);
    const void *bytes = sqlite3_column_blob(st, column);
    *ret_len = (uint32_t)sqlite3_column_bytes(st, column);
    if (type == SQLITE_NULL || (type == SQLITE_BLOB && *ret_len <= max))
        return bytes;
    *ret_damaged = true;
    *ret_len = 0;
    return NULL;
}

/* SQLite keeps in a column whatever is put there: nothing of it may be more than a client can be told. */
static void read_letter(sqlite3_stmt *st, outbox_letter_t *ret)
{
    bool damaged = sqlite3_column_type(st, 6) != SQLITE_TEXT || sqlite3_column_type(st, 8) == SQLITE_NULL;
    *ret = (outbox_letter_t){
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .legs = (uint8_t)read_number(st, 1, UINT8_MAX, &damaged),
        .done = (uint8_t)read_number(st, 2, UINT8_MAX, &damaged),
        .bad = (uint8_t)read_number(st, 3, UINT8_MAX, &damaged),
        .deliveries = (uint32_t)read_number(st, 4, UINT32_MAX, &damaged),
        .died_ms = (int64_t)read_number(st, 5, INT64_MAX, &damaged),
        .reason.bytes = (const char *)sqlite3_column_text(st, 6),
        .reason.len = (uint32_t)sqlite3_column_bytes(st, 6),
    };
    ret->events = read_bytes(st, 7, HISTORY_BYTES_MAX, &ret->events_len, &damaged);
    ret->body = read_bytes(st, 8, BODY_BYTES_MAX, &ret->body_len, &damaged);
    ret->damaged = damaged;
}

int outbox_letters(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                   bool (*each)(void *arg, const outbox_letter_t *letter), void *arg)
{
    sqlite3_stmt *st = o->statements[ST_LETTERS];
    int rc;

    outbox_bind(o, ST_LETTERS, (uint64_t[]){after, up_to > INT64_MAX ? INT64_MAX : up_to, max}, 3);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        outbox_letter_t letter;
        read_letter(st, &letter);
        if (!each(arg, &letter)) {
            rc = SQLITE_DONE;
            break;
        }
    }
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : outbox_error(o, rc, "reading dead letters");
}

uint64_t outbox_died(const outbox_t *o)
{
    return o->committed.died;
}

/* What happened to a message, kept beside it: its history, and how many of its tries have failed. */
#include "common/core/history.h"
#include "publisher/outbox_internal.h"
#include <errno.h>

uint64_t outbox_pack_tries(const uint8_t tries[static LEGS_MAX])
{
    uint64_t packed = 0;
    for (unsigned bit = 0; bit < LEGS_MAX; bit++)
        packed |= (uint64_t)tries[bit] << (8 * bit);
    return packed;
}

void outbox_unpack_tries(uint64_t packed, uint8_t ret[static LEGS_MAX])
{
    for (unsigned bit = 0; bit < LEGS_MAX; bit++)
        ret[bit] = (uint8_t)(packed >> (8 * bit));
}

int outbox_history_read(outbox_t *o, statement_t which, uint64_t id, uint64_t *ret_tries)
{
    sqlite3_stmt *st = o->statements[which];
    buffer_clear(&o->history);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        buffer_append(&o->history, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
        *ret_tries = (uint64_t)sqlite3_column_int64(st, 1);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return o->history.failed ? outbox_error(o, SQLITE_NOMEM, "reading a history") : 0;
    return rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading a history");
}

int outbox_history_append(outbox_t *o, const void *events, size_t len)
{
    int r = history_add(&o->history, events, len);
    if (r == -EPROTO) {
        /* What a damaged file says of the past is worth less than what is new. */
        buffer_clear(&o->history);
        r = history_add(&o->history, events, len);
    }
    if (r == -ENOMEM)
        return outbox_error(o, SQLITE_NOMEM, "writing a history");
    return r;
}

static int write_row(outbox_t *o, statement_t which, uint64_t id, uint64_t tries)
{
    sqlite3_stmt *st = o->statements[which];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    sqlite3_bind_blob(st, 2, o->history.data, (int)o->history.len, SQLITE_STATIC);
    if (which != ST_HISTORY_SET_DEAD)
        sqlite3_bind_int64(st, 3, (sqlite3_int64)tries);
    return outbox_run(o, which, "writing a history");
}

/* -ENOENT: no such row. */
static int add_in(outbox_t *o, statement_t get, statement_t set, uint64_t id, const void *events, size_t len,
                  bool counts)
{
    uint8_t tries[LEGS_MAX];
    uint64_t packed = 0;
    int r = outbox_history_read(o, get, id, &packed);
    if (r == 0)
        r = outbox_history_append(o, events, len);
    /* Said again, nothing is new: nothing counts twice, nor after the tries have begun anew. */
    if (r <= 0)
        return r;
    outbox_unpack_tries(packed, tries);
    if (counts)
        history_tries(events, len, tries);
    o->dirty = true;
    return write_row(o, set, id, outbox_pack_tries(tries));
}

int outbox_history(outbox_t *o, uint64_t id, const void *events, size_t len, bool counts)
{
    uint8_t tries[LEGS_MAX] = {0};
    int r = o->now.states > 0 ? add_in(o, ST_HISTORY, ST_HISTORY_SET, id, events, len, counts) : -ENOENT;
    if (r == -ENOENT && o->now.dead > 0)
        r = add_in(o, ST_HISTORY_DEAD, ST_HISTORY_SET_DEAD, id, events, len, false);
    if (r != -ENOENT)
        return r;
    /* The first that is known of it: a row for it, when the message is there. */
    buffer_clear(&o->history);
    r = outbox_history_append(o, events, len);
    if (r < 0)
        return r;
    if (counts)
        history_tries(events, len, tries);
    r = write_row(o, ST_HISTORY_NEW, id, outbox_pack_tries(tries));
    if (r < 0)
        return r;
    if (sqlite3_changes(o->db) == 0)
        return -ENOENT;
    o->now.states++;
    o->dirty = true;
    return 0;
}

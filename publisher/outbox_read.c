/* What is asked of the outbox. */
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <string.h>

uint32_t outbox_epoch(const outbox_t *o)
{
    return o->epoch;
}

uint64_t outbox_dispatched_to(const outbox_t *o)
{
    return o->committed.dispatched_to;
}

const char *outbox_why(const outbox_t *o)
{
    return o->why;
}

uint8_t outbox_legs(const outbox_t *o, const char *const **ret_names)
{
    *ret_names = o->names_list;
    return o->legs;
}

/* The place of the first stream that is not of an earlier epoch. */
static uint32_t stream_place(const outbox_t *o, uint64_t epoch)
{
    uint32_t low = 0, high = o->streams_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (o->streams[middle].epoch < epoch)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t outbox_stream(const outbox_t *o, uint32_t epoch)
{
    uint32_t place = stream_place(o, epoch);
    return place < o->streams_count && o->streams[place].epoch == epoch ? o->streams[place].stream : 0;
}

uint64_t outbox_next_start(const outbox_t *o, uint64_t row)
{
    uint32_t place = stream_place(o, (row >> EPOCH_SHIFT) + 1);
    uint64_t next = place < o->streams_count ? (uint64_t)o->streams[place].epoch << EPOCH_SHIFT : UINT64_MAX;
    /* Never back, whatever stands in a damaged file. */
    return next > row && next <= INT64_MAX ? next : UINT64_MAX;
}

uint32_t outbox_stream_epoch(const outbox_t *o, uint64_t stream)
{
    uint64_t key = index_mix(stream, 0);
    uint32_t cursor, place = index_find(&o->streams_index, key, &cursor);
    while (place != INDEX_NONE && o->streams[place].stream != stream)
        place = index_find_next(&o->streams_index, key, &cursor);
    return place == INDEX_NONE ? 0 : o->streams[place].epoch;
}

int64_t outbox_wait_ms(const outbox_row_t *row, int64_t wall_ms)
{
    int64_t left = row->not_before_ms > 0 ? row->not_before_ms - wall_ms : 0;
    if (left > row->delay_ms)
        left = row->delay_ms;
    return left > 0 ? left : 0;
}

static void read_row(sqlite3_stmt *st, bool dead, outbox_row_t *ret)
{
    *ret = (outbox_row_t){
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .legs = (uint8_t)sqlite3_column_int(st, 1),
        .body = sqlite3_column_blob(st, 2),
        .body_len = (uint32_t)sqlite3_column_bytes(st, 2),
        .dead = dead,
    };
    /* It has never been out, or left nothing behind. */
    if (sqlite3_data_count(st) <= 3 || sqlite3_column_type(st, 3) == SQLITE_NULL)
        return;
    ret->done = (uint8_t)sqlite3_column_int(st, 3);
    ret->bad = (uint8_t)sqlite3_column_int(st, 4);
    ret->deliveries = (uint32_t)sqlite3_column_int64(st, 5);
    if (dead)
        return;
    ret->not_before_ms = sqlite3_column_int64(st, 6);
    ret->delay_ms = sqlite3_column_int64(st, 7);
    outbox_unpack_tries((uint64_t)sqlite3_column_int64(st, 8), ret->tries);
    if (sqlite3_data_count(st) <= 9)
        return;
    ret->notes = sqlite3_column_blob(st, 9);
    ret->notes_len = (uint32_t)sqlite3_column_bytes(st, 9);
    ret->noted = (uint64_t)sqlite3_column_int64(st, 10);
}

static int read_rows(outbox_t *o, statement_t which, bool (*each)(void *arg, const outbox_row_t *row),
                     void *arg)
{
    sqlite3_stmt *st = o->statements[which];
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        outbox_row_t row;
        read_row(st, false, &row);
        if (!each(arg, &row)) {
            rc = SQLITE_DONE;
            break;
        }
    }
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : outbox_error(o, rc, "reading messages");
}

int outbox_scan(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                bool (*each)(void *arg, const outbox_row_t *row), void *arg)
{
    statement_t which = o->now.states > 0 ? ST_SCAN : ST_SCAN_FRESH;
    outbox_bind(o, which, (uint64_t[]){after, up_to > INT64_MAX ? INT64_MAX : up_to, max}, 3);
    return read_rows(o, which, each, arg);
}

int outbox_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t up_to_ms, size_t max,
               bool (*each)(void *arg, const outbox_row_t *row), void *arg)
{
    outbox_bind(o, ST_DUE, (uint64_t[]){(uint64_t)after_ms, after_id, (uint64_t)up_to_ms, max}, 4);
    return read_rows(o, ST_DUE, each, arg);
}

int outbox_next_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t *ret_ms)
{
    sqlite3_stmt *st = o->statements[ST_NEXT_DUE];
    outbox_bind(o, ST_NEXT_DUE, (uint64_t[]){(uint64_t)after_ms, after_id}, 2);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret_ms = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading delays");
}

static int find_in(outbox_t *o, statement_t which, uint64_t id, outbox_row_t *ret)
{
    sqlite3_stmt *st = o->statements[which];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    int rc = sqlite3_step(st), r = 0;
    if (rc == SQLITE_ROW) {
        outbox_row_t row;
        read_row(st, which == ST_FIND_DEAD, &row);
        /* An open statement would keep the WAL from being reset. */
        buffer_clear(&o->row);
        buffer_append(&o->row, row.body, row.body_len);
        buffer_append(&o->row, row.notes, row.notes_len);
        row.body = o->row.data;
        row.notes = row.notes_len > 0 ? o->row.data + row.body_len : NULL;
        if (o->row.failed)
            r = outbox_error(o, SQLITE_NOMEM, "reading a message");
        else
            *ret = row;
    } else {
        r = rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading a message");
    }
    sqlite3_reset(st);
    return r;
}

int outbox_find(outbox_t *o, uint64_t id, outbox_row_t *ret)
{
    int r = find_in(o, ST_FIND, id, ret);
    return r == -ENOENT && o->now.dead > 0 ? find_in(o, ST_FIND_DEAD, id, ret) : r;
}

int outbox_client(outbox_t *o, uint64_t session, uint64_t *ret_number, uint64_t *ret_first_id,
                  uint32_t *ret_stored)
{
    sqlite3_stmt *st = o->statements[ST_CLIENT];
    sqlite3_bind_int64(st, 1, (sqlite3_int64)session);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret_number = (uint64_t)sqlite3_column_int64(st, 0);
        *ret_first_id = (uint64_t)sqlite3_column_int64(st, 1);
        *ret_stored = (uint32_t)sqlite3_column_int64(st, 2);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading a client");
}

int outbox_load(outbox_t *o, const char *load_id, uint64_t *ret_position)
{
    sqlite3_stmt *st = o->statements[ST_LOAD];
    sqlite3_bind_text(st, 1, load_id, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret_position = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading a load's position");
}

/* What is new in a round: kept until the commit, and written by one statement. */
#include "publisher/outbox_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void column(void *arg, uint32_t n, int column, sqlite3_context *ret)
{
    const outbox_t *o = arg;
    const outbox_fresh_t *row = &o->fresh[n];
    switch (column) {
    case 0:
        sqlite3_result_int64(ret, (sqlite3_int64)row->id);
        break;
    case 1:
        sqlite3_result_int(ret, row->legs);
        break;
    default: /* an empty body is not NULL */
        sqlite3_result_blob(ret, row->len > 0 ? o->fresh_bodies.data + row->at : (const uint8_t *)"",
                            (int)row->len, SQLITE_STATIC);
        break;
    }
}

int outbox_fresh_add(outbox_t *o)
{
    o->fresh_rows = (sqlite_rows_t){.columns = "id, legs, body", .column = column, .arg = o};
    int rc = sqlite_rows_add(o->db, "fresh", &o->fresh_rows);
    return rc == SQLITE_OK ? 0 : outbox_error(o, rc, "preparing its statements");
}

void outbox_fresh_forget(outbox_t *o)
{
    o->fresh_rows.count = 0;
    buffer_clear(&o->fresh_bodies);
}

int outbox_fresh_write(outbox_t *o)
{
    if (o->fresh_rows.count == 0)
        return 0;
    int r = outbox_run(o, ST_INSERT, "storing messages");
    outbox_fresh_forget(o);
    return r;
}

static int keep(outbox_t *o, const outbox_fresh_t *row, const void *body)
{
    if (o->fresh_rows.count == o->fresh_cap) {
        uint32_t cap = o->fresh_cap ? o->fresh_cap * 2 : RECORDS_MAX;
        outbox_fresh_t *grown = realloc(o->fresh, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        o->fresh = grown;
        o->fresh_cap = cap;
    }
    if (buffer_reserve(&o->fresh_bodies, row->len) < 0)
        return -ENOMEM;
    buffer_append(&o->fresh_bodies, body, row->len);
    o->fresh[o->fresh_rows.count++] = *row;
    return 0;
}

int outbox_insert(outbox_t *o, uint8_t legs, const void *body, size_t len, uint64_t *ret_id)
{
    outbox_fresh_t row = {.id = ((uint64_t)o->epoch << EPOCH_SHIFT) + o->now.seq + 1,
                          .at = o->fresh_bodies.len,
                          .len = (uint32_t)len,
                          .legs = legs};
    assert(o->epoch > 0);
    if (o->now.seq == SEQ_MAX) {
        snprintf(o->why, sizeof o->why, "%.100s: this start has used all its ids, the next has new ones",
                 o->path);
        return -EOVERFLOW;
    }
    if (keep(o, &row, body) < 0)
        return outbox_error(o, SQLITE_NOMEM, "storing a message");
    o->now.seq++;
    o->now.rows++;
    o->dirty = true;
    *ret_id = row.id;
    return o->fresh_rows.count == FRESH_ROWS_MAX || o->fresh_bodies.len >= FRESH_BYTES_MAX
               ? outbox_fresh_write(o)
               : 0;
}

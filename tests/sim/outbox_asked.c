/* publisher/outbox.h over a simulated disk: what is asked of it. */
#include "common/runtime/clock.h"
#include "tests/sim/disk_internal.h"
#include <errno.h>
#include <string.h>

uint32_t outbox_epoch(const outbox_t *o)
{
    return disk_of(o)->epoch;
}

uint64_t outbox_stream(const outbox_t *o, uint32_t epoch)
{
    const disk_t *d = disk_of(o);
    return epoch >= 1 && epoch <= d->epoch ? d->streams[epoch - 1] : 0;
}

uint64_t outbox_next_start(const outbox_t *o, uint64_t row)
{
    const uint64_t next = (row >> EPOCH_SHIFT) + 1;
    return next <= disk_of(o)->epoch ? next << EPOCH_SHIFT : UINT64_MAX;
}

uint32_t outbox_stream_epoch(const outbox_t *o, uint64_t stream)
{
    return disk_epoch_of(disk_of(o), stream);
}

uint8_t outbox_legs(const outbox_t *o, const char *const **ret_names)
{
    *ret_names = o->names;
    return o->legs;
}

uint64_t outbox_dispatched_to(const outbox_t *o)
{
    return disk_of(o)->tables.dispatched_to;
}

const char *outbox_why(const outbox_t *o)
{
    return o->why;
}

static void read_row(const disk_row_t *row, outbox_row_t *ret)
{
    *ret = (outbox_row_t){.id = row->id,
                          .legs = row->legs,
                          .done = row->done,
                          .bad = row->bad,
                          .deliveries = row->deliveries,
                          .dead = row->dead,
                          .body = row->body,
                          .body_len = row->body_len};
    if (row->dead)
        return;
    ret->not_before_ms = row->not_before_ms;
    ret->delay_ms = row->delay_ms;
    memcpy(ret->tries, row->tries, sizeof ret->tries);
    ret->notes = row->notes;
    ret->notes_len = row->notes_len;
    ret->noted = row->noted;
}

int64_t outbox_wait_ms(const outbox_row_t *row, int64_t wall_ms)
{
    int64_t left_ms = row->not_before_ms > 0 ? row->not_before_ms - wall_ms : 0;
    left_ms = left_ms < row->delay_ms ? left_ms : row->delay_ms;
    return left_ms > 0 ? left_ms : 0;
}

int outbox_scan(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                bool (*each)(void *arg, const outbox_row_t *row), void *arg)
{
    const tables_t *t = &disk_of(o)->tables;
    outbox_row_t row;
    int r = disk_meet(o, 0, "reading messages");
    if (r < 0)
        return r;
    size_t n = 0;
    for (uint32_t i = disk_place_of(t, after + 1); i < t->rows_count && t->rows[i].id <= up_to && n < max;
         i++) {
        if (t->rows[i].dead)
            continue;
        n++;
        read_row(&t->rows[i], &row);
        if (!each(arg, &row))
            break;
    }
    return 0;
}

static bool is_behind(const disk_row_t *row, int64_t ms, uint64_t id)
{
    return !row->dead && row->not_before_ms > 0 &&
           (row->not_before_ms > ms || (row->not_before_ms == ms && row->id > id));
}

/* The one whose delay ends first behind that, or NULL. */
static const disk_row_t *next_due(const tables_t *t, int64_t ms, uint64_t id)
{
    const disk_row_t *first = NULL;
    for (uint32_t i = 0; i < t->rows_count; i++) {
        const disk_row_t *row = &t->rows[i];
        if (is_behind(row, ms, id) && (first == NULL || row->not_before_ms < first->not_before_ms))
            first = row;
    }
    return first;
}

int outbox_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t up_to_ms, size_t max,
               bool (*each)(void *arg, const outbox_row_t *row), void *arg)
{
    const disk_row_t *next;
    outbox_row_t row;
    int r = disk_meet(o, 0, "reading delays");
    if (r < 0)
        return r;
    for (size_t n = 0; n < max && (next = next_due(&disk_of(o)->tables, after_ms, after_id)) != NULL; n++) {
        if (next->not_before_ms > up_to_ms)
            break;
        after_ms = next->not_before_ms;
        after_id = next->id;
        read_row(next, &row);
        row.body = NULL;
        row.body_len = 0;
        if (!each(arg, &row))
            break;
    }
    return 0;
}

int outbox_next_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t *ret_ms)
{
    const disk_row_t *next = next_due(&disk_of(o)->tables, after_ms, after_id);
    if (next == NULL)
        return -ENOENT;
    *ret_ms = next->not_before_ms;
    return 0;
}

int outbox_letters(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                   bool (*each)(void *arg, const outbox_letter_t *letter), void *arg)
{
    const tables_t *t = &disk_of(o)->tables;
    int r = disk_meet(o, 0, "reading dead letters");
    if (r < 0)
        return r;
    size_t n = 0;
    for (uint32_t i = disk_place_of(t, after + 1); i < t->rows_count && t->rows[i].id <= up_to && n < max;
         i++) {
        const disk_row_t *row = &t->rows[i];
        if (!row->dead)
            continue;
        n++;
        if (!each(arg, &(outbox_letter_t){.id = row->id,
                                          .legs = row->legs,
                                          .done = row->done,
                                          .bad = row->bad,
                                          .deliveries = row->deliveries,
                                          .died_ms = 1,
                                          .reason = {"", 0},
                                          .body = row->body,
                                          .body_len = row->body_len}))
            break;
    }
    return 0;
}

/* The row as the round leaves it: its changes are seen, but for deletions. */
static void see_round(const outbox_t *o, disk_row_t *row)
{
    for (uint32_t i = 0; i < o->writes_count; i++) {
        const delivery_change_t *c = &o->writes[i].change;
        if (o->writes[i].kind != WRITE_CHANGE || c->id != row->id || c->kind == CHANGE_DELETE)
            continue;
        row->done = c->done;
        row->bad = c->bad;
        row->deliveries = c->deliveries;
        row->dead = row->dead || c->kind == CHANGE_BURY;
    }
}

int outbox_find(outbox_t *o, uint64_t id, outbox_row_t *ret)
{
    int r = disk_meet(o, 0, "reading a message");
    if (r < 0)
        return r;
    const disk_row_t *row = disk_find_row(&disk_of(o)->tables, id);
    if (row == NULL)
        return -ENOENT;
    disk_row_t seen = *row;
    see_round(o, &seen);
    read_row(&seen, ret);
    return 0;
}

int outbox_client(outbox_t *o, uint64_t session, uint64_t *ret_number, uint64_t *ret_first_id,
                  uint32_t *ret_stored)
{
    const client_row_t *found = disk_find_client(&disk_of(o)->tables, session);
    for (uint32_t i = 0; i < o->writes_count; i++)
        if (o->writes[i].kind == WRITE_CLIENT && o->writes[i].client.session == session)
            found = &o->writes[i].client;
    if (found == NULL)
        return -ENOENT;
    *ret_number = found->number;
    *ret_first_id = found->first_id;
    *ret_stored = found->stored;
    return 0;
}

int outbox_load(outbox_t *o, const char *load_id, uint64_t *ret_position)
{
    const tables_t *t = &disk_of(o)->tables;
    (void)load_id;
    if (!t->load_known)
        return -ENOENT;
    *ret_position = t->load_position;
    return 0;
}

static int64_t bytes_of(const tables_t *t)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < t->rows_count; i++)
        bytes += ROW_BYTES + t->rows[i].body_len;
    return bytes;
}

void outbox_gauges(outbox_t *o, outbox_gauges_t *ret)
{
    const tables_t *t = &disk_of(o)->tables;
    *ret = (outbox_gauges_t){.rows = t->rows_count, .dead = outbox_dead(o), .bytes = bytes_of(t)};
}

uint64_t outbox_living(const outbox_t *o)
{
    return disk_living(o->publisher);
}

uint64_t outbox_dead(const outbox_t *o)
{
    return disk_rows(o->publisher) - disk_living(o->publisher);
}

uint64_t outbox_died(const outbox_t *o)
{
    return outbox_dead(o);
}

void outbox_limit(outbox_t *o, int64_t max_bytes)
{
    o->bytes_max = max_bytes;
}

bool outbox_has_room(outbox_t *o)
{
    if (o->full && clock_ms() >= o->probe_ms) {
        o->full = disk_of(o)->full_until_us > world.now_us;
        o->probe_ms = clock_ms() + PROBE_MS;
    }
    /* In the end nobody is kept out by dead letters. */
    int64_t bytes_max = world.faults ? o->bytes_max : INT64_MAX;
    return o->failed == 0 && !o->full && bytes_of(&disk_of(o)->tables) < bytes_max;
}

int outbox_idle(outbox_t *o)
{
    return o->failed;
}

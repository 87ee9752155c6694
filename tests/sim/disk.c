#include "tests/sim/disk.h"
#include "common/core/history.h"
#include "common/runtime/clock.h"
#include "tests/sim/check.h"
#include "tests/sim/trace.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PUBLISHERS_MAX = 2,
    STREAMS_MAX = 512,
    CLIENTS_MAX = 64,
    PROBE_MS = 500,
    ROW_BYTES = 100, /* what a row takes of outbox_max besides its body */
};

typedef struct {
    uint64_t session, number, first_id;
    uint32_t stored;
} client_row_t;

/* All there is on one disk. */
typedef struct {
    disk_row_t *rows; /* by id */
    uint32_t rows_count, rows_cap;
    uint64_t dispatched_to;
    client_row_t clients[CLIENTS_MAX];
    uint32_t clients_count;
    uint64_t load_position;
    bool load_known;
} tables_t;

/* One write of a round that is not committed. */
typedef enum {
    WRITE_INSERT,
    WRITE_CHANGE,
    WRITE_TRIES,
    WRITE_REDRIVE,
    WRITE_PURGE,
    WRITE_DISPATCH,
    WRITE_CLIENT,
    WRITE_LOAD,
} write_kind_t;
typedef struct {
    write_kind_t kind;
    disk_row_t row;
    delivery_change_t change;
    int64_t wall_ms;
    client_row_t client;
    uint64_t number;
} write_t;

typedef struct {
    tables_t tables;
    uint64_t streams[STREAMS_MAX]; /* by epoch - 1 */
    uint32_t epoch;
    outbox_t *open; /* by whom */
    int64_t full_until_us;
    uint32_t refusals;
    bool fails; /* with the next write */
} disk_t;

struct outbox {
    uint32_t publisher;
    const char *names[LEGS_MAX];
    uint8_t legs;
    int64_t bytes_max;
    uint64_t seq, seq_committed;
    write_t *writes;
    uint32_t writes_count, writes_cap;
    bool begun;
    bool full;
    int64_t probe_ms;
    int failed;
    char why[WHY_BYTES];
};

static disk_t disks[PUBLISHERS_MAX];
static int64_t away_until_us, store_full_until_us;
static bool store_fails;

/* --- tables --- */

/* The place of the row, or where it would be. */
static uint32_t place_of(const tables_t *t, uint64_t id)
{
    uint32_t low = 0, high = t->rows_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->rows[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static disk_row_t *find_row(const tables_t *t, uint64_t id)
{
    uint32_t place = place_of(t, id);
    return place < t->rows_count && t->rows[place].id == id ? &t->rows[place] : NULL;
}

static void insert_row(tables_t *t, const disk_row_t *row)
{
    if (t->rows_count == t->rows_cap) {
        t->rows_cap = t->rows_cap > 0 ? 2 * t->rows_cap : 64;
        t->rows = keep_grow(t->rows, t->rows_cap * sizeof *t->rows);
    }
    assert(t->rows_count == 0 || t->rows[t->rows_count - 1].id < row->id);
    t->rows[t->rows_count++] = *row;
}

static void delete_row(tables_t *t, disk_row_t *row)
{
    keep_free(row->body);
    uint32_t place = (uint32_t)(row - t->rows);
    memmove(row, row + 1, (t->rows_count - place - 1) * sizeof *row);
    t->rows_count--;
}

static client_row_t *find_client(tables_t *t, uint64_t session)
{
    for (uint32_t i = 0; i < t->clients_count; i++)
        if (t->clients[i].session == session)
            return &t->clients[i];
    return NULL;
}

static void apply_change(uint32_t publisher, tables_t *t, const write_t *w)
{
    const delivery_change_t *c = &w->change;
    disk_row_t *row = find_row(t, c->id);
    if (row == NULL)
        return;
    check_change(publisher, row, c);
    if (c->kind == CHANGE_DELETE) {
        delete_row(t, row);
        return;
    }
    row->done = c->done;
    row->bad = c->bad;
    row->deliveries = c->deliveries;
    row->not_before_ms = c->wait_ms > 0 ? w->wall_ms + c->wait_ms : 0;
    row->delay_ms = c->wait_ms;
    if (c->kind == CHANGE_BURY) {
        row->dead = true;
        row->exhausted = c->exhausted;
    }
}

/* Of a history only what it says of tries is kept here. */
static void apply_tries(tables_t *t, const write_t *w)
{
    disk_row_t *row = find_row(t, w->row.id);
    for (uint32_t bit = 0; row != NULL && bit < LEGS_MAX; bit++)
        if (w->row.tries[bit] > row->tries[bit])
            row->tries[bit] = w->row.tries[bit];
}

static void apply_redrive(uint32_t publisher, tables_t *t, const write_t *w)
{
    disk_row_t *row = find_row(t, w->row.id);
    if (row == NULL || !row->dead)
        return;
    check_redriven(publisher, row);
    row->dead = row->exhausted = false;
    row->bad = 0;
    row->deliveries = 0;
    memset(row->tries, 0, sizeof row->tries);
    row->not_before_ms = w->wall_ms;
    row->delay_ms = 1;
}

static void apply_purge(uint32_t publisher, tables_t *t, const write_t *w)
{
    disk_row_t *row = find_row(t, w->row.id);
    if (row == NULL || !row->dead)
        return;
    check_purged(publisher, row);
    delete_row(t, row);
}

static void apply(uint32_t publisher, tables_t *t, const write_t *w)
{
    switch (w->kind) {
    case WRITE_INSERT:
        insert_row(t, &w->row);
        check_insert(publisher, &w->row);
        break;
    case WRITE_TRIES:
        apply_tries(t, w);
        break;
    case WRITE_REDRIVE:
        apply_redrive(publisher, t, w);
        break;
    case WRITE_PURGE:
        apply_purge(publisher, t, w);
        break;
    case WRITE_CHANGE:
        apply_change(publisher, t, w);
        break;
    case WRITE_DISPATCH:
        if (w->number > t->dispatched_to)
            t->dispatched_to = w->number;
        break;
    case WRITE_CLIENT: {
        client_row_t *client = find_client(t, w->client.session);
        assert(client != NULL || t->clients_count < CLIENTS_MAX);
        if (client == NULL)
            client = &t->clients[t->clients_count++];
        *client = w->client;
        break;
    }
    case WRITE_LOAD:
        t->load_position = w->number;
        t->load_known = true;
        break;
    }
}

static disk_t *disk_of(const outbox_t *o)
{
    return &disks[o->publisher];
}

/* --- rounds --- */

static void forget_writes(outbox_t *o, bool applied)
{
    for (uint32_t i = 0; i < o->writes_count && !applied; i++)
        if (o->writes[i].kind == WRITE_INSERT)
            keep_free(o->writes[i].row.body);
    o->writes_count = 0;
    o->begun = false;
}

static void apply_all(outbox_t *o)
{
    /* The order in which the rows of one transaction become true says nothing; its deletions come last. */
    for (uint32_t i = 0; i < o->writes_count; i++)
        apply(o->publisher, &disk_of(o)->tables, &o->writes[i]);
    o->seq_committed = o->seq;
    forget_writes(o, true);
}

static int fail_with(outbox_t *o, int error, const char *what)
{
    snprintf(o->why, sizeof o->why, "outbox: %s: %s", what, strerror(-error));
    if (error == -EIO)
        o->failed = error;
    if (error == -ENOSPC) {
        o->full = true;
        o->probe_ms = clock_ms() + PROBE_MS;
        disk_of(o)->refusals++;
    }
    return error;
}

/* A write may meet a disk that is full or fails. With its reserve given back, small rounds find room. */
static int meet_disk(outbox_t *o, uint32_t full_per_thousand, const char *what)
{
    disk_t *d = disk_of(o);
    world_step();
    if (o->failed < 0)
        return o->failed;
    if (d->fails) {
        d->fails = false;
        return fail_with(o, -EIO, what);
    }
    if (d->full_until_us > world.now_us && chance(full_per_thousand))
        return fail_with(o, -ENOSPC, what);
    return 0;
}

static int add_write(outbox_t *o, const write_t *w)
{
    if (o->writes_count == o->writes_cap) {
        o->writes_cap = o->writes_cap > 0 ? 2 * o->writes_cap : 64;
        o->writes = keep_grow(o->writes, o->writes_cap * sizeof *o->writes);
    }
    o->writes[o->writes_count++] = *w;
    return 0;
}

int outbox_begin(outbox_t *o)
{
    int r = meet_disk(o, 100, "beginning a round");
    assert(!o->begun);
    o->begun = r == 0;
    return r;
}

int outbox_insert(outbox_t *o, uint8_t legs, const void *body, size_t len, uint64_t *ret_id)
{
    int r = meet_disk(o, 200, "storing a message");
    assert(o->begun);
    if (r < 0)
        return r;
    *ret_id = ((uint64_t)disk_of(o)->epoch << EPOCH_SHIFT) + ++o->seq;
    write_t w = {.kind = WRITE_INSERT, .row = {.id = *ret_id, .legs = legs, .body_len = (uint32_t)len}};
    w.row.body = keep_alloc(len);
    memcpy(w.row.body, body, len);
    return add_write(o, &w);
}

int outbox_change(outbox_t *o, const delivery_change_t *c, int64_t wall_ms)
{
    int r = meet_disk(o, 20, "noting a delivery");
    assert(o->begun);
    if (r < 0)
        return r;
    if (c->kind == CHANGE_BURY && find_row(&disk_of(o)->tables, c->id) == NULL)
        return -ENOENT;
    return add_write(o, &(write_t){.kind = WRITE_CHANGE, .change = *c, .wall_ms = wall_ms});
}

int outbox_history(outbox_t *o, uint64_t id, const void *events, size_t len, bool counts)
{
    int r = meet_disk(o, 20, "writing a history");
    assert(o->begun);
    if (r < 0)
        return r;
    if (events_count(events, len) < 0)
        return -EPROTO;
    const disk_row_t *row = find_row(&disk_of(o)->tables, id);
    if (row == NULL)
        return -ENOENT;
    write_t w = {.kind = WRITE_TRIES, .row = {.id = id}};
    if (counts && !row->dead)
        history_tries(events, len, w.row.tries);
    return add_write(o, &w);
}

int outbox_redrive(outbox_t *o, uint64_t id, const void *events, size_t len, int64_t wall_ms)
{
    int r = meet_disk(o, 100, "redriving a dead letter");
    (void)events, (void)len;
    return r < 0 ? r : add_write(o, &(write_t){.kind = WRITE_REDRIVE, .row = {.id = id}, .wall_ms = wall_ms});
}

int outbox_purge(outbox_t *o, uint64_t id)
{
    int r = meet_disk(o, 20, "purging a dead letter");
    return r < 0 ? r : add_write(o, &(write_t){.kind = WRITE_PURGE, .row = {.id = id}});
}

int outbox_dispatch(outbox_t *o, uint64_t id)
{
    assert(o->begun);
    return add_write(o, &(write_t){.kind = WRITE_DISPATCH, .number = id});
}

int outbox_client_set(outbox_t *o, uint64_t session, uint64_t number, uint64_t first_id, uint32_t stored,
                      int64_t wall_ms)
{
    (void)wall_ms;
    int r = meet_disk(o, 100, "noting a client");
    assert(o->begun);
    return r < 0 ? r
                 : add_write(o,
                             &(write_t){.kind = WRITE_CLIENT, .client = {session, number, first_id, stored}});
}

int outbox_load_set(outbox_t *o, const char *load_id, uint64_t position)
{
    (void)load_id;
    int r = meet_disk(o, 100, "noting a load's position");
    assert(o->begun);
    return r < 0 ? r : add_write(o, &(write_t){.kind = WRITE_LOAD, .number = position});
}

static int64_t commit_us(void)
{
    const plan_t *p = &world.plan;
    return world.faults && chance(p->slow_commits) ? chance_between(0, p->slow_commit_us)
                                                   : chance_between(1, p->commit_us);
}

int outbox_commit(outbox_t *o)
{
    assert(o->begun || o->failed < 0);
    int r = meet_disk(o, 100, "committing a round");
    if (r == -EIO && chance(500) && o->begun)
        apply_all(o); /* it got there all the same, which nobody knows */
    if (r < 0) {
        outbox_rollback(o);
        return r;
    }
    /* Half of the time passes before it is on the disk; it may be killed in both. */
    int64_t us = commit_us();
    process_sleep(us / 2);
    apply_all(o);
    trace("committed");
    process_sleep(us - us / 2);
    world_step();
    return 0;
}

void outbox_rollback(outbox_t *o)
{
    forget_writes(o, false);
    o->seq = o->seq_committed;
}

/* --- opening --- */

static void create_epoch(outbox_t *o)
{
    disk_t *d = disk_of(o);
    assert(d->epoch < STREAMS_MAX);
    d->streams[d->epoch++] = clock_random_id();
}

int outbox_open(outbox_t **ret, const char *path, const char *const *legs, size_t legs_count,
                int64_t max_bytes, char *why)
{
    process_t *p = world.current;
    disk_t *d = &disks[p->index];
    (void)path, (void)why;
    assert(d->open == NULL);
    outbox_t *o = keep_alloc(sizeof *o);
    o->publisher = p->index;
    o->bytes_max = max_bytes;
    for (size_t i = 0; i < legs_count; i++) {
        o->names[i] = legs[i];
        o->legs |= (uint8_t)(1u << i);
    }
    d->open = o;
    process_sleep(commit_us());
    create_epoch(o);
    process_sleep(commit_us());
    *ret = o;
    return 0;
}

static void outbox_free(disk_t *d)
{
    forget_writes(d->open, false);
    keep_free(d->open->writes);
    keep_free(d->open);
    d->open = NULL;
}

int outbox_finish(outbox_t *o, bool clean)
{
    disk_t *d = disk_of(o);
    world_step();
    if (d->fails && o->failed == 0) {
        d->fails = false;
        return fail_with(o, -EIO, "closing");
    }
    if (clean && o->failed == 0)
        d->tables.dispatched_to = 0;
    return o->failed;
}

void outbox_close(outbox_t **ref, bool clean)
{
    if (*ref == NULL)
        return;
    disk_t *d = disk_of(*ref);
    if (clean)
        outbox_finish(*ref, true);
    outbox_free(d);
    *ref = NULL;
}

void disk_process_gone(const process_t *p)
{
    if (p->program == PROGRAM_PUBLISHER && disks[p->index].open != NULL)
        outbox_free(&disks[p->index]);
}

/* --- what is asked of it --- */

uint32_t outbox_epoch(const outbox_t *o)
{
    return disk_of(o)->epoch;
}

uint64_t outbox_stream(const outbox_t *o, uint32_t epoch)
{
    const disk_t *d = disk_of(o);
    return epoch >= 1 && epoch <= d->epoch ? d->streams[epoch - 1] : 0;
}

static uint32_t epoch_of(const disk_t *d, uint64_t stream)
{
    for (uint32_t i = d->epoch; i > 0; i--)
        if (d->streams[i - 1] == stream)
            return i;
    return 0;
}

uint32_t outbox_stream_epoch(const outbox_t *o, uint64_t stream)
{
    return epoch_of(disk_of(o), stream);
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
    int r = meet_disk(o, 0, "reading messages");
    if (r < 0)
        return r;
    size_t n = 0;
    for (uint32_t i = place_of(t, after + 1); i < t->rows_count && t->rows[i].id <= up_to && n < max; i++) {
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
    int r = meet_disk(o, 0, "reading delays");
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
    int r = meet_disk(o, 0, "reading dead letters");
    if (r < 0)
        return r;
    size_t n = 0;
    for (uint32_t i = place_of(t, after + 1); i < t->rows_count && t->rows[i].id <= up_to && n < max; i++) {
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
    int r = meet_disk(o, 0, "reading a message");
    if (r < 0)
        return r;
    const disk_row_t *row = find_row(&disk_of(o)->tables, id);
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
    const client_row_t *found = find_client(&disk_of(o)->tables, session);
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

/* --- from outside --- */

uint32_t disk_rows(uint32_t publisher)
{
    return disks[publisher].tables.rows_count;
}

uint32_t disk_living(uint32_t publisher)
{
    const tables_t *t = &disks[publisher].tables;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->rows_count; i++)
        n += !t->rows[i].dead;
    return n;
}

uint64_t disk_first_living(uint32_t publisher)
{
    const disk_row_t *row = disks[publisher].tables.rows;
    while (row->dead)
        row++;
    return row->id;
}

uint64_t disk_load_position(uint32_t publisher)
{
    return disks[publisher].tables.load_position;
}

uint32_t disk_epoch(uint32_t publisher)
{
    return disks[publisher].epoch;
}

uint32_t disk_refusals(uint32_t publisher)
{
    return disks[publisher].refusals;
}

uint64_t disk_dispatched_to(uint32_t publisher)
{
    return disks[publisher].tables.dispatched_to;
}

bool disk_row_id(uint32_t publisher, message_id_t id, uint64_t *ret_row)
{
    uint32_t epoch = epoch_of(&disks[publisher], id.stream);
    *ret_row = ((uint64_t)epoch << EPOCH_SHIFT) + id.seq;
    return epoch > 0;
}

message_id_t disk_id(uint32_t publisher, uint64_t row)
{
    uint32_t epoch = (uint32_t)(row >> EPOCH_SHIFT);
    return (message_id_t){.stream = disks[publisher].streams[epoch - 1], .seq = row & SEQ_MAX};
}

const disk_row_t *disk_find(uint32_t publisher, uint64_t row)
{
    return find_row(&disks[publisher].tables, row);
}

void disk_full(uint32_t publisher, int64_t us)
{
    trace("the disk of publisher-%u is full for %.3f s", publisher, (double)us / 1e6);
    disks[publisher].full_until_us = world.now_us + us;
}

void disk_fail(uint32_t publisher)
{
    trace("the disk of publisher-%u fails with the next write", publisher);
    disks[publisher].fails = true;
}

void disk_open(void)
{
    memset(disks, 0, sizeof disks);
    away_until_us = store_full_until_us = 0;
    store_fails = false;
}

void disk_close(void)
{
    for (uint32_t i = 0; i < PUBLISHERS_MAX; i++) {
        tables_t *t = &disks[i].tables;
        for (uint32_t k = 0; k < t->rows_count; k++)
            keep_free(t->rows[k].body);
        keep_free(t->rows);
    }
}

/* --- the savers' store: which rows it has, the checks remember --- */

void store_away(int64_t us)
{
    trace("the store is away for %.3f s", (double)us / 1e6);
    away_until_us = world.now_us + us;
}

void store_full(int64_t us)
{
    trace("the store is full for %.3f s", (double)us / 1e6);
    store_full_until_us = world.now_us + us;
}

void store_fail(void)
{
    trace("the store fails with the next commit");
    store_fails = true;
}

void disk_heal(void)
{
    for (uint32_t i = 0; i < PUBLISHERS_MAX; i++) {
        disks[i].full_until_us = 0;
        disks[i].fails = false;
    }
    away_until_us = store_full_until_us = 0;
    store_fails = false;
}

static void save_all(const message_id_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        check_act(ids[i], LEG_SAVE);
}

int store_commit(const message_id_t *ids, uint32_t n)
{
    enum { AWAY_MS = 300 };
    world_step();
    if (away_until_us > world.now_us || (store_full_until_us > world.now_us && chance(700)))
        return AWAY_MS;
    int64_t us = commit_us();
    process_sleep(us / 2);
    if (store_fails) {
        store_fails = false;
        if (chance(500))
            save_all(ids, n);
        return -EIO;
    }
    save_all(ids, n);
    process_sleep(us - us / 2);
    world_step();
    return 0;
}

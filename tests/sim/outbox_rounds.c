/* publisher/outbox.h over a simulated disk: rounds, opening, closing. */
#include "common/core/history.h"
#include "common/runtime/clock.h"
#include "tests/sim/disk_internal.h"
#include "tests/sim/trace.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- rounds --- */

static void forget_writes(outbox_t *o, bool applied)
{
    for (uint32_t i = 0; i < o->writes_count && !applied; i++)
        keep_free(o->writes[i].row.body), keep_free(o->writes[i].row.notes);
    o->writes_count = 0;
    o->begun = false;
}

static void apply_all(outbox_t *o)
{
    /* The order in which the rows of one transaction become true says nothing; its deletions come last. */
    for (uint32_t i = 0; i < o->writes_count; i++)
        disk_apply(o->publisher, &o->writes[i]);
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
int disk_meet(outbox_t *o, uint32_t full_per_thousand, const char *what)
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
    int r = disk_meet(o, 100, "beginning a round");
    assert(!o->begun);
    o->begun = r == 0;
    return r;
}

int outbox_insert(outbox_t *o, uint8_t legs, const void *body, size_t len, uint64_t *ret_id)
{
    int r = disk_meet(o, 200, "storing a message");
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
    int r = disk_meet(o, 20, "noting a delivery");
    assert(o->begun);
    if (r < 0)
        return r;
    if (c->kind == CHANGE_BURY && disk_find_row(&disk_of(o)->tables, c->id) == NULL)
        return -ENOENT;
    return add_write(o, &(write_t){.kind = WRITE_CHANGE, .change = *c, .wall_ms = wall_ms});
}

int outbox_history(outbox_t *o, uint64_t id, const void *events, size_t len, bool counts)
{
    int r = disk_meet(o, 20, "writing a history");
    assert(o->begun);
    if (r < 0)
        return r;
    if (events_count(events, len) < 0)
        return -EPROTO;
    const disk_row_t *row = disk_find_row(&disk_of(o)->tables, id);
    if (row == NULL)
        return -ENOENT;
    write_t w = {.kind = WRITE_TRIES, .row = {.id = id}};
    if (counts && !row->dead)
        history_tries(events, len, w.row.tries);
    return add_write(o, &w);
}

int outbox_note(outbox_t *o, uint64_t id, const note_t *note, uint64_t token)
{
    int r = disk_meet(o, 20, "writing a note");
    assert(o->begun);
    if (r < 0)
        return r;
    if (disk_find_row(&disk_of(o)->tables, id) == NULL)
        return -ENOENT;
    buffer_t b;
    buffer_init(&b);
    note_write(&b, note);
    write_t w = {.kind = WRITE_NOTE, .row = {.id = id, .notes_len = (uint32_t)b.len}, .number = token};
    w.row.notes = keep_alloc(b.len);
    memcpy(w.row.notes, b.data, b.len);
    buffer_done(&b);
    return add_write(o, &w);
}

int outbox_resolve(outbox_t *o, uint64_t id, uint8_t legs, outbox_resolved_t *ret)
{
    int r = disk_meet(o, 20, "resolving a dead letter");
    const disk_row_t *row = disk_find_row(&disk_of(o)->tables, id);
    uint8_t done = row != NULL && row->dead ? row->bad & legs & (uint8_t)~row->done : 0;
    if (r == 0 && done == 0)
        r = -ENOENT;
    if (r < 0)
        return r;
    delivery_change_t c = {.id = id, .kind = CHANGE_MARK, .deliveries = row->deliveries};
    c.done = row->done | done;
    c.bad = row->bad & (uint8_t)~done;
    if (c.done == row->legs)
        c.kind = CHANGE_DELETE;
    *ret = (outbox_resolved_t){.done = done, .gone = c.kind == CHANGE_DELETE};
    return add_write(o, &(write_t){.kind = WRITE_CHANGE, .change = c});
}

int outbox_redrive(outbox_t *o, uint64_t id, const void *events, size_t len, int64_t wall_ms)
{
    int r = disk_meet(o, 100, "redriving a dead letter");
    (void)events, (void)len;
    return r < 0 ? r : add_write(o, &(write_t){.kind = WRITE_REDRIVE, .row = {.id = id}, .wall_ms = wall_ms});
}

int outbox_purge(outbox_t *o, uint64_t id)
{
    int r = disk_meet(o, 20, "purging a dead letter");
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
    int r = disk_meet(o, 100, "noting a client");
    assert(o->begun);
    return r < 0 ? r
                 : add_write(o,
                             &(write_t){.kind = WRITE_CLIENT, .client = {session, number, first_id, stored}});
}

int outbox_load_set(outbox_t *o, const char *load_id, uint64_t position)
{
    (void)load_id;
    int r = disk_meet(o, 100, "noting a load's position");
    assert(o->begun);
    return r < 0 ? r : add_write(o, &(write_t){.kind = WRITE_LOAD, .number = position});
}

int64_t disk_commit_us(void)
{
    const plan_t *p = &world.plan;
    return world.faults && chance(p->slow_commits) ? chance_between(0, p->slow_commit_us)
                                                   : chance_between(1, p->commit_us);
}

int outbox_commit(outbox_t *o)
{
    assert(o->begun || o->failed < 0);
    int r = disk_meet(o, 100, "committing a round");
    if (r == -EIO && chance(500) && o->begun)
        apply_all(o); /* it got there all the same, which nobody knows */
    if (r < 0) {
        outbox_rollback(o);
        return r;
    }
    /* Half of the time passes before it is on the disk; it may be killed in both. */
    int64_t us = disk_commit_us();
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
    disk_t *d = disk_at(p->index);
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
    process_sleep(disk_commit_us());
    create_epoch(o);
    process_sleep(disk_commit_us());
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
    if (p->program == PROGRAM_PUBLISHER && disk_at(p->index)->open != NULL)
        outbox_free(disk_at(p->index));
}

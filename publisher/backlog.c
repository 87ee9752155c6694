#include "publisher/backlog.h"
#include <errno.h>
#include <string.h>

int backlog_init(backlog_t *b, outbox_t *outbox, delivery_t *delivery, int64_t ack_deadline_ms,
                 int64_t now_ms, int64_t wall_ms)
{
    uint64_t dispatched_to = outbox_dispatched_to(outbox);
    *b = (backlog_t){
        .outbox = outbox,
        .delivery = delivery,
        .maybe_out = {.end = dispatched_to},
        .rest = {.cursor = dispatched_to, .end = (uint64_t)outbox_epoch(outbox) << EPOCH_SHIFT},
        .limbo_until_ms = dispatched_to > 0 ? now_ms + ack_deadline_ms : 0,
        .wall_ms = wall_ms - now_ms,
        .due_ms = wall_ms,
    };
    return stamps_init(&b->stamps);
}

void backlog_done(backlog_t *b)
{
    stamps_done(&b->stamps);
}

bool backlog_in_limbo(const backlog_t *b)
{
    return b->limbo_until_ms > 0;
}

static bool is_read(const backlog_range_t *r)
{
    return r->cursor >= r->end;
}

/* NULL: what may go out has been read. */
static backlog_range_t *range_to_read(backlog_t *b)
{
    if (!backlog_in_limbo(b) && !is_read(&b->maybe_out))
        return &b->maybe_out;
    return is_read(&b->rest) ? NULL : &b->rest;
}

bool backlog_in_order(const backlog_t *b)
{
    return is_read(&b->rest) && (backlog_in_limbo(b) || is_read(&b->maybe_out));
}

void backlog_take(backlog_t *b, const delivery_message_t *m, int64_t now_ms)
{
    bool in_order = backlog_in_order(b);
    b->rest.end = m->id;
    if (in_order && delivery_add(b->delivery, m, now_ms) == 0)
        b->rest.cursor = m->id;
    else
        stamps_add(&b->stamps, m->id, m->added_us);
}

int64_t backlog_wall_ms(const backlog_t *b, int64_t now_ms)
{
    return b->wall_ms + now_ms;
}

void backlog_sleeps(backlog_t *b, int64_t now_ms)
{
    /* Nothing slept until now: what ended before is in memory, or is read with the rest. */
    if (!b->asleep) {
        b->due_ms = backlog_wall_ms(b, now_ms);
        b->due_id = 0;
    }
    b->asleep = true;
    b->wake_ms = INT64_MIN;
}

typedef struct {
    backlog_t *backlog;
    int64_t now_ms;
    uint64_t last;
    size_t room, rows;
    bool full;
} reading_t;

/* A delivery that brings tries or notes along is read from disk when it goes out: memory does not hold them.
 * So is a suspect, which may wait for long: bodies of others need the room. */
static bool goes_out_from_disk(const outbox_row_t *row)
{
    static const uint8_t none[LEGS_MAX];
    return row->deliveries >= SUSPECT_LOSSES || row->notes_len > 0 ||
           memcmp(row->tries, none, sizeof none) != 0;
}

static delivery_message_t message_of(const backlog_t *b, const outbox_row_t *row, int64_t now_ms)
{
    bool whole = row->body && !goes_out_from_disk(row);
    return (delivery_message_t){
        .id = row->id,
        .legs = row->legs,
        .done = row->done,
        .bad = row->bad,
        .deliveries = row->deliveries,
        .token = row->noted,
        .wait_ms = outbox_wait_ms(row, backlog_wall_ms(b, now_ms)),
        .added_us = stamps_find(&b->stamps, row->id),
        .body = whole ? row->body : NULL,
        .body_len = whole ? row->body_len : 0,
    };
}

static bool take_row(void *arg, const outbox_row_t *row)
{
    reading_t *reading = arg;
    backlog_t *b = reading->backlog;
    delivery_message_t m = message_of(b, row, reading->now_ms);
    int r = delivery_add(b->delivery, &m, reading->now_ms);
    if (r == -EAGAIN && m.wait_ms < row->not_before_ms - backlog_wall_ms(b, reading->now_ms)) {
        /* The wall clock was set back: on disk its time is too late. */
        m.wait_ms = PARKED_SHORT_MS;
        r = delivery_add(b->delivery, &m, reading->now_ms);
    }
    if (r == -EAGAIN)
        backlog_sleeps(b, reading->now_ms);
    if (r == -ENOSPC || r == -ENOMEM) {
        reading->full = true;
        return false;
    }
    reading->last = row->id;
    reading->rows++;
    return true;
}

/* --- delays on disk --- */

static bool wake_row(void *arg, const outbox_row_t *row)
{
    reading_t *reading = arg;
    backlog_t *b = reading->backlog;
    delivery_message_t m = message_of(b, row, reading->now_ms);
    m.state = MESSAGE_BACK;
    /* Most are in memory: what is there has waited there. */
    int r = reading->rows < reading->room ? delivery_add(b->delivery, &m, reading->now_ms) : -ENOSPC;
    if (r == -ENOSPC || r == -ENOMEM) {
        reading->full = true;
        return false;
    }
    reading->rows += r == 0;
    b->due_ms = row->not_before_ms;
    b->due_id = row->id;
    return true;
}

/* Brings back what has waited on disk, as far as there is room. */
static int wake(backlog_t *b, size_t max, int64_t now_ms)
{
    delivery_gauges_t g;
    delivery_gauges(b->delivery, &g);
    if (g.left != b->left)
        backlog_sleeps(b, now_ms);
    b->left = g.left;
    if (!b->asleep || b->wake_ms > now_ms)
        return 0;
    int64_t wall_ms = backlog_wall_ms(b, now_ms), next_ms;
    reading_t reading = {.backlog = b, .now_ms = now_ms, .room = delivery_room(b->delivery)};
    int r = outbox_due(b->outbox, b->due_ms, b->due_id, wall_ms, max, wake_row, &reading);
    if (r < 0 || reading.full)
        return r;
    r = outbox_next_due(b->outbox, b->due_ms, b->due_id, &next_ms);
    b->asleep = r == 0;
    if (r == 0)
        b->wake_ms = next_ms - b->wall_ms;
    return r == -ENOENT ? 0 : r;
}

/* --- what is read on --- */

int backlog_read(backlog_t *b, size_t max, bool may_end_limbo, int64_t now_ms)
{
    if (backlog_in_limbo(b) && may_end_limbo && now_ms >= b->limbo_until_ms)
        b->limbo_until_ms = 0;
    int r = wake(b, max, now_ms);
    if (r < 0)
        return r;
    backlog_range_t *range = range_to_read(b);
    size_t room = range ? delivery_room(b->delivery) : 0;
    if (room == 0)
        return 0;
    if (max > room)
        max = room;
    reading_t reading = {.backlog = b, .now_ms = now_ms, .last = range->cursor};
    r = outbox_scan(b->outbox, range->cursor, range->end, max, take_row, &reading);
    if (r < 0)
        return r;
    range->cursor = reading.rows < max && !reading.full ? range->end : reading.last;
    stamps_forget(&b->stamps, b->rest.cursor);
    return 0;
}

bool backlog_waits(const backlog_t *b)
{
    return !backlog_in_order(b) && delivery_room(b->delivery) > 0;
}

bool backlog_may_be_out(const backlog_t *b, uint64_t id)
{
    if (delivery_has(b->delivery, id))
        return delivery_in_limbo(b->delivery, id);
    return backlog_in_limbo(b) && id <= b->maybe_out.end;
}

int backlog_find(backlog_t *b, uint64_t id, outbox_row_t *ret_row, int64_t now_ms)
{
    int r = outbox_find(b->outbox, id, ret_row);
    if (r < 0)
        return r;
    delivery_message_t m = message_of(b, ret_row, now_ms);
    m.body = NULL;
    m.body_len = 0;
    if (ret_row->dead) {
        m.state = MESSAGE_DEAD;
    } else if (backlog_may_be_out(b, id) && m.wait_ms == 0) {
        /* One whose delay is not over was given back and is not out; its delay goes on. */
        m.state = MESSAGE_LIMBO;
        m.wait_ms = b->limbo_until_ms > now_ms ? b->limbo_until_ms - now_ms : 1;
    }
    return delivery_add(b->delivery, &m, now_ms);
}

int backlog_claim(backlog_t *b, const uint64_t *ids, size_t n, int64_t now_ms)
{
    outbox_row_t row;
    for (size_t i = 0; i < n; i++) {
        if (delivery_has(b->delivery, ids[i]) || !backlog_may_be_out(b, ids[i]))
            continue;
        int r = backlog_find(b, ids[i], &row, now_ms);
        if (r == -ENOSPC)
            break;
        if (r < 0 && r != -ENOENT && r != -EINVAL && r != -EAGAIN)
            return r;
    }
    return 0;
}

int64_t backlog_next_ms(const backlog_t *b)
{
    int64_t next_ms = backlog_in_limbo(b) ? b->limbo_until_ms : INT64_MAX;
    /* One that has no room is waited for no better than others: when there is some, there is a turn. */
    if (b->asleep && b->wake_ms < next_ms && delivery_room(b->delivery) > 0)
        next_ms = b->wake_ms;
    return next_ms;
}

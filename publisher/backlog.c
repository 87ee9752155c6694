#include "publisher/backlog.h"
#include <errno.h>

int backlog_init(backlog_t *b, outbox_t *outbox, delivery_t *delivery, int64_t ack_deadline_ms,
                 int64_t now_ms)
{
    uint64_t dispatched_to = outbox_dispatched_to(outbox);
    *b = (backlog_t){
        .outbox = outbox,
        .delivery = delivery,
        .maybe_out = {.end = dispatched_to},
        .rest = {.cursor = dispatched_to, .end = (uint64_t)outbox_epoch(outbox) << EPOCH_SHIFT},
        .limbo_until_ms = dispatched_to > 0 ? now_ms + ack_deadline_ms : 0,
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

typedef struct {
    backlog_t *backlog;
    int64_t now_ms;
    uint64_t last;
    size_t rows;
    bool full;
} reading_t;

static delivery_message_t message_of(const outbox_row_t *row)
{
    return (delivery_message_t){
        .id = row->id,
        .legs = row->legs,
        .done = row->done,
        .bad = row->bad,
        .deliveries = row->deliveries,
        .wait_ms = row->wait_ms,
        .body = row->body,
        .body_len = row->body_len,
    };
}

static bool take_row(void *arg, const outbox_row_t *row)
{
    reading_t *reading = arg;
    backlog_t *b = reading->backlog;
    delivery_message_t m = message_of(row);
    m.added_us = stamps_find(&b->stamps, row->id);
    int r = delivery_add(b->delivery, &m, reading->now_ms);
    if (r == -ENOSPC || r == -ENOMEM) {
        reading->full = true;
        return false;
    }
    reading->last = row->id;
    reading->rows++;
    return true;
}

int backlog_read(backlog_t *b, size_t max, bool may_end_limbo, int64_t now_ms)
{
    if (backlog_in_limbo(b) && may_end_limbo && now_ms >= b->limbo_until_ms)
        b->limbo_until_ms = 0;
    backlog_range_t *range = range_to_read(b);
    size_t room = range ? delivery_room(b->delivery) : 0;
    if (room == 0)
        return 0;
    if (max > room)
        max = room;
    reading_t reading = {.backlog = b, .now_ms = now_ms, .last = range->cursor};
    int r = outbox_scan(b->outbox, range->cursor, range->end, max, take_row, &reading);
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

static bool may_be_out(const backlog_t *b, uint64_t id)
{
    return backlog_in_limbo(b) && id <= b->maybe_out.end;
}

int backlog_find(backlog_t *b, uint64_t id, outbox_row_t *ret_row, int64_t now_ms)
{
    int r = outbox_find(b->outbox, id, ret_row);
    if (r < 0)
        return r;
    delivery_message_t m = message_of(ret_row);
    m.added_us = stamps_find(&b->stamps, id);
    m.body = NULL;
    m.body_len = 0;
    if (ret_row->dead) {
        m.state = MESSAGE_DEAD;
    } else if (may_be_out(b, id) && m.wait_ms == 0) {
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
        if (!may_be_out(b, ids[i]) || delivery_has(b->delivery, ids[i]))
            continue;
        int r = backlog_find(b, ids[i], &row, now_ms);
        if (r == -ENOSPC)
            break;
        if (r < 0 && r != -ENOENT && r != -EINVAL)
            return r;
    }
    return 0;
}

int64_t backlog_next_ms(const backlog_t *b)
{
    return backlog_in_limbo(b) ? b->limbo_until_ms : INT64_MAX;
}

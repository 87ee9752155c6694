/* A publisher's inside without its sockets: outbox, lease table, backlog and round, with the test's clock. */
#ifndef MANDRILL_TEST_PUBLISHER_FIXTURE_H
#define MANDRILL_TEST_PUBLISHER_FIXTURE_H

#include "common/runtime/clock.h"
#include "publisher/round.h"
#include "tests/unit/outbox_fixture.h"

enum { SAVE = 1, RESTART = 2, BOTH = 3, SESSION = 7, AHEAD = 100 };

typedef struct {
    fixture_t *f;
    delivery_limits_t limits;
    outbox_t *outbox;
    delivery_t *delivery;
    backlog_t backlog;
    round_t round;
    int64_t now_ms;
    delivery_item_t items[1024];
} world_t;

static inline void open_world(world_t *w)
{
    w->outbox = open_outbox(w->f);
    w->delivery = delivery_new(&w->limits, outbox_epoch(w->outbox));
    assert_non_null(w->delivery);
    assert_int_equal(backlog_init(&w->backlog, w->outbox, w->delivery, 10000, w->now_ms, clock_wall_ms()), 0);
    assert_int_equal(round_init(&w->round, w->outbox, w->delivery, &w->backlog, AHEAD), 0);
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    assert_int_equal(backlog_read(&w->backlog, 1000, true, w->now_ms), 0);
}

static inline void close_world(world_t *w, bool clean)
{
    round_done(&w->round);
    backlog_done(&w->backlog);
    delivery_destroy(&w->delivery);
    outbox_close(&w->outbox, clean);
}

static inline size_t take(world_t *w, size_t max)
{
    size_t n = delivery_take(w->delivery, SESSION, outbox_dispatched_to(w->outbox), max, w->now_ms, w->items);
    delivery_sent(w->delivery, w->items, n);
    return n;
}

static inline delivery_gauges_t gauges(const world_t *w)
{
    delivery_gauges_t g;
    delivery_gauges(w->delivery, &g);
    return g;
}

static inline int world_open(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    if (fixture_open((void **)&w->f) < 0)
        return -1;
    w->now_ms = 1000;
    w->limits = (delivery_limits_t){
        .table_max = 1024,
        .ready_max = 64,
        .ready_bytes_max = 1 << 20,
        .ack_deadline_ms = 10000,
        .lease_cap_ms = 3600000,
        .max_deliveries = 5,
    };
    open_world(w);
    return 0;
}

static inline int world_close(void **state)
{
    world_t *w = *state;
    close_world(w, true);
    int r = fixture_close((void **)&w->f);
    free(w);
    return r;
}

#endif

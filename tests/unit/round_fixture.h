/* Short ways to fill a round, to have messages out and to say steps; on a disk that fails on demand when the
 * test program includes disk_faults.h. */
#ifndef MANDRILL_TEST_ROUND_FIXTURE_H
#define MANDRILL_TEST_ROUND_FIXTURE_H

#include "tests/unit/publisher_fixture.h"

static inline void insert(world_t *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        size_t at = w->round.bodies.len;
        buffer_append(&w->round.bodies, "body", 4);
        round_insert(&w->round, at, NULL);
    }
}

static inline void commit(world_t *w)
{
    assert_int_equal(round_commit(&w->round), 0);
    round_end(&w->round);
}

/* n messages that are out, as items from 0 on. */
static inline void lease(world_t *w, unsigned n)
{
    size_t out = 0;
    delivery_session_open(w->delivery, SESSION, 1000);
    insert(w, n);
    for (size_t more = 1; more > 0; out += more) {
        commit(w); /* dispatched_to rises with it */
        more = delivery_take(w->delivery, SESSION, outbox_dispatched_to(w->outbox), n - out, w->now_ms,
                             w->items + out);
        delivery_sent(w->delivery, w->items + out, more);
    }
    assert_int_equal(out, n);
}

static inline uint32_t step(world_t *w, uint64_t id, uint64_t token, uint8_t done, step_op_t op,
                            const char *text)
{
    step_t s = {.token = token, .done = done, .op = op, .ms = 1000, .text = {text, (uint32_t)strlen(text)}};
    return round_step(&w->round, SESSION, id, &s);
}

static inline uint32_t step_item(world_t *w, unsigned item, uint8_t done, step_op_t op)
{
    return step(w, w->items[item].id, w->items[item].token, done, op, "");
}

static inline void read_backlog(world_t *w)
{
    assert_int_equal(backlog_read(&w->backlog, 1000, true, w->now_ms), 0);
}

static inline void crash(world_t *w)
{
    close_world(w, false);
    open_world(w);
}

#endif

/* What the tests of the delivery share: a small table of epoch 3, messages of two legs, and shorthands. */
#ifndef MANDRILL_DELIVERY_FIXTURE_H
#define MANDRILL_DELIVERY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/core/delivery.h"

enum {
    EPOCH = 3,
    ACK_MS = 10000,
    CAP_MS = 25000,
    DELIVERIES_MAX = 3,
    SAVE = 1,
    RESTART = 2,
    BOTH = 3,
    ITEMS = 64
};
#define ID(seq) (((uint64_t)EPOCH << EPOCH_SHIFT) + (seq))

static inline delivery_t *fixture_new(void)
{
    const delivery_limits_t limits = {
        .table_max = 48,
        .ready_max = 32,
        .ready_bytes_max = 1 << 16,
        .ack_deadline_ms = ACK_MS,
        .lease_cap_ms = CAP_MS,
        .max_deliveries = DELIVERIES_MAX,
    };
    delivery_t *d = delivery_new(&limits, EPOCH);
    assert_non_null(d);
    return d;
}

static inline void add_as(delivery_t *d, uint64_t seq, message_state_t state, int64_t now_ms)
{
    const delivery_message_t m = {.id = ID(seq), .legs = BOTH, .state = state};
    assert_int_equal(delivery_add(d, &m, now_ms), 0);
}

/* READY without a body. */
static inline void add(delivery_t *d, uint64_t seq)
{
    add_as(d, seq, MESSAGE_NEW, 0);
}

/* Takes and sends one message to the session: its token. */
static inline uint64_t lease_one(delivery_t *d, uint16_t session, uint64_t seq, int64_t now_ms)
{
    delivery_item_t item;
    assert_int_equal(delivery_take(d, session, UINT64_MAX, 1, now_ms, &item), 1);
    assert_true(item.id == ID(seq));
    delivery_sent(d, &item, 1);
    return item.token;
}

/* Messages 1..n, leased to session 0 at time 0; their tokens by seq. */
static inline delivery_t *with_leases(uint64_t n, uint64_t *ret_tokens)
{
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 10);
    for (uint64_t seq = 1; seq <= n; seq++) {
        add(d, seq);
        ret_tokens[seq] = lease_one(d, 0, seq, 0);
    }
    return d;
}

static inline delivery_t *with_lease(uint64_t *ret_token)
{
    uint64_t tokens[2];
    delivery_t *d = with_leases(1, tokens);
    *ret_token = tokens[1];
    return d;
}

static inline step_code_t step(delivery_t *d, uint16_t session, uint64_t seq, uint64_t token, uint8_t done,
                               uint8_t bad, step_op_t op, int64_t ms, int64_t now_ms)
{
    const delivery_step_t s = {.id = ID(seq), .token = token, .done = done, .bad = bad, .op = op, .ms = ms};
    return delivery_progress(d, session, &s, now_ms);
}

static inline step_code_t done(delivery_t *d, uint64_t seq, uint64_t token, uint8_t legs)
{
    return step(d, 0, seq, token, legs, 0, OP_NONE, 0, 0);
}

static inline void commit(delivery_t *d, int64_t now_ms)
{
    delivery_commit(d, now_ms, now_ms * 1000, NULL);
}

/* The only change that is staged. */
static inline delivery_change_t only_change(const delivery_t *d)
{
    size_t n;
    const delivery_change_t *changes = delivery_staged(d, &n);
    assert_int_equal(n, 1);
    return changes[0];
}

static inline void expect_change(const delivery_t *d, uint64_t seq, change_kind_t kind, uint8_t legs_done,
                                 uint8_t legs_bad, uint32_t deliveries, int64_t wait_ms, bool exhausted)
{
    delivery_change_t c = only_change(d);
    assert_true(c.id == ID(seq));
    assert_int_equal(c.kind, kind);
    assert_int_equal(c.done, legs_done);
    assert_int_equal(c.bad, legs_bad);
    assert_int_equal(c.deliveries, deliveries);
    assert_int_equal(c.wait_ms, wait_ms);
    assert_int_equal(c.exhausted, exhausted);
}

static inline size_t staged(const delivery_t *d)
{
    size_t n;
    delivery_staged(d, &n);
    return n;
}

static inline void expect_gauges(const delivery_t *d, uint32_t ready, uint32_t leased, uint32_t parked,
                                 uint32_t limbo)
{
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.ready, ready);
    assert_int_equal(g.leased, leased);
    assert_int_equal(g.parked, parked);
    assert_int_equal(g.limbo, limbo);
}

#endif

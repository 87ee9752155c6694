#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "common/core/backoff.h"
#include "common/core/peers.h"

static uint32_t hello(peers_t *p, uint32_t routing_id, uint64_t session, int64_t now_ms, bool known)
{
    bool was_known = !known;
    int64_t peer = peers_hello(p, routing_id, session, now_ms, &was_known);
    assert_true(peer >= 0);
    assert_int_equal(was_known, known);
    return (uint32_t)peer;
}

static void test_unknown_connection(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    assert_int_equal(peers_heard(p, 0, 0), PEER_NONE);
    assert_int_equal(peers_heard(p, 7, 0), PEER_NONE);
    assert_int_equal(peers_count(p), 0);
    uint32_t peer = hello(p, 7, 100, 0, false);
    assert_int_equal(peers_heard(p, 7, 0), peer);
    assert_int_equal(peers_heard(p, 8, 0), PEER_NONE);
    peers_drop(p, peer);
    assert_int_equal(peers_heard(p, 7, 0), PEER_NONE);
    peers_destroy(&p);
    peers_destroy(&p);
    assert_null(p);
}

static void test_hello_moves_a_known_session(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    uint32_t a = hello(p, 1, 100, 0, false);
    uint32_t b = hello(p, 2, 200, 0, false);
    assert_int_equal(hello(p, 1, 100, 0, true), a); /* again on its own connection */
    assert_int_equal(hello(p, 3, 100, 10, true), a);
    assert_int_equal(peers_routing_id(p, a), 3);
    assert_true(peers_session(p, a) == 100);
    assert_int_equal(peers_heard(p, 1, 10), PEER_NONE); /* the old connection is nobody's */
    assert_int_equal(peers_heard(p, 3, 10), a);
    assert_int_equal(peers_heard(p, 2, 10), b);
    assert_int_equal(peers_count(p), 2);
    peers_destroy(&p);
}

/* Routing id 0 is as good as any other. */
static void test_routing_id_zero(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    uint32_t a = hello(p, 0, 100, 0, false);
    assert_int_equal(peers_heard(p, 0, 0), a);
    assert_int_equal(hello(p, 5, 100, 0, true), a);
    assert_int_equal(peers_heard(p, 0, 0), PEER_NONE);
    uint32_t b = hello(p, 0, 200, 0, false);
    assert_int_equal(peers_heard(p, 0, 0), b);
    peers_drop(p, a);
    assert_int_equal(peers_heard(p, 0, 0), b);
    peers_destroy(&p);
}

static void test_a_connection_begins_another_session(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    uint32_t old = hello(p, 1, 100, 0, false);
    uint32_t new = hello(p, 1, 200, 10, false);
    assert_int_not_equal(old, new);
    assert_int_equal(peers_heard(p, 1, 10), new);
    assert_int_equal(peers_dead(p, 10), old);
    assert_true(peers_next_ms(p) <= 10);
    peers_said(p, old, 10);
    assert_int_equal(peers_due_ping(p, 10 + PING_MS), new); /* only who can be reached gets a PING */
    peers_said(p, new, 10 + PING_MS);
    assert_int_equal(peers_due_ping(p, 10 + PING_MS), PEER_NONE);
    peers_drop(p, old);
    assert_int_equal(peers_dead(p, 10), PEER_NONE);
    assert_int_equal(peers_heard(p, 1, 10), new);

    /* Back on a connection of its own before it was dropped, it lives on. */
    uint32_t third = hello(p, 1, 300, 10, false);
    assert_int_equal(peers_dead(p, 10), new);
    assert_int_equal(hello(p, 2, 200, 10, true), new);
    assert_int_equal(peers_dead(p, 10), PEER_NONE);
    assert_int_equal(peers_heard(p, 1, 10), third);
    assert_int_equal(peers_heard(p, 2, 10), new);

    /* So it does on the connection that it had lost, once that is free. */
    assert_int_equal(hello(p, 2, 300, 20, true), third);
    assert_int_equal(peers_dead(p, 20), new);
    assert_int_equal(hello(p, 3, 300, 20, true), third);
    assert_int_equal(hello(p, 2, 200, 20, true), new);
    assert_int_equal(peers_heard(p, 2, 20), new);
    assert_int_equal(peers_dead(p, 20), PEER_NONE);
    peers_destroy(&p);
}

static void test_full(void **state)
{
    (void)state;
    peers_t *p = peers_new(2);
    bool known = true;
    hello(p, 1, 100, 0, false);
    uint32_t b = hello(p, 2, 200, 0, false);
    assert_int_equal(peers_hello(p, 3, 300, 0, &known), -ENOSPC);
    assert_true(known); /* untouched */
    assert_int_equal(peers_heard(p, 3, 0), PEER_NONE);
    assert_int_equal(peers_count(p), 2);
    assert_int_equal(hello(p, 4, 200, 0, true), b); /* those that are in may still move */
    peers_drop(p, b);
    assert_int_equal(hello(p, 3, 300, 0, false), b);
    assert_int_equal(peers_count(p), 2);
    peers_destroy(&p);
}

static void test_ping_after_a_second_of_own_silence(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    uint32_t a = hello(p, 1, 100, 5000, false);
    assert_int_equal(peers_due_ping(p, 5999), PEER_NONE);
    assert_true(peers_next_ms(p) == 6000);
    peers_heard(p, 1, 5999); /* what they say does not put off our PING */
    assert_int_equal(peers_due_ping(p, 6000), a);
    assert_int_equal(peers_due_ping(p, 6000), a); /* until it was said */
    peers_said(p, a, 6000);
    assert_int_equal(peers_due_ping(p, 6999), PEER_NONE);
    assert_true(peers_next_ms(p) == 7000);
    peers_said(p, a, 6500); /* any frame counts */
    assert_int_equal(peers_due_ping(p, 7499), PEER_NONE);
    assert_int_equal(peers_due_ping(p, 7500), a);
    peers_destroy(&p);
}

static void test_dead_after_three_seconds(void **state)
{
    (void)state;
    peers_t *p = peers_new(4);
    assert_true(peers_next_ms(p) == INT64_MAX);
    uint32_t a = hello(p, 1, 100, 0, false);
    uint32_t b = hello(p, 2, 200, 0, false);
    peers_said(p, a, 2500);
    peers_said(p, b, 2500); /* what we say is no life sign of theirs */
    assert_int_equal(peers_heard(p, 2, 1000), b);
    assert_int_equal(peers_dead(p, 2999), PEER_NONE);
    assert_true(peers_next_ms(p) == 3000);
    assert_int_equal(peers_dead(p, 3000), a);
    peers_drop(p, a);
    assert_int_equal(peers_dead(p, 3999), PEER_NONE);
    assert_int_equal(peers_dead(p, 4000), b);
    assert_int_equal(peers_heard(p, 2, 4000), b);
    assert_int_equal(peers_dead(p, 4000), PEER_NONE);
    peers_drop(p, b);
    assert_true(peers_next_ms(p) == INT64_MAX);
    peers_destroy(&p);
}

static void test_walk(void **state)
{
    (void)state;
    peers_t *p = peers_new(8);
    assert_int_equal(peers_next(p, PEER_NONE), PEER_NONE);
    uint32_t peer[4];
    for (uint32_t i = 0; i < 4; i++) {
        peer[i] = hello(p, i, 100 + i, 0, false);
    }
    peers_drop(p, peer[1]);
    assert_int_equal(peers_next(p, PEER_NONE), peer[0]);
    peers_drop(p, peer[0]); /* dropping the one at hand does not end the walk */
    assert_int_equal(peers_next(p, peer[0]), peer[2]);
    assert_int_equal(peers_next(p, peer[2]), peer[3]);
    assert_int_equal(peers_next(p, peer[3]), PEER_NONE);
    peers_drop(p, peer[3]);
    assert_int_equal(peers_next(p, peer[2]), PEER_NONE);
    peers_destroy(&p);
}

/* Against a plain list of sessions. */
static void test_random(void **state)
{
    (void)state;
    enum { MAX = 6, SESSIONS = 9, CONNECTIONS = 12, STEPS = 30000 };
    uint64_t seed = 3;
    struct {
        bool in;
        int64_t connection; /* -1: lost to another session */
        uint32_t peer;
    } model[SESSIONS] = {0};
    uint32_t count = 0;
    peers_t *p = peers_new(MAX);
    for (int step = 0; step < STEPS; step++) {
        uint32_t s = (uint32_t)(random_next(&seed) % SESSIONS);
        uint32_t connection = (uint32_t)(random_next(&seed) % CONNECTIONS);
        if (random_next(&seed) % 4 == 0) {
            if (model[s].in) {
                peers_drop(p, model[s].peer);
                model[s].in = false;
                count--;
            }
        } else {
            bool known = false;
            int64_t peer = peers_hello(p, connection, s + 1, step, &known);
            if (!model[s].in && count == MAX) {
                assert_int_equal(peer, -ENOSPC);
            } else {
                assert_true(peer >= 0 && peer < MAX);
                assert_int_equal(known, model[s].in);
                for (uint32_t i = 0; i < SESSIONS; i++) {
                    if (model[i].in && model[i].connection == connection) {
                        model[i].connection = -1;
                    }
                }
                count += !model[s].in;
                model[s].in = true;
                model[s].connection = connection;
                model[s].peer = (uint32_t)peer;
            }
        }
        assert_int_equal(peers_count(p), count);
        for (uint32_t c = 0; c < CONNECTIONS; c++) {
            uint32_t expected = PEER_NONE;
            for (uint32_t i = 0; i < SESSIONS; i++) {
                if (model[i].in && model[i].connection == c) {
                    expected = model[i].peer;
                }
            }
            assert_int_equal(peers_heard(p, c, step), expected);
        }
        uint32_t walked = 0;
        for (uint32_t peer = peers_next(p, PEER_NONE); peer != PEER_NONE; peer = peers_next(p, peer)) {
            walked++;
        }
        assert_int_equal(walked, count);
    }
    peers_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_connection),
        cmocka_unit_test(test_hello_moves_a_known_session),
        cmocka_unit_test(test_routing_id_zero),
        cmocka_unit_test(test_a_connection_begins_another_session),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_ping_after_a_second_of_own_silence),
        cmocka_unit_test(test_dead_after_three_seconds),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Legs, the round's commit and rollback: the facts that steps report (docs/PROTOCOL.md section 4). */
#include "delivery_fixture.h"

static void test_unknown_is_gone(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    assert_int_equal(done(d, 1, 5, BOTH), STEP_GONE);
    assert_int_equal(staged(d), 0);
    assert_true(delivery_next_ms(d) == INT64_MAX);
    delivery_destroy(&d);
}

static void test_all_legs_done(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(done(d, 1, token, BOTH | 0x80), STEP_DONE); /* bits of no leg are not looked at */
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    assert_int_equal(delivery_outstanding(d, 0), 1); /* until the commit */
    assert_true(delivery_has(d, ID(1)));
    commit(d, 0);
    assert_int_equal(staged(d), 0);
    assert_int_equal(delivery_outstanding(d, 0), 0);
    assert_false(delivery_has(d, ID(1)));
    assert_int_equal(done(d, 1, token, BOTH), STEP_GONE);
    assert_true(delivery_next_ms(d) == INT64_MAX);
    delivery_destroy(&d);
}

static void test_legs_add_up(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(done(d, 1, token, 0), STEP_KEPT);
    assert_int_equal(staged(d), 0);
    assert_int_equal(done(d, 1, token, SAVE), STEP_KEPT);
    expect_change(d, 1, CHANGE_MARK, SAVE, 0, 0, 0, false);
    commit(d, 0);
    assert_int_equal(done(d, 1, token, SAVE), STEP_KEPT); /* again: nothing new for the disk */
    assert_int_equal(staged(d), 0);
    assert_int_equal(done(d, 1, token, RESTART), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    assert_int_equal(only_change(d).newly_done, RESTART);
    delivery_destroy(&d);
}

static void test_steps_of_one_round_merge(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(done(d, 1, 1, SAVE), STEP_STALE);
    assert_int_equal(done(d, 1, token, RESTART), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    assert_int_equal(done(d, 1, 1, SAVE), STEP_DONE); /* the same frame once more */
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_NACK, 0, 0), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    delivery_destroy(&d);
}

static void test_done_counts_in_every_state(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    add(d, 1);
    const delivery_message_t parked = {.id = ID(2), .legs = BOTH, .wait_ms = 500};
    assert_int_equal(delivery_add(d, &parked, 0), 0);
    add_as(d, 3, MESSAGE_LIMBO, 0);
    add_as(d, 4, MESSAGE_DEAD, 0);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        assert_int_equal(done(d, seq, 77, SAVE), STEP_STALE);
    }
    size_t n;
    const delivery_change_t *changes = delivery_staged(d, &n);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(changes[i].kind, CHANGE_MARK);
        assert_int_equal(changes[i].done, SAVE);
        assert_int_equal(changes[i].wait_ms, changes[i].id == ID(2) ? 500 : 0); /* its delay stays */
    }
    commit(d, 100);
    expect_gauges(d, 1, 0, 1, 1);
    assert_false(delivery_has(d, ID(4))); /* dead letters are only visiting */
    assert_true(delivery_next_ms(d) == 500);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_int_equal(done(d, seq, 77, RESTART), STEP_DONE);
    }
    commit(d, 100);
    expect_gauges(d, 0, 0, 0, 0);
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.total, 0);
    assert_int_equal(g.stale, 4);
    delivery_destroy(&d);
}

/* A leg reported done runs no more: the redelivery carries what is open. */
static void test_done_while_ready_narrows_the_next_delivery(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_item_t item;
    delivery_session_open(d, 0, 10);
    add(d, 1);
    assert_int_equal(done(d, 1, 77, SAVE), STEP_STALE);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 1, 0, &item), 0); /* not before it is on disk */
    commit(d, 0);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 1, 0, &item), 1);
    assert_int_equal(item.open, RESTART);
    delivery_destroy(&d);
}

/* The tutorial's own bug: a restart that had failed was acked all the same. Whatever ends badly, and in
 * whatever order, the message is done when each leg is and never else. */
static void test_a_failed_message_is_not_acked(void **state)
{
    (void)state;
    for (uint8_t ends = 0; ends < 16; ends++) {
        /* Of each leg in turn: not yet, done, bad, bad and then done. */
        static const uint8_t said_bad[] = {0, 0, 1, 1}, said_done[] = {0, 1, 0, 1};
        uint8_t save = ends % 4, restart = ends / 4;
        uint8_t bad = (uint8_t)(said_bad[save] * SAVE | said_bad[restart] * RESTART);
        uint8_t all = (uint8_t)(said_done[save] * SAVE | said_done[restart] * RESTART);
        uint64_t token;
        delivery_t *d = with_lease(&token);
        step(d, 0, 1, token, 0, bad, OP_NONE, 0, 0);
        step_code_t code = step(d, 0, 1, token, all, 0, OP_NONE, 0, 0);
        bool ended = (all | bad) == BOTH;
        assert_int_equal(code, all == BOTH ? STEP_DONE : ended ? STEP_DEAD : STEP_KEPT);
        size_t n;
        const delivery_change_t *changes = delivery_staged(d, &n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(changes[i].kind == CHANGE_DELETE, all == BOTH);
            assert_int_equal(changes[i].kind == CHANGE_BURY, all != BOTH && ended);
        }
        delivery_destroy(&d);
    }
}

static void test_bad(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(step(d, 0, 1, token + 1, 0, RESTART, OP_NONE, 0, 0), STEP_STALE);
    assert_int_equal(staged(d), 0);
    assert_int_equal(step(d, 0, 1, token, 0, RESTART, OP_NONE, 0, 0), STEP_KEPT); /* save is still open */
    expect_change(d, 1, CHANGE_MARK, 0, RESTART, 0, 0, false);
    assert_int_equal(done(d, 1, 77, SAVE), STEP_DEAD); /* with any token */
    expect_change(d, 1, CHANGE_BURY, SAVE, RESTART, 0, 0, false);
    assert_int_equal(done(d, 1, 77, SAVE), STEP_DEAD);
    /* The bad leg was done after all, in the same round. */
    assert_int_equal(done(d, 1, 77, RESTART), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    delivery_rollback(d);
    /* Done and bad at once: done is a fact. */
    assert_int_equal(step(d, 0, 1, token, BOTH, BOTH, OP_NONE, 0, 0), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    delivery_rollback(d);
    assert_int_equal(step(d, 0, 1, token, SAVE, BOTH, OP_EXTEND, 1000, 0), STEP_DEAD);
    expect_change(d, 1, CHANGE_BURY, SAVE, RESTART, 0, 0, false);
    commit(d, 0);
    assert_false(delivery_has(d, ID(1)));
    assert_int_equal(delivery_outstanding(d, 0), 0);
    delivery_destroy(&d);
}

/* A leg that ended badly is not open; when the others end after the lease was lost, the message is dead. */
static void test_bad_outlives_the_lease(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(step(d, 0, 1, token, 0, RESTART, OP_RELEASE, 100, 0), STEP_RETURNED);
    assert_int_equal(done(d, 1, 77, SAVE), STEP_DEAD); /* in the same round: no delay is left */
    expect_change(d, 1, CHANGE_BURY, SAVE, RESTART, 0, 0, false);
    delivery_rollback(d);
    assert_int_equal(step(d, 0, 1, token, 0, RESTART, OP_RELEASE, 0, 0), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, 0, RESTART, 0, 0, false);
    expect_gauges(d, 0, 1, 0, 0); /* what it reports must be on disk before it goes out again */
    commit(d, 0);
    delivery_item_t item;
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 1, 0, &item), 1);
    assert_int_equal(item.open, SAVE);
    assert_int_equal(done(d, 1, token, SAVE), STEP_DEAD);
    expect_change(d, 1, CHANGE_BURY, SAVE, RESTART, 0, 0, false);
    delivery_destroy(&d);
}

static void test_dead_letter(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_message_t m = {.id = ID(1), .legs = BOTH, .done = SAVE, .bad = RESTART, .state = MESSAGE_DEAD};
    assert_int_equal(delivery_add(d, &m, 0), 0);
    assert_int_equal(step(d, 0, 1, 5, 0, RESTART, OP_EXTEND, 5, 0), STEP_DEAD);
    assert_int_equal(staged(d), 0);
    delivery_rollback(d);
    assert_false(delivery_has(d, ID(1))); /* with a rollback, too */
    assert_int_equal(delivery_add(d, &m, 0), 0);
    assert_int_equal(done(d, 1, 5, RESTART), STEP_DONE);
    expect_change(d, 1, CHANGE_DELETE, BOTH, 0, 0, 0, false);
    commit(d, 0);
    assert_false(delivery_has(d, ID(1)));
    /* Dead because of its deliveries, legs still open: they go on counting, and it stays dead. */
    m = (delivery_message_t){.id = ID(1), .legs = 7, .deliveries = 3, .state = MESSAGE_DEAD};
    assert_int_equal(delivery_add(d, &m, 0), 0);
    assert_int_equal(done(d, 1, 5, SAVE), STEP_STALE);
    assert_int_equal(done(d, 1, 5, RESTART), STEP_STALE);
    expect_change(d, 1, CHANGE_MARK, BOTH, 0, 3, 0, false);
    assert_int_equal(delivery_expire(d, INT64_MAX - 1, 10), 0);
    commit(d, 0);
    assert_false(delivery_has(d, ID(1)));
    delivery_destroy(&d);
}

static void test_rollback_restores(void **state)
{
    (void)state;
    uint64_t token[7];
    delivery_t *d = with_leases(6, token);
    add(d, 7);
    assert_int_equal(step(d, 0, 6, token[6], 0, 0, OP_EXTEND, 0, 0), STEP_KEPT);
    delivery_gauges_t before, after;
    delivery_gauges(d, &before);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(done(d, 1, token[1], BOTH), STEP_DONE);
        assert_int_equal(done(d, 2, token[2], SAVE), STEP_KEPT);
        assert_int_equal(step(d, 0, 3, token[3], 0, BOTH, OP_NONE, 0, 0), STEP_DEAD);
        assert_int_equal(step(d, 0, 4, token[4], 0, 0, OP_NACK, 100, 0), STEP_RETURNED);
        assert_int_equal(step(d, 0, 5, token[5], SAVE, 0, OP_RELEASE, 0, 0), STEP_RETURNED);
        assert_int_equal(done(d, 7, token[6], BOTH), STEP_DONE);
        assert_int_equal(delivery_expire(d, ACK_MS, 10), 1);
        assert_int_equal(staged(d), 7);
        delivery_rollback(d);
        assert_int_equal(staged(d), 0);
        delivery_gauges(d, &after);
        assert_int_equal(after.ready, before.ready);
        assert_int_equal(after.leased, before.leased);
        assert_int_equal(after.parked, before.parked);
        assert_int_equal(after.total, before.total);
        assert_int_equal(delivery_outstanding(d, 0), 6);
        assert_true(delivery_next_ms(d) == ACK_MS);
    }
    /* The same leases, with the same tokens; nothing was recorded. */
    assert_int_equal(done(d, 2, token[2], RESTART), STEP_KEPT);
    expect_change(d, 2, CHANGE_MARK, RESTART, 0, 0, 0, false);
    delivery_rollback(d);
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 6);
    commit(d, ACK_MS);
    lease_one(d, 0, 6, 0); /* what was in the heap ran out first */
    lease_one(d, 0, 1, 0);
    delivery_destroy(&d);
}

/* A HELLO in the round of its own steps. */
static void test_hello_between_steps_and_commit(void **state)
{
    (void)state;
    uint64_t token[5];
    delivery_t *d = with_leases(4, token);
    assert_int_equal(done(d, 1, token[1], SAVE), STEP_KEPT);
    assert_int_equal(done(d, 2, token[2], BOTH), STEP_DONE);
    assert_int_equal(step(d, 0, 3, token[3], 0, 0, OP_NACK, 0, 0), STEP_RETURNED);
    delivery_session_holds(d, 0, (uint64_t[]){ID(4)}, 1);
    delivery_session_drop(d, 0);
    assert_int_equal(staged(d), 3);
    expect_gauges(d, 1, 3, 0, 0); /* 1 goes back at once, the others as they are staged */
    commit(d, 0);
    expect_gauges(d, 2, 1, 0, 0);
    assert_true(delivery_next_ms(d) == ACK_MS);
    delivery_session_open(d, 1, 10);
    delivery_item_t items[ITEMS];
    assert_int_equal(delivery_take(d, 1, UINT64_MAX, ITEMS, 0, items), 2);
    assert_true(items[0].id == ID(1) && items[0].open == RESTART && items[0].deliveries == 0);
    assert_true(items[1].id == ID(3) && items[1].open == BOTH && items[1].deliveries == 1);
    delivery_destroy(&d);
}

static void test_latency_of_what_is_deleted(void **state)
{
    (void)state;
    static histogram_t latency;
    histogram_init(&latency);
    delivery_t *d = fixture_new();
    delivery_message_t m = {.legs = BOTH};
    for (uint64_t seq = 1; seq <= 4; seq++) {
        m.id = ID(seq);
        m.added_us = seq == 4 ? 0 : 1000 * (int64_t)seq; /* the last is not measured */
        assert_int_equal(delivery_add(d, &m, 0), 0);
        assert_int_equal(done(d, seq, 5, seq == 3 ? SAVE : BOTH), seq == 3 ? STEP_STALE : STEP_DONE);
    }
    delivery_rollback(d);
    assert_true(latency.total == 0);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        done(d, seq, 5, seq == 3 ? SAVE : BOTH);
    }
    delivery_commit(d, 10, 10000, &latency);
    assert_true(latency.total == 2);
    assert_true(latency.max_us == 9000);
    delivery_destroy(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_is_gone),
        cmocka_unit_test(test_all_legs_done),
        cmocka_unit_test(test_legs_add_up),
        cmocka_unit_test(test_steps_of_one_round_merge),
        cmocka_unit_test(test_done_counts_in_every_state),
        cmocka_unit_test(test_done_while_ready_narrows_the_next_delivery),
        cmocka_unit_test(test_a_failed_message_is_not_acked),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bad_outlives_the_lease),
        cmocka_unit_test(test_dead_letter),
        cmocka_unit_test(test_rollback_restores),
        cmocka_unit_test(test_hello_between_steps_and_commit),
        cmocka_unit_test(test_latency_of_what_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The table, sessions and taking: what happens before a step comes back. */
#include "delivery_fixture.h"

#include <errno.h>

static void expect_items(delivery_t *d, uint16_t session, uint64_t seq_max, const uint64_t *seqs, size_t n)
{
    delivery_item_t items[ITEMS];
    assert_int_equal(delivery_take(d, session, ID(seq_max), ITEMS, 0, items), n);
    for (size_t i = 0; i < n; i++) {
        assert_true(items[i].id == ID(seqs[i]));
    }
    delivery_sent(d, items, n);
}

static void test_add_refuses(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_message_t m = {.id = ID(1), .legs = BOTH};
    assert_int_equal(delivery_add(d, &m, 0), 0);
    assert_int_equal(delivery_add(d, &m, 0), -EEXIST);
    assert_true(delivery_has(d, ID(1)));
    m.id = ID(2);
    m.legs = 0;
    assert_int_equal(delivery_add(d, &m, 0), -EINVAL);
    m.legs = BOTH;
    m.done = SAVE;
    m.bad = RESTART; /* nothing left to deliver */
    assert_int_equal(delivery_add(d, &m, 0), -EINVAL);
    m.state = MESSAGE_LIMBO;
    assert_int_equal(delivery_add(d, &m, 0), -EINVAL);
    m.state = MESSAGE_DEAD;
    assert_int_equal(delivery_add(d, &m, 0), 0);
    static const char body[BODY_BYTES_MAX + 1];
    m = (delivery_message_t){.id = ID(3), .legs = BOTH, .body = body, .body_len = sizeof body};
    assert_int_equal(delivery_add(d, &m, 0), -EINVAL);
    assert_false(delivery_has(d, ID(3)));
    delivery_destroy(&d);
    delivery_destroy(&d);
    assert_null(d);
}

static void test_room(void **state)
{
    (void)state;
    const delivery_limits_t limits = {
        .table_max = 32, .ready_max = 20, .ready_bytes_max = 64 * 8, .ack_deadline_ms = ACK_MS};
    delivery_t *d = delivery_new(&limits, EPOCH);
    delivery_message_t m = {.id = ID(1), .legs = BOTH, .body = "x", .body_len = 1};
    assert_int_equal(delivery_room(d), 20);
    /* Bodies: one byte takes 64. */
    for (; m.id <= ID(8); m.id++) {
        assert_true(delivery_room(d) > 0);
        assert_int_equal(delivery_add(d, &m, 0), 0);
    }
    assert_int_equal(delivery_room(d), 0);
    assert_int_equal(delivery_add(d, &m, 0), -ENOSPC);
    /* READY ones. */
    m.body = NULL;
    for (; m.id <= ID(20); m.id++) {
        assert_int_equal(delivery_add(d, &m, 0), 0);
    }
    delivery_session_open(d, 0, 100);
    delivery_item_t items[ITEMS];
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 8, 0, items), 8);
    delivery_sent(d, items, 8);
    assert_int_equal(delivery_room(d), 8); /* the sent bodies are gone */
    /* The table: 30 of 32 with a body, the rest for those that steps name. */
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 12, 0, items), 12);
    delivery_sent(d, items, 12);
    assert_int_equal(delivery_room(d), 10);
    for (; m.id <= ID(30); m.id++) {
        assert_int_equal(delivery_add(d, &m, 0), 0);
    }
    m.body = "x";
    assert_int_equal(delivery_add(d, &m, 0), -ENOSPC);
    m.body = NULL;
    for (; m.id <= ID(32); m.id++) {
        assert_int_equal(delivery_add(d, &m, 0), 0);
    }
    assert_int_equal(delivery_add(d, &m, 0), -ENOSPC);
    /* A place is used again. */
    assert_int_equal(done(d, 1, 0, BOTH), STEP_DONE);
    commit(d, 0);
    assert_int_equal(delivery_add(d, &m, 0), 0);
    delivery_destroy(&d);
}

static void test_table_grows(void **state)
{
    (void)state;
    enum { MESSAGES = 5000 };
    const delivery_limits_t limits = {
        .table_max = MESSAGES, .ready_max = 10000, .ready_bytes_max = 1 << 20, .ack_deadline_ms = ACK_MS};
    delivery_t *d = delivery_new(&limits, EPOCH);
    delivery_session_open(d, 0, WINDOW_MAX);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        add(d, seq);
    }
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        lease_one(d, 0, seq, (int64_t)seq);
    }
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        assert_int_equal(done(d, seq, 0, BOTH), STEP_DONE);
    }
    assert_int_equal(staged(d), MESSAGES);
    commit(d, 0);
    expect_gauges(d, 0, 0, 0, 0);
    delivery_destroy(&d);
}

static void test_take_in_order_with_bodies(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_item_t items[ITEMS];
    char body[] = "first";
    delivery_message_t m = {
        .id = ID(1), .legs = BOTH, .deliveries = 2, .done = SAVE, .body = body, .body_len = 5};
    assert_int_equal(delivery_add(d, &m, 0), 0);
    memset(body, 'x', sizeof body); /* it was copied */
    add(d, 2);
    delivery_session_open(d, 7, 10);
    assert_int_equal(delivery_take(d, 7, UINT64_MAX, ITEMS, 0, items), 2);
    assert_true(items[0].id == ID(1) && items[1].id == ID(2));
    assert_memory_equal(items[0].body, "first", 5);
    assert_int_equal(items[0].body_len, 5);
    assert_int_equal(items[0].open, RESTART);
    assert_int_equal(items[0].deliveries, 2);
    assert_int_equal(items[1].open, BOTH);
    assert_null(items[1].body);
    assert_true(items[0].token >> EPOCH_SHIFT == EPOCH);
    assert_true(items[1].token > items[0].token);
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.ready_bytes, 64);
    delivery_sent(d, items, 2);
    delivery_gauges(d, &g);
    assert_int_equal(g.ready_bytes, 0);
    assert_int_equal(g.leased, 2);
    assert_int_equal(delivery_outstanding(d, 7), 2);
    delivery_destroy(&d);
}

static void test_take_stops_at_id_max(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 100);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        add(d, seq);
    }
    assert_true(delivery_ready_head(d) == ID(1));
    expect_items(d, 0, 0, NULL, 0);
    expect_items(d, 0, 2, (uint64_t[]){1, 2}, 2);
    assert_true(delivery_ready_head(d) == ID(3));
    /* What comes back goes out first, and is not held up by what may not go yet. */
    delivery_session_holds(d, 0, (uint64_t[]){ID(2)}, 1);
    assert_true(delivery_ready_head(d) == ID(3));
    expect_items(d, 0, 2, (uint64_t[]){1}, 1);
    assert_true(delivery_ready_head(d) == ID(3));
    expect_items(d, 0, 9, (uint64_t[]){3, 4}, 2);
    assert_true(delivery_ready_head(d) == 0);
    delivery_session_holds(d, 0, NULL, 0);
    assert_true(delivery_ready_head(d) == ID(2)); /* in the order they went out */
    /* One that waited and may not go yet does not hide those that may. */
    const delivery_message_t parked = {.id = ID(9), .legs = BOTH, .wait_ms = 5};
    assert_int_equal(delivery_add(d, &parked, 0), 0);
    expect_items(d, 0, 9, (uint64_t[]){2, 1, 3, 4}, 4);
    assert_int_equal(delivery_expire(d, 5, 1), 1);
    assert_true(delivery_ready_head(d) == ID(9));
    add(d, 6);
    assert_true(delivery_ready_head(d) == ID(9));
    expect_items(d, 0, 6, (uint64_t[]){6}, 1);
    delivery_destroy(&d);
}

static void test_untake_restores_order(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_item_t items[ITEMS], again[ITEMS];
    delivery_session_open(d, 0, 100);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        add(d, seq);
    }
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 2, 0, items), 2);
    delivery_sent(d, items, 2);
    delivery_session_holds(d, 0, NULL, 0); /* 1 and 2 have been out, 3..6 not */
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 5, 0, items), 5);
    assert_int_equal(delivery_outstanding(d, 0), 5);
    delivery_sent(d, items, 1);
    delivery_untake(d, items + 1, 4);
    assert_int_equal(delivery_outstanding(d, 0), 1);
    assert_true(delivery_next_ms(d) == ACK_MS);
    delivery_untake(d, items + 1, 4); /* nothing more to take back */
    expect_gauges(d, 5, 1, 0, 0);
    /* Nor when they are out again. */
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 0, again), 5);
    delivery_untake(d, items + 1, 4);
    expect_gauges(d, 0, 6, 0, 0);
    delivery_untake(d, again, 5);
    expect_gauges(d, 5, 1, 0, 0);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 0, again), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(again[i].id == ID(i + 2));
        assert_true(again[i].token > items[4].token); /* a token is never used again */
    }
    delivery_destroy(&d);
}

static void test_credit(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_item_t items[ITEMS];
    for (uint64_t seq = 1; seq <= 10; seq++) {
        add(d, seq);
    }
    delivery_session_window(d, 0, 5);
    assert_int_equal(delivery_credit(d, 0), 0); /* not open */
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 0, items), 0);
    delivery_session_open(d, 0, 3);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, 1, 0, items), 1);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 0, items), 2);
    assert_int_equal(delivery_credit(d, 0), 0);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 0, items), 0);
    delivery_session_window(d, 0, 2); /* takes nothing back */
    assert_int_equal(delivery_outstanding(d, 0), 3);
    assert_int_equal(delivery_credit(d, 0), 0);
    delivery_session_open(d, 0, 5); /* HELLO again */
    assert_int_equal(delivery_outstanding(d, 0), 3);
    assert_int_equal(delivery_credit(d, 0), 2);
    delivery_destroy(&d);
}

/* Else the wider one would get all there is until the difference is outstanding. */
static void test_little_work_is_shared_by_windows_that_differ(void **state)
{
    enum { WIDE = 4096, NARROW = 3754, FEW = 20 };
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, NARROW);
    delivery_session_open(d, 1, WIDE);
    for (uint64_t seq = 1; seq <= FEW; seq++) {
        add(d, seq);
        lease_one(d, delivery_best_session(d), seq, 0);
    }
    assert_int_equal(delivery_outstanding(d, 0), FEW / 2);
    assert_int_equal(delivery_outstanding(d, 1), FEW / 2);
    delivery_destroy(&d);
}

static void test_best_session(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    assert_int_equal(delivery_best_session(d), DELIVERY_NO_SESSION);
    delivery_session_open(d, 3, 0);
    assert_int_equal(delivery_best_session(d), DELIVERY_NO_SESSION);
    delivery_session_open(d, SESSIONS_MAX - 1, 2);
    delivery_session_open(d, 5, 3);
    assert_int_equal(delivery_best_session(d), 5);
    add(d, 1);
    add(d, 2);
    lease_one(d, 5, 1, 0);
    assert_int_equal(delivery_best_session(d), SESSIONS_MAX - 1);
    lease_one(d, SESSIONS_MAX - 1, 2, 0);
    assert_int_equal(delivery_best_session(d), 5);
    delivery_session_drop(d, SESSIONS_MAX - 1);
    assert_int_equal(delivery_best_session(d), 5);
    delivery_session_drop(d, 5);
    delivery_session_drop(d, 5); /* nothing more to drop */
    assert_int_equal(delivery_best_session(d), DELIVERY_NO_SESSION);
    delivery_session_window(d, 3, 1);
    assert_int_equal(delivery_best_session(d), 3);
    delivery_destroy(&d);
}

static void test_dropped_session_leases_run_out(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 10);
    add(d, 1);
    add(d, 2);
    uint64_t token = lease_one(d, 0, 1, 0);
    lease_one(d, 0, 2, 100);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 1000), STEP_KEPT); /* until 11000 */
    delivery_session_drop(d, 0);
    expect_gauges(d, 0, 2, 0, 0);
    /* The number is another consumer's: its credit is its own. */
    delivery_session_open(d, 0, 10);
    assert_int_equal(delivery_outstanding(d, 0), 0);
    assert_true(delivery_next_ms(d) == ACK_MS + 100);
    assert_int_equal(delivery_expire(d, ACK_MS + 99, 10), 0);
    assert_int_equal(delivery_expire(d, ACK_MS + 100, 10), 1);
    expect_change(d, 2, CHANGE_MARK, 0, 0, 1, 0, false);
    commit(d, ACK_MS + 100);
    assert_true(delivery_next_ms(d) == ACK_MS + 1000);
    /* Its holder is heard again under a new session: the token still counts, and so does the credit. */
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 1000, 10500), STEP_KEPT);
    assert_int_equal(delivery_outstanding(d, 0), 1);
    assert_true(delivery_next_ms(d) == ACK_MS + 2000);
    delivery_destroy(&d);
}

static void test_session_holds(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 10);
    delivery_session_open(d, 1, 10);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        add(d, seq);
    }
    uint64_t token = lease_one(d, 0, 1, 0);
    lease_one(d, 0, 2, 0);
    lease_one(d, 0, 3, 0);
    lease_one(d, 1, 4, 0);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 2000), STEP_KEPT); /* in the heap */
    /* 4 is another's, 5 was never given, 99 is unknown. */
    delivery_session_holds(d, 0, (uint64_t[]){ID(2), ID(4), ID(5), ID(99)}, 4);
    assert_int_equal(delivery_outstanding(d, 0), 1);
    assert_int_equal(delivery_outstanding(d, 1), 1);
    expect_gauges(d, 3, 2, 0, 0);
    assert_int_equal(staged(d), 0);
    /* Given again at once, nothing counted, and the old token is void. */
    delivery_item_t items[ITEMS];
    assert_int_equal(delivery_take(d, 1, UINT64_MAX, ITEMS, 0, items), 3);
    assert_true(items[0].id == ID(3) && items[1].id == ID(1) && items[2].id == ID(5));
    assert_int_equal(items[1].deliveries, 0);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 2000), STEP_STALE);
    delivery_session_holds(d, 1, NULL, 0); /* BYE */
    expect_gauges(d, 4, 1, 0, 0);
    delivery_session_holds(d, 2, (uint64_t[]){ID(2)}, 1); /* not open: nothing */
    assert_int_equal(delivery_outstanding(d, 0), 1);
    delivery_destroy(&d);
}

/* What a consumer holds from before fills its window, so that it is not given more than it has room for. */
static void test_held_from_before_is_outstanding(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 2);
    add(d, 1);
    uint64_t token = lease_one(d, 0, 1, 0);
    add_as(d, 2, MESSAGE_LIMBO, 0);
    delivery_session_drop(d, 0);
    delivery_session_open(d, 1, 2);
    delivery_session_holds(d, 1, (uint64_t[]){ID(1), ID(2)}, 2);
    assert_int_equal(delivery_outstanding(d, 1), 2);
    assert_int_equal(delivery_credit(d, 1), 0);
    expect_gauges(d, 0, 1, 0, 1); /* limbo is no lease yet */
    /* It no longer has the one in limbo: that waits on as before. */
    delivery_session_holds(d, 1, (uint64_t[]){ID(1)}, 1);
    assert_int_equal(delivery_outstanding(d, 1), 1);
    expect_gauges(d, 0, 1, 0, 1);
    delivery_session_holds(d, 1, (uint64_t[]){ID(1), ID(2)}, 2);
    assert_int_equal(delivery_expire(d, ACK_MS, 1), 1); /* either of them first */
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 1);
    commit(d, ACK_MS);
    assert_int_equal(delivery_outstanding(d, 1), 0);
    expect_gauges(d, 2, 0, 0, 0);
    assert_int_equal(step(d, 1, 1, token, 0, 0, OP_EXTEND, 1, ACK_MS), STEP_STALE);
    delivery_destroy(&d);
}

static void collect(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms, uint8_t legs_done)
{
    uint64_t *sum = arg;
    *sum += id + session + (uint64_t)deadline_ms + legs_done;
}

static void test_each_leased(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 6, 10);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        add(d, seq);
    }
    uint64_t token = lease_one(d, 6, 1, 50);
    lease_one(d, 6, 2, 60);
    assert_int_equal(done(d, 1, token, SAVE), STEP_KEPT);
    assert_int_equal(done(d, 2, token, BOTH), STEP_DONE);
    commit(d, 60);
    uint64_t sum = 0;
    delivery_each_leased(d, collect, &sum);
    assert_true(sum == ID(1) + 6 + ACK_MS + 50 + SAVE);
    delivery_destroy(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_refuses),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_table_grows),
        cmocka_unit_test(test_take_in_order_with_bodies),
        cmocka_unit_test(test_take_stops_at_id_max),
        cmocka_unit_test(test_untake_restores_order),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_best_session),
        cmocka_unit_test(test_little_work_is_shared_by_windows_that_differ),
        cmocka_unit_test(test_dropped_session_leases_run_out),
        cmocka_unit_test(test_session_holds),
        cmocka_unit_test(test_held_from_before_is_outstanding),
        cmocka_unit_test(test_each_leased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

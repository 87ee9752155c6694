/* What ends, prolongs or adopts a lease: extend, nack, release, deadlines, limbo (docs/PROTOCOL.md section
 * 4). */
#include "delivery_fixture.h"

static void test_extend(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 2000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == 12000); /* never beyond now + ack deadline */
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 500, 4000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == 12500);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 0, 4000), STEP_KEPT);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, -5, 4000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == 12500);
    assert_int_equal(step(d, 0, 1, token ^ 1, 0, 0, OP_EXTEND, 3000, 9000), STEP_STALE);
    assert_true(delivery_next_ms(d) == 12500);
    assert_int_equal(staged(d), 0);
    delivery_rollback(d); /* it needs no commit and is not undone */
    assert_true(delivery_next_ms(d) == 12500);
    assert_int_equal(delivery_outstanding(d, 0), 1);
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.extended, 4);
    /* After the deadline, but before it was noticed. */
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 13000), STEP_KEPT);
    assert_int_equal(delivery_expire(d, 13000, 10), 0);
    /* However long after that (within the cap): it was not noticed because the publisher stood still. */
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 25000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == 28000);
    delivery_destroy(&d);
}

static void test_extension_is_capped(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    int64_t now_ms = 0;
    for (; now_ms < CAP_MS; now_ms += 1000) {
        assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, now_ms), STEP_KEPT);
        assert_true(delivery_next_ms(d) == now_ms + ACK_MS);
    }
    now_ms += 500;
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, now_ms), STEP_KEPT);
    assert_true(delivery_next_ms(d) == ACK_MS + CAP_MS);
    assert_int_equal(step(d, 0, 1, token, SAVE, 0, OP_EXTEND, 3000, now_ms), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, SAVE, 0, 1, 0, false); /* a nack */
    commit(d, now_ms);
    /* The next delivery has an allowance of its own. */
    token = lease_one(d, 0, 1, now_ms);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, now_ms + 1000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == now_ms + 1000 + ACK_MS);
    delivery_destroy(&d);
}

static void test_nack_and_release(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(step(d, 0, 1, token + 1, 0, 0, OP_NACK, 0, 0), STEP_STALE);
    assert_int_equal(step(d, 0, 1, token + 1, 0, 0, OP_RELEASE, 0, 0), STEP_STALE);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_NACK, -1, 0), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 1, 0, false);
    delivery_rollback(d);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_RELEASE, INT64_MAX, 0), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 0, DURATION_MS_MAX, false);
    delivery_rollback(d);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_NACK, 700, 0), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 1, 700, false);
    /* The lease is over, whatever else comes in this round. */
    assert_int_equal(step(d, 0, 1, token, SAVE, RESTART, OP_EXTEND, 3000, 0), STEP_STALE);
    expect_change(d, 1, CHANGE_MARK, SAVE, 0, 1, 700, false);
    expect_gauges(d, 0, 1, 0, 0);
    commit(d, 1000);
    expect_gauges(d, 0, 0, 1, 0);
    assert_int_equal(delivery_outstanding(d, 0), 0);
    assert_true(delivery_next_ms(d) == 1700); /* from the commit */
    assert_int_equal(delivery_expire(d, 1699, 10), 0);
    assert_int_equal(delivery_expire(d, 1700, 10), 1);
    assert_int_equal(staged(d), 0); /* a delay's end is nothing for the disk */
    token = lease_one(d, 0, 1, 1700);
    /* With nothing for the disk it is READY at once. */
    assert_int_equal(step(d, 0, 1, token, SAVE, 0, OP_RELEASE, 0, 1700), STEP_RETURNED);
    assert_int_equal(staged(d), 0);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_RELEASE, 0, 1700), STEP_STALE);
    expect_gauges(d, 1, 0, 0, 0);
    expect_gauges(d, 1, 0, 0, 0);
    token = lease_one(d, 0, 1, 1700);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_RELEASE, 100, 1700), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, SAVE, 0, 1, 100, false);
    commit(d, 1700);
    expect_gauges(d, 0, 0, 1, 0);
    delivery_destroy(&d);
}

static void test_other_limits_count_for_what_is_there(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    delivery_limits(d, CAP_MS, 2);
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 1);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 1, 0, false);
    commit(d, ACK_MS);
    lease_one(d, 0, 1, ACK_MS);
    assert_int_equal(delivery_expire(d, 2 * ACK_MS, 10), 1);
    expect_change(d, 1, CHANGE_BURY, 0, 0, 2, 0, true);
    delivery_rollback(d);
    /* More than there were: it lives. */
    delivery_limits(d, CAP_MS, DELIVERIES_MAX);
    assert_int_equal(delivery_expire(d, 2 * ACK_MS, 10), 1);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 2, 0, false);
    delivery_destroy(&d);
}

/* A release counts nothing, also where fewer leases may be lost than have been. */
static void test_a_release_kills_nothing(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 1);
    commit(d, ACK_MS);
    token = lease_one(d, 0, 1, ACK_MS);
    delivery_limits(d, CAP_MS, 1);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_RELEASE, 100, ACK_MS), STEP_RETURNED);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 1, 100, false);
    delivery_destroy(&d);
}

static void test_lost_leases_run_out(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    int64_t now_ms = 0;
    for (uint32_t lost = 1; lost < DELIVERIES_MAX; lost++) {
        now_ms += ACK_MS;
        assert_true(delivery_next_ms(d) == now_ms);
        assert_int_equal(delivery_expire(d, now_ms - 1, 10), 0);
        assert_int_equal(delivery_expire(d, now_ms, 10), 1);
        assert_int_equal(delivery_expire(d, now_ms, 10), 0); /* it is staged */
        expect_change(d, 1, CHANGE_MARK, 0, 0, lost, 0, false);
        assert_int_equal(delivery_outstanding(d, 0), 1);
        commit(d, now_ms);
        assert_int_equal(delivery_outstanding(d, 0), 0);
        uint64_t before = token;
        token = lease_one(d, 0, 1, now_ms);
        assert_true(token > before);
        assert_int_equal(step(d, 0, 1, before, 0, RESTART, OP_NACK, 0, now_ms), STEP_STALE);
    }
    now_ms += ACK_MS;
    assert_int_equal(delivery_expire(d, now_ms, 10), 1);
    expect_change(d, 1, CHANGE_BURY, 0, 0, DELIVERIES_MAX, 0, true);
    /* Legs go on counting for what is about to be dead, and all of them end it otherwise. */
    assert_int_equal(done(d, 1, token, SAVE), STEP_STALE);
    expect_change(d, 1, CHANGE_BURY, SAVE, 0, DELIVERIES_MAX, 0, true);
    assert_int_equal(done(d, 1, token, RESTART), STEP_DONE);
    assert_int_equal(only_change(d).kind, CHANGE_DELETE);
    delivery_rollback(d);
    assert_int_equal(delivery_expire(d, now_ms, 10), 1);
    commit(d, now_ms);
    assert_false(delivery_has(d, ID(1)));
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.expired, DELIVERIES_MAX); /* the one that was rolled back did not happen */
    delivery_destroy(&d);
}

static void test_nacks_exhaust(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    for (uint32_t i = 1; i < DELIVERIES_MAX; i++) {
        assert_int_equal(step(d, 0, 1, token, 0, 0, OP_NACK, 0, 0), STEP_RETURNED);
        commit(d, 0);
        token = lease_one(d, 0, 1, 0);
    }
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_RELEASE, 0, 0), STEP_RETURNED); /* counts nothing */
    commit(d, 0);
    token = lease_one(d, 0, 1, 0);
    assert_int_equal(step(d, 0, 1, token, SAVE, 0, OP_NACK, 50, 0), STEP_DEAD);
    expect_change(d, 1, CHANGE_BURY, SAVE, 0, DELIVERIES_MAX, 0, true);
    commit(d, 0);
    assert_false(delivery_has(d, ID(1)));
    assert_int_equal(delivery_outstanding(d, 0), 0);
    delivery_destroy(&d);
}

static void test_expiry_skips_what_is_staged(void **state)
{
    (void)state;
    uint64_t token[5];
    delivery_t *d = with_leases(4, token);
    assert_int_equal(done(d, 1, token[1], SAVE), STEP_KEPT); /* in the order of the first deadlines */
    assert_int_equal(step(d, 0, 2, token[2], SAVE, 0, OP_EXTEND, 0, 0), STEP_KEPT); /* in the heap */
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 2);
    assert_int_equal(staged(d), 4);
    commit(d, ACK_MS);
    expect_gauges(d, 2, 2, 0, 0);
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 2); /* their turn */
    expect_gauges(d, 2, 2, 0, 0);
    commit(d, ACK_MS);
    expect_gauges(d, 4, 0, 0, 0);
    delivery_destroy(&d);
}

static void test_expire_is_bounded(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 20);
    delivery_session_open(d, 1, 20);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        add(d, seq);
        uint64_t token = lease_one(d, seq & 1, seq, 0);
        if (seq > 15) {
            assert_int_equal(step(d, seq & 1, seq, token, 0, 0, OP_EXTEND, 0, 0), STEP_KEPT);
        }
    }
    size_t total = 0;
    for (size_t n = 3; n == 3; total += n) {
        n = delivery_expire(d, ACK_MS, 3);
        assert_true(n <= 3);
    }
    assert_int_equal(total, 20);
    assert_int_equal(staged(d), 20);
    delivery_destroy(&d);
}

static void test_limbo_ends_without_a_trace(void **state)
{
    (void)state;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 0, 10);
    const delivery_message_t m = {
        .id = ID(1), .legs = BOTH, .deliveries = 1, .wait_ms = 4000, .state = MESSAGE_LIMBO};
    assert_int_equal(delivery_add(d, &m, 100), 0);
    add_as(d, 2, MESSAGE_LIMBO, 100);
    delivery_item_t items[ITEMS];
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 100, items), 0);
    assert_true(delivery_next_ms(d) == 4100);
    assert_int_equal(delivery_expire(d, 4100, 10), 1);
    assert_int_equal(staged(d), 0);
    assert_true(delivery_next_ms(d) == ACK_MS + 100);
    expect_gauges(d, 1, 0, 0, 1);
    assert_int_equal(delivery_take(d, 0, UINT64_MAX, ITEMS, 4100, items), 1);
    assert_int_equal(items[0].deliveries, 1);
    delivery_destroy(&d);
}

static void test_limbo_is_adopted(void **state)
{
    (void)state;
    const uint64_t older = (UINT64_C(2) << EPOCH_SHIFT) + 9;
    const uint64_t ours = ((uint64_t)EPOCH << EPOCH_SHIFT) + 9;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 4, 10);
    delivery_session_open(d, 5, 10);
    add_as(d, 1, MESSAGE_LIMBO, 0);
    /* No token of an earlier start: of ours, of a later one, of none. */
    assert_int_equal(step(d, 4, 1, ours, 0, 0, OP_EXTEND, 3000, 10), STEP_STALE);
    assert_int_equal(step(d, 4, 1, ours + (UINT64_C(1) << EPOCH_SHIFT), 0, 0, OP_EXTEND, 3000, 10),
                     STEP_STALE);
    assert_int_equal(step(d, 4, 1, 9, 0, 0, OP_EXTEND, 3000, 10), STEP_STALE);
    /* Only extend and note adopt. */
    assert_int_equal(step(d, 4, 1, older, 0, RESTART, OP_NONE, 0, 10), STEP_STALE);
    assert_int_equal(step(d, 4, 1, older, 0, 0, OP_NACK, 0, 10), STEP_STALE);
    assert_int_equal(step(d, 4, 1, older, 0, 0, OP_RELEASE, 0, 10), STEP_STALE);
    assert_int_equal(staged(d), 0);
    expect_gauges(d, 0, 0, 0, 1);
    assert_int_equal(step(d, 4, 1, older, SAVE, 0, OP_EXTEND, 3000, 2000), STEP_KEPT);
    expect_gauges(d, 0, 1, 0, 0);
    assert_int_equal(delivery_outstanding(d, 4), 1);
    expect_change(d, 1, CHANGE_MARK, SAVE, 0, 0, 0, false);
    commit(d, 2000);
    assert_true(delivery_next_ms(d) == 12000);
    /* It is a lease like others, and nobody else's. */
    assert_int_equal(step(d, 5, 1, older - 1, 0, 0, OP_EXTEND, 3000, 3000), STEP_STALE);
    assert_int_equal(step(d, 4, 1, older, 0, 0, OP_EXTEND, 3000, 3000), STEP_KEPT);
    assert_int_equal(delivery_outstanding(d, 5), 0);
    assert_int_equal(step(d, 4, 1, older, 0, RESTART, OP_NONE, 0, 3000), STEP_DEAD);
    commit(d, 3000);
    assert_int_equal(delivery_outstanding(d, 4), 0);
    /* Adopted and ended by one step. */
    add_as(d, 2, MESSAGE_LIMBO, 0);
    assert_int_equal(step(d, 4, 2, older, SAVE, RESTART, OP_EXTEND, 3000, 2000), STEP_DEAD);
    expect_change(d, 2, CHANGE_BURY, SAVE, RESTART, 0, 0, false);
    delivery_rollback(d);
    assert_true(delivery_next_ms(d) == ACK_MS); /* it still runs out */
    /* A limbo that is longer than a lease is not cut short. */
    const delivery_message_t m = {.id = ID(3), .legs = BOTH, .wait_ms = 3 * ACK_MS, .state = MESSAGE_LIMBO};
    assert_int_equal(delivery_add(d, &m, 0), 0);
    assert_int_equal(step(d, 4, 3, older, 0, 0, OP_EXTEND, 3000, 2000), STEP_KEPT);
    assert_int_equal(delivery_expire(d, 3 * ACK_MS - 1, 10), 1); /* 2 */
    delivery_rollback(d);
    assert_int_equal(delivery_expire(d, 3 * ACK_MS, 10), 2);
    delivery_destroy(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_extension_is_capped),
        cmocka_unit_test(test_nack_and_release),
        cmocka_unit_test(test_lost_leases_run_out),
        cmocka_unit_test(test_a_release_kills_nothing),
        cmocka_unit_test(test_other_limits_count_for_what_is_there),
        cmocka_unit_test(test_nacks_exhaust),
        cmocka_unit_test(test_expiry_skips_what_is_staged),
        cmocka_unit_test(test_expire_is_bounded),
        cmocka_unit_test(test_limbo_ends_without_a_trace),
        cmocka_unit_test(test_limbo_is_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

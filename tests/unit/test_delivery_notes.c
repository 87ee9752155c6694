/* Notes: who may record one, and for how long its lease is the sender's alone (docs/PROTOCOL.md section 4).
 */
#include "delivery_fixture.h"

enum { SAVE_BIT = 0, RESTART_BIT = 1, NO_BIT = 2 };

static step_code_t note_in(delivery_t *d, uint16_t session, uint64_t seq, uint64_t token, uint8_t bit,
                           int64_t ms, int64_t now_ms)
{
    const delivery_step_t s = {.id = ID(seq), .token = token, .op = OP_NOTE, .note_bit = bit, .ms = ms};
    return delivery_progress(d, session, &s, now_ms);
}

static step_code_t note(delivery_t *d, uint64_t seq, uint64_t token, uint8_t bit, int64_t ms, int64_t now_ms)
{
    return note_in(d, 0, seq, token, bit, ms, now_ms);
}

/* The deadline is max(deadline, now + ms), also beyond the ack deadline. */
static void test_a_grant_moves_the_deadline(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 20000, 1000), STEP_GRANTED);
    expect_change(d, 1, CHANGE_MARK, 0, 0, 0, 0, false); /* there is something to be committed */
    commit(d, 1000);
    assert_true(delivery_next_ms(d) == 21000);
    /* Less than there is, and nothing at all, change nothing. */
    assert_int_equal(note(d, 1, token, RESTART_BIT, 19999, 1000), STEP_GRANTED);
    assert_int_equal(note(d, 1, token, SAVE_BIT, 0, 1000), STEP_GRANTED);
    assert_int_equal(note(d, 1, token, SAVE_BIT, -5, 1000), STEP_GRANTED);
    commit(d, 1000);
    assert_true(delivery_next_ms(d) == 21000);
    assert_int_equal(delivery_expire(d, 20999, 10), 0);
    assert_int_equal(delivery_expire(d, 21000, 10), 1);
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.extended, 0);
    delivery_destroy(&d);
}

/* All of it or nothing, and what extensions took is gone. */
static void test_no_grant_beyond_the_cap(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(note(d, 1, token, RESTART_BIT, ACK_MS + CAP_MS + 1, 0), STEP_KEPT);
    assert_int_equal(staged(d), 0);
    assert_true(delivery_next_ms(d) == ACK_MS);
    assert_int_equal(step(d, 0, 1, token, 0, 0, OP_EXTEND, 3000, 1000), STEP_KEPT);
    assert_true(delivery_next_ms(d) == 11000);
    assert_int_equal(note(d, 1, token, RESTART_BIT, ACK_MS + CAP_MS, 1), STEP_KEPT);
    assert_int_equal(note(d, 1, token, RESTART_BIT, INT64_MAX, 1), STEP_KEPT);
    assert_int_equal(note(d, 1, token, RESTART_BIT, ACK_MS + CAP_MS, 0), STEP_GRANTED);
    commit(d, 0);
    assert_true(delivery_next_ms(d) == ACK_MS + CAP_MS);
    /* Nothing is left, and nothing is asked for: a note needs no time. */
    assert_int_equal(note(d, 1, token, RESTART_BIT, 0, 34000), STEP_GRANTED);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 1000, 34000), STEP_GRANTED);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 1001, 34000), STEP_KEPT);
    commit(d, 34000);
    /* A smaller cap since: of what is there nothing is taken back. */
    delivery_limits(d, 10, DELIVERIES_MAX);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 1000, 34000), STEP_GRANTED);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 1001, 34000), STEP_KEPT);
    delivery_destroy(&d);
}

/* Past its deadline, and not noticed yet, as with extend. */
static void test_a_lease_that_is_overdue(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(note(d, 1, token, RESTART_BIT, 5000, 12000), STEP_GRANTED);
    assert_int_equal(delivery_expire(d, 12000, 10), 0);
    commit(d, 12000);
    assert_int_equal(delivery_expire(d, 16999, 10), 0);
    assert_int_equal(delivery_expire(d, 17000, 10), 1);
    delivery_destroy(&d);
}

static void test_only_with_the_current_token(void **state)
{
    (void)state;
    uint64_t token[4];
    delivery_t *d = with_leases(3, token);
    assert_int_equal(note(d, 9, token[1], RESTART_BIT, 0, 0), STEP_GONE);
    assert_int_equal(note(d, 1, token[1] + 7, RESTART_BIT, 0, 0), STEP_STALE);
    assert_int_equal(note(d, 1, token[2], RESTART_BIT, 0, 0), STEP_STALE);
    /* A lease that was lost, and given to somebody else. */
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 3);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, ACK_MS), STEP_STALE); /* about to be */
    commit(d, ACK_MS);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, ACK_MS), STEP_STALE);
    uint64_t next = lease_one(d, 0, 1, ACK_MS);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, ACK_MS), STEP_STALE);
    assert_int_equal(staged(d), 0);
    assert_int_equal(note(d, 1, next, RESTART_BIT, 0, ACK_MS), STEP_GRANTED);
    delivery_rollback(d);
    /* Parked, dead. */
    assert_int_equal(step(d, 0, 1, next, 0, 0, OP_RELEASE, 500, ACK_MS), STEP_RETURNED);
    commit(d, ACK_MS);
    assert_int_equal(note(d, 1, next, RESTART_BIT, 0, ACK_MS), STEP_STALE);
    add_as(d, 7, MESSAGE_DEAD, 0);
    assert_int_equal(note(d, 7, next, RESTART_BIT, 0, ACK_MS), STEP_STALE);
    delivery_destroy(&d);
}

static void test_only_of_a_leg_that_is_open(void **state)
{
    (void)state;
    uint64_t token;
    delivery_t *d = with_lease(&token);
    assert_int_equal(note(d, 1, token, NO_BIT, 3000, 9000), STEP_KEPT);
    assert_int_equal(note(d, 1, token, 8, 3000, 9000), STEP_KEPT);
    assert_int_equal(note(d, 1, token, UINT8_MAX, 3000, 9000), STEP_KEPT);
    assert_int_equal(staged(d), 0);
    assert_true(delivery_next_ms(d) == ACK_MS);
    /* Done, in this round and before it. */
    assert_int_equal(done(d, 1, token, SAVE), STEP_KEPT);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(note(d, 1, token, SAVE_BIT, 3000, 9000), STEP_KEPT);
        assert_int_equal(note(d, 1, token, RESTART_BIT, 0, 0), STEP_GRANTED);
        commit(d, 0);
    }
    assert_true(delivery_next_ms(d) == ACK_MS);
    /* By the step itself: what it reports counts, its note does not. */
    const delivery_step_t all = {.id = ID(1), .token = token, .done = BOTH, .op = OP_NOTE, .note_bit = 1};
    assert_int_equal(delivery_progress(d, 0, &all, 0), STEP_DONE);
    commit(d, 0);
    assert_false(delivery_has(d, ID(1)));
    delivery_destroy(&d);
}

static void test_not_of_a_leg_that_has_ended_badly(void **state)
{
    (void)state;
    uint64_t token[3];
    delivery_t *d = with_leases(2, token);
    const delivery_step_t bad = {
        .id = ID(1), .token = token[1], .bad = RESTART, .op = OP_NOTE, .note_bit = RESTART_BIT, .ms = 20000};
    assert_int_equal(delivery_progress(d, 0, &bad, 0), STEP_KEPT);
    expect_change(d, 1, CHANGE_MARK, 0, RESTART, 0, 0, false);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, 0), STEP_KEPT);
    assert_int_equal(note(d, 1, token[1], SAVE_BIT, 0, 0), STEP_GRANTED);
    commit(d, 0);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, 0), STEP_KEPT);
    assert_int_equal(step(d, 0, 2, token[2], 0, BOTH, OP_NONE, 0, 0), STEP_DEAD);
    assert_int_equal(note(d, 2, token[2], SAVE_BIT, 0, 0), STEP_DEAD);
    delivery_destroy(&d);
}

/* What comes behind it in its round. */
static void test_a_note_waits_for_its_commit(void **state)
{
    (void)state;
    uint64_t token[5];
    delivery_t *d = with_leases(4, token);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        assert_int_equal(note(d, seq, token[seq], RESTART_BIT, 20000, 0), STEP_GRANTED);
    }
    /* A release without a delay would be true at once; here it is not. */
    assert_int_equal(step(d, 0, 1, token[1], 0, 0, OP_RELEASE, 0, 0), STEP_RETURNED);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 0, 0), STEP_STALE);
    assert_int_equal(step(d, 0, 2, token[2], 0, 0, OP_NACK, 0, 0), STEP_RETURNED);
    assert_int_equal(note(d, 2, token[2], RESTART_BIT, 0, 0), STEP_STALE);
    assert_int_equal(done(d, 3, token[3], BOTH), STEP_DONE);
    assert_int_equal(note(d, 3, token[3], RESTART_BIT, 0, 0), STEP_DONE);
    expect_gauges(d, 0, 4, 0, 0);
    delivery_rollback(d);
    /* Undone, it is as if nothing had been said, but for the deadlines. */
    expect_gauges(d, 0, 4, 0, 0);
    assert_true(delivery_next_ms(d) == 20000);
    assert_int_equal(note(d, 1, token[1], RESTART_BIT, 20000, 0), STEP_GRANTED);
    commit(d, 0);
    assert_int_equal(delivery_outstanding(d, 0), 4);
    assert_int_equal(delivery_expire(d, 20000, 10), 4);
    delivery_destroy(&d);
}

static void test_a_note_adopts(void **state)
{
    (void)state;
    const uint64_t older = (UINT64_C(2) << EPOCH_SHIFT) + 9;
    const uint64_t ours = ((uint64_t)EPOCH << EPOCH_SHIFT) + 9;
    delivery_t *d = fixture_new();
    delivery_session_open(d, 4, 10);
    add_as(d, 1, MESSAGE_LIMBO, 0);
    assert_int_equal(note_in(d, 4, 1, ours, RESTART_BIT, 3000, 10), STEP_STALE);
    assert_int_equal(note_in(d, 4, 1, 9, RESTART_BIT, 3000, 10), STEP_STALE);
    expect_gauges(d, 0, 0, 0, 1);
    assert_int_equal(note_in(d, 4, 1, older, RESTART_BIT, 20000, 10), STEP_GRANTED);
    expect_gauges(d, 0, 1, 0, 0);
    assert_int_equal(delivery_outstanding(d, 4), 1);
    commit(d, 10);
    assert_true(delivery_next_ms(d) == 20010);
    assert_int_equal(note_in(d, 4, 1, older - 1, RESTART_BIT, 0, 10), STEP_STALE);
    /* One that is refused adopts all the same: the sender has the message. */
    add_as(d, 2, MESSAGE_LIMBO, 0);
    assert_int_equal(note_in(d, 4, 2, older, NO_BIT, 0, 10), STEP_KEPT);
    expect_gauges(d, 0, 2, 0, 0);
    assert_int_equal(delivery_expire(d, ACK_MS, 10), 1);
    delivery_destroy(&d);
}

/* After a crash two may come who had the message: the one that had it later has recorded a note, and the
 * other has not seen it. */
static void test_nobody_adopts_who_is_older_than_a_note(void **state)
{
    (void)state;
    const uint64_t noted = (UINT64_C(2) << EPOCH_SHIFT) + 9;
    for (int op = OP_EXTEND; op <= OP_NOTE; op += OP_NOTE - OP_EXTEND) {
        delivery_t *d = fixture_new();
        delivery_session_open(d, 0, 10);
        const delivery_message_t m = {.id = ID(1), .legs = BOTH, .state = MESSAGE_LIMBO, .token = noted};
        assert_int_equal(delivery_add(d, &m, 0), 0);
        delivery_step_t s = {.id = ID(1), .op = (step_op_t)op, .note_bit = RESTART_BIT, .ms = 3000};
        const uint64_t before[] = {noted - 1, (UINT64_C(1) << EPOCH_SHIFT) + 99};
        for (int i = 0; i < 2; i++) {
            s.token = before[i];
            assert_int_equal(delivery_progress(d, 0, &s, 10), STEP_STALE);
        }
        expect_gauges(d, 0, 0, 0, 1);
        s.token = op == OP_NOTE ? noted : noted + 1;
        assert_int_equal(delivery_progress(d, 0, &s, 10), op == OP_NOTE ? STEP_GRANTED : STEP_KEPT);
        expect_gauges(d, 0, 1, 0, 0);
        /* Limbo that ends leaves nothing of it behind. */
        const delivery_message_t other = {.id = ID(2), .legs = BOTH, .state = MESSAGE_LIMBO, .token = noted};
        assert_int_equal(delivery_add(d, &other, 0), 0);
        delivery_expire(d, ACK_MS, 10);
        commit(d, ACK_MS);
        s.id = ID(2);
        s.token = noted;
        assert_int_equal(delivery_progress(d, 0, &s, ACK_MS), STEP_STALE);
        delivery_destroy(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_grant_moves_the_deadline),
        cmocka_unit_test(test_no_grant_beyond_the_cap),
        cmocka_unit_test(test_a_lease_that_is_overdue),
        cmocka_unit_test(test_only_with_the_current_token),
        cmocka_unit_test(test_only_of_a_leg_that_is_open),
        cmocka_unit_test(test_not_of_a_leg_that_has_ended_badly),
        cmocka_unit_test(test_a_note_waits_for_its_commit),
        cmocka_unit_test(test_a_note_adopts),
        cmocka_unit_test(test_nobody_adopts_who_is_older_than_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

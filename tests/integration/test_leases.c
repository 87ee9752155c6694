/* What the publisher promises a consumer, asked by a consumer that the test plays: deadlines, extensions,
 * tokens. */
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"

#include <string.h>

enum { SAVE = 1, RESTART = 2, DEADLINE_MS = 1500 };

/* A publisher with n messages, and a consumer that has taken them all. */
static process_t *given(rig_t *rig, fake_t *f, delivery_record_t *d, unsigned n, const char *const *args)
{
    process_t *publisher = start_publisher(rig, 0, args);

    publish_hosts(rig, 0, "web", n);
    fake_consumer(f, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(f, d, n);
    return publisher;
}

#define SHORT ARGS("--ack-deadline", "1500ms")

static void test_a_lease_that_ran_out_is_given_again(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t first[5], again[5];

    given(rig, &f, first, 5, SHORT);
    int64_t taken_ms = test_now_ms();
    assert_int_equal(f.welcome.ack_deadline_ms, DEADLINE_MS);
    assert_int_equal(f.welcome.legs_count, 2);
    assert_string_equal(f.welcome.legs[0], "save");
    assert_string_equal(f.welcome.legs[1], "restart");
    fake_take(&f, again, 5);
    /* The deadline ran from the delivery, which was somewhat earlier than it was read here. */
    assert_true(test_now_ms() - taken_ms > DEADLINE_MS / 2);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(first[i].deliveries, 0);
        assert_int_equal(first[i].legs, SAVE | RESTART);
        assert_int_equal(again[i].deliveries, 1);
        assert_true(again[i].id.stream == first[i].id.stream && again[i].id.seq == first[i].id.seq);
        assert_true(again[i].token != first[i].token);
        assert_int_equal(fake_step(&f, &again[i], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    }
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 5);
    rig_passed(rig);
}

static void test_extensions_hold_a_lease_for_as_long_as_they_come(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d, again;

    given(rig, &f, &d, 1, SHORT);
    for (int64_t until_ms = test_now_ms() + 3 * DEADLINE_MS; test_now_ms() < until_ms;) {
        assert_int_equal(fake_step(&f, &d, 0, 0, OP_EXTEND, 400), STEP_KEPT);
        assert_false(fake_given(&f, 200));
    }
    /* And no longer: at most one ack deadline past the last of them. */
    fake_take(&f, &again, 1);
    assert_int_equal(again.deliveries, 1);
    rig_passed(rig);
}

static void test_a_leg_done_is_accepted_late(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t first, second, third;

    given(rig, &f, &first, 1, SHORT);
    fake_take(&f, &second, 1);
    /* The token is an old one, the fact is not. */
    assert_int_equal(fake_step(&f, &first, SAVE, 0, OP_NONE, 0), STEP_STALE);
    fake_take(&f, &third, 1);
    assert_int_equal(third.legs, RESTART);
    assert_int_equal(fake_step(&f, &first, SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(fake_step(&f, &third, SAVE | RESTART, 0, OP_NONE, 0), STEP_GONE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

static void test_a_dead_letter_whose_legs_are_done_after_all_is_done(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t first, second;

    given(rig, &f, &first, 1, ARGS("--ack-deadline", "1s", "--max-deliveries", "2"));
    fake_take(&f, &second, 1);
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) == 1);
    assert_int_equal(fake_step(&f, &second, SAVE, 0, OP_NONE, 0), STEP_STALE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 1);
    assert_int_equal(fake_step(&f, &first, SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

static void test_a_leg_that_ended_badly_buries_the_message(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d;

    given(rig, &f, &d, 1, NO_ARGS);
    assert_int_equal(fake_step(&f, &d, 0, RESTART, OP_NONE, 0), STEP_KEPT);
    assert_int_equal(fake_step(&f, &d, SAVE, RESTART, OP_NONE, 0), STEP_DEAD);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 1);
    rig_passed(rig);
}

static void test_stale_extensions_and_nacks_are_refused(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t first, second, third;

    given(rig, &f, &first, 1, SHORT);
    fake_take(&f, &second, 1);
    assert_int_equal(fake_step(&f, &first, 0, 0, OP_NACK, 0), STEP_STALE);
    assert_int_equal(fake_step(&f, &first, 0, 0, OP_RELEASE, 0), STEP_STALE);
    assert_int_equal(fake_step(&f, &first, 0, RESTART, OP_NONE, 0), STEP_STALE);
    /* The lease is what it was: it still obeys its own token ... */
    assert_int_equal(fake_step(&f, &second, 0, 0, OP_EXTEND, 100), STEP_KEPT);
    /* ... and is not held up by the old one. */
    do
        assert_int_equal(fake_step(&f, &first, 0, 0, OP_EXTEND, 1000), STEP_STALE);
    while (!fake_given(&f, 50));
    fake_take(&f, &third, 1);
    assert_int_equal(third.deliveries, 2);
    assert_int_equal(third.legs, SAVE | RESTART);
    rig_passed(rig);
}

static void test_nack_counts_and_release_does_not(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d, released, nacked;

    given(rig, &f, &d, 1, NO_ARGS);
    int64_t released_ms = test_now_ms();
    assert_int_equal(fake_step(&f, &d, SAVE, 0, OP_RELEASE, 700), STEP_RETURNED);
    fake_take(&f, &released, 1);
    assert_true(test_now_ms() - released_ms >= 690);
    assert_int_equal(released.deliveries, 0);
    assert_int_equal(released.legs, RESTART);
    assert_true(released.token != d.token);
    assert_int_equal(fake_step(&f, &d, 0, 0, OP_NACK, 0), STEP_STALE);
    assert_int_equal(fake_step(&f, &released, 0, 0, OP_NACK, 0), STEP_RETURNED);
    fake_take(&f, &nacked, 1);
    assert_int_equal(nacked.deliveries, 1);
    rig_passed(rig);
}

static void test_who_goes_on_purpose_gives_all_back_at_once(void **state)
{
    rig_t *rig = *state;
    fake_t f, other;
    delivery_record_t d[3], again[3];

    given(rig, &f, d, 3, NO_ARGS);
    fake_consumer(&other, rig, rig_endpoint(rig, "leases-0"), 100);
    int64_t bye_ms = test_now_ms();
    fake_bye(&f);
    fake_take(&other, again, 3);
    /* Long before the ack deadline of 10 s. */
    assert_true(test_now_ms() - bye_ms < 8000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(again[i].deliveries, 0);
    rig_passed(rig);
}

static void test_what_a_returning_session_does_not_hold_is_given_again(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d[3], again[2];

    given(rig, &f, d, 3, NO_ARGS);
    hello_t hello = f.hello;
    fake_close(&f);
    /* A new connection of the same session, to which only the second message had come. */
    const uint64_t held[] = {d[1].id.stream, d[1].id.seq};
    fake_raw(&f, rig, rig_endpoint(rig, "leases-0"));
    f.hello = hello;
    f.hello.held_count = 2;
    f.held = held;
    fake_recv(&f, CMD_WELCOME);
    fake_take(&f, again, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(again[i].id.seq, d[2 * i].id.seq);
        assert_int_equal(again[i].deliveries, 0);
        assert_true(again[i].token != d[2 * i].token);
    }
    assert_int_equal(fake_step(&f, &d[1], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    rig_passed(rig);
}

static void test_credit_bounds_what_is_out(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d[4];

    start_publisher(rig, 0, NO_ARGS);
    publish_hosts(rig, 0, "web", 10);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 3);
    fake_take(&f, d, 3);
    assert_int_equal(fake_step(&f, &d[0], SAVE, 0, OP_NONE, 0), STEP_KEPT);
    assert_false(fake_given(&f, 300));
    assert_int_equal(fake_step(&f, &d[0], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    fake_take(&f, d, 1);
    assert_false(fake_given(&f, 300));
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_a_lease_that_ran_out_is_given_again),
        RIG_TESTS(test_extensions_hold_a_lease_for_as_long_as_they_come),
        RIG_TESTS(test_a_leg_done_is_accepted_late),
        RIG_TESTS(test_a_dead_letter_whose_legs_are_done_after_all_is_done),
        RIG_TESTS(test_a_leg_that_ended_badly_buries_the_message),
        RIG_TESTS(test_stale_extensions_and_nacks_are_refused),
        RIG_TESTS(test_nack_counts_and_release_does_not),
        RIG_TESTS(test_who_goes_on_purpose_gives_all_back_at_once),
        RIG_TESTS(test_what_a_returning_session_does_not_hold_is_given_again),
        RIG_TESTS(test_credit_bounds_what_is_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

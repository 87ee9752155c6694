/* A publisher that is killed and comes back: what was done stays done, what is at work is not given out a
 * second time, what had not gone out goes out at once. */
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"

#include <signal.h>

enum { SAVE = 1, RESTART = 2, COUNT = 120 };

static void test_nothing_runs_twice(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "4s"));

    /* Two that hold some each and have room for more, so that what one holds could be given to the other. */
    for (unsigned i = 0; i < 2; i++)
        start_consumer(rig, i, 1, ARGS("--extend", "1s", "--extend-every", "500ms", "--window-max", "90"));
    process_t *save = start_save(rig, 0, 2, NO_ARGS);
    process_t *restart =
        start_restart(rig, 0, 2, ARGS("--slots", "4", "--simulate", "100..100", "--log-messages"));
    publish_hosts(rig, 0, "web", COUNT);
    for (unsigned done = 20; done <= 80; done += 30) {
        WAIT(process_log_count(restart, "Restarted ") >= done);
        process_kill(publisher);
        process_start(publisher);
    }
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(process_log_count(restart, "Restarted "), COUNT);
    assert_int_equal(saved(rig, 0), COUNT);
    assert_int_equal(process_stop(restart), 0);
    assert_int_equal(process_stop(save), 0);
    assert_int_equal(report_number(restart, "tasks"), COUNT);
    assert_int_equal(report_number(save, "tasks"), COUNT);
    rig_passed(rig);
}

static void test_a_leg_reported_done_is_not_given_again(void **state)
{
    rig_t *rig = *state;
    fake_t f, other;
    delivery_record_t d[10], again[10];

    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1500ms"));
    publish_hosts(rig, 0, "web", 10);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&f, d, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fake_step(&f, &d[i], i % 2 == 0 ? SAVE : RESTART, 0, OP_NONE, 0), STEP_KEPT);
    process_kill(publisher);
    fake_close(&f);
    process_start(publisher);
    fake_consumer(&other, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&other, again, 10);
    for (int i = 0; i < 10; i++) {
        bool first_done_save = (again[i].id.seq - d[0].id.seq) % 2 == 0;

        assert_true(again[i].id.stream == d[0].id.stream);
        assert_int_equal(again[i].legs, first_done_save ? RESTART : SAVE);
        assert_int_equal(fake_step(&other, &again[i], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    }
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

/* An extend with the token from before the kill adopts the lease: its holder works on. */
static void test_an_extend_adopts_a_lease_from_before(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d[2], again;

    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1500ms"));
    publish_hosts(rig, 0, "web", 2);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&f, d, 2);
    process_kill(publisher);
    process_start(publisher);
    const uint64_t held[] = {d[0].id.stream, d[0].id.seq};
    f.held = held;
    f.hello.held_count = 2;
    f.welcomed = false;
    fake_recv(&f, CMD_WELCOME);
    for (int64_t until_ms = test_now_ms() + 4000; test_now_ms() < until_ms;) {
        assert_int_equal(fake_step(&f, &d[0], 0, 0, OP_EXTEND, 500), STEP_KEPT);
        fake_recv_within(&f, CMD_DELIVER, 200);
    }
    /* The other one was not held, and came again alone. */
    assert_true(fake_given(&f, WAIT_MS));
    while (f.deliveries_count > 0) {
        fake_take(&f, &again, 1);
        assert_true(again.id.seq == d[1].id.seq);
    }
    assert_int_equal(fake_step(&f, &d[0], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    rig_passed(rig);
}

/* What a consumer holds from before counts against its window, though nothing was said of it yet. */
static void test_what_is_held_from_before_fills_the_window(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d[2], next;

    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1h"));
    publish_hosts(rig, 0, "web", 2);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 2);
    fake_take(&f, d, 2);
    process_kill(publisher);
    process_start(publisher);
    /* These have never been out: they would go at once. */
    publish_hosts(rig, 0, "db", 3);
    const uint64_t held[] = {d[0].id.stream, d[0].id.seq, d[1].id.stream, d[1].id.seq};
    f.held = held;
    f.hello.held_count = 4;
    f.welcomed = false;
    fake_recv(&f, CMD_WELCOME);
    assert_false(fake_given(&f, 300));
    assert_int_equal(fake_step(&f, &d[0], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
    fake_take(&f, &next, 1);
    assert_true(next.id.stream != d[0].id.stream);
    assert_false(fake_given(&f, 300));
    rig_passed(rig);
}

static void test_what_had_not_gone_out_goes_at_once(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    delivery_record_t d[5];

    /* An hour: who waits for an ack deadline waits in vain. */
    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1h"));
    publish_hosts(rig, 0, "web", 5);
    process_kill(publisher);
    process_start(publisher);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&f, d, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(d[i].deliveries, 0);
    rig_passed(rig);
}

static void test_a_clean_stop_leaves_nothing_waiting(void **state)
{
    rig_t *rig = *state;
    fake_t f, other;
    delivery_record_t d[5], again[5];

    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1h", "--drain-timeout", "500ms"));
    publish_hosts(rig, 0, "web", 5);
    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&f, d, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fake_step(&f, &d[i], 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    fake_bye(&f);
    fake_close(&f);
    assert_int_equal(process_stop(publisher), 0);
    process_start(publisher);
    fake_consumer(&other, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&other, again, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(again[i].deliveries, 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_nothing_runs_twice),
        RIG_TESTS(test_a_leg_reported_done_is_not_given_again),
        RIG_TESTS(test_an_extend_adopts_a_lease_from_before),
        RIG_TESTS(test_what_is_held_from_before_fills_the_window),
        RIG_TESTS(test_what_had_not_gone_out_goes_at_once),
        RIG_TESTS(test_a_clean_stop_leaves_nothing_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

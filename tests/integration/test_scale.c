/* More than one of each: consumers, publishers, workers; some that stop answering, some that come later. */
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>

static void test_two_publishers_feed_two_consumers(void **state)
{
    rig_t *rig = *state;
    process_t *publishers[2], *consumers[2], *restarts[2];

    for (unsigned i = 0; i < 2; i++)
        publishers[i] = start_publisher(rig, i, ARGS("--load", "1000", "--rate", "1000"));
    for (unsigned i = 0; i < 2; i++)
        consumers[i] = start_consumer(rig, i, 2, NO_ARGS);
    start_save(rig, 0, 2, NO_ARGS);
    for (unsigned i = 0; i < 2; i++)
        restarts[i] = start_restart(rig, i, 2, ARGS("--slots", "8", "--simulate", "0..5"));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(process_wait(publishers[i], WAIT_MS), 0);
        assert_int_equal(report_number(publishers[i], "acked"), 1000);
        assert_int_equal(report_number(publishers[i], "redelivered"), 0);
    }
    assert_int_equal(saved(rig, 0), 2000);
    int64_t acked = 0, restarted = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(process_stop(consumers[i]), 0);
        assert_int_equal(process_stop(restarts[i]), 0);
        assert_true(report_number(consumers[i], "acked") > 0);
        assert_true(report_number(restarts[i], "ok") > 0);
        acked += report_number(consumers[i], "acked");
        restarted += report_number(restarts[i], "ok");
    }
    assert_int_equal(acked, 2000);
    assert_int_equal(restarted, 2000);
    rig_passed(rig);
}

static void test_status_shows_who_got_how_much(void **state)
{
    rig_t *rig = *state;
    char path[64];
    int64_t messages = 0, tasks = 0;

    start_publisher(rig, 0, NO_ARGS);
    for (unsigned i = 0; i < 2; i++)
        start_consumer(rig, i, 1, NO_ARGS);
    start_save(rig, 0, 2, NO_ARGS);
    for (unsigned i = 0; i < 2; i++)
        start_restart(rig, i, 2, ARGS("--slots", "8", "--simulate", "0..5"));
    WAIT(status_number(rig, "clients-0", "consumers") == 2);
    for (unsigned i = 0; i < 2; i++)
        WAIT(status_number(rig, i == 0 ? "control-0" : "control-1", "workers.restart.count") == 2);
    publish_hosts(rig, 0, "shared", 300);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "sessions.%u.given", i);
        messages += status_number(rig, "clients-0", path);
        snprintf(path, sizeof path, "workers.restart.each.%u.given", i);
        tasks += status_number(rig, "control-0", path) + status_number(rig, "control-1", path);
    }
    assert_int_equal(messages, 300);
    assert_int_equal(tasks, 300);
    rig_passed(rig);
}

static void test_a_worker_added_in_the_middle_gets_work(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "400"));

    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *first =
        start_restart(rig, 0, 1, ARGS("--slots", "2", "--simulate", "50..50", "--log-messages"));
    WAIT(process_log_count(first, "Restarted ") >= 10);
    process_t *second =
        start_restart(rig, 1, 1, ARGS("--slots", "16", "--simulate", "50..50", "--log-messages"));
    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(report_number(publisher, "acked"), 400);
    unsigned by_first = process_log_count(first, "Restarted "),
             by_second = process_log_count(second, "Restarted ");
    assert_int_equal(by_first + by_second, 400);
    /* Eight times the slots: most of what was left. */
    assert_true(by_second > by_first);
    rig_passed(rig);
}

static void test_a_consumer_added_in_the_middle_gets_work(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "1500", "--rate", "500"));

    start_consumer(rig, 0, 1, NO_ARGS);
    /* The worker of the second consumer finds it when it comes. */
    start_save(rig, 0, 2, NO_ARGS);
    start_restart(rig, 0, 2, ARGS("--simulate", "0..5"));
    WAIT(saved(rig, 0) > 100);
    process_t *second = start_consumer(rig, 1, 1, NO_ARGS);
    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(saved(rig, 0), 1500);
    assert_int_equal(process_stop(second), 0);
    assert_true(report_number(second, "acked") > 0);
    rig_passed(rig);
}

static int64_t restarted(process_t *const *restarts)
{
    return process_log_count(restarts[0], "Restarted ") + process_log_count(restarts[1], "Restarted ");
}

/* Two consumers, each with a restart worker of its own; the first holds work when `signal` hits it. */
static void lose_a_consumer(rig_t *rig, int signal, process_t **ret_publisher, process_t **ret_consumer)
{
    process_t *restarts[2];
    char endpoint[PROCESS_NAME_MAX];

    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "100", "--ack-deadline", "1500ms"));
    process_t *first = start_consumer(rig, 0, 1, ARGS("--extend", "500ms", "--extend-every", "300ms"));
    start_save(rig, 0, 2, NO_ARGS);
    for (unsigned i = 0; i < 2; i++) {
        char name[PROCESS_NAME_MAX];

        snprintf(name, sizeof name, "restart-%u", i);
        snprintf(endpoint, sizeof endpoint, "tasks-%u", i);
        restarts[i] =
            SPAWN(rig, name, "mandrill-worker", "--kind", "restart-simulate", "--slots", "4", "--simulate",
                  "50..50", "--log-messages", "--consumer", rig_endpoint(rig, endpoint));
    }
    WAIT(restarted(restarts) >= 10);
    start_consumer(rig, 1, 1, ARGS("--extend", "500ms", "--extend-every", "300ms"));
    process_signal(first, signal);
    WAIT(status_number(rig, "clients-0", STATUS_REDELIVERED) > 0);
    *ret_publisher = publisher;
    *ret_consumer = first;
}

static void test_the_leases_of_a_killed_consumer_go_to_another(void **state)
{
    rig_t *rig = *state;
    process_t *publisher, *consumer;

    lose_a_consumer(rig, SIGKILL, &publisher, &consumer);
    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(report_number(publisher, "acked"), 100);
    assert_int_equal(saved(rig, 0), 100);
    rig_passed(rig);
}

/* What it says when it comes back is late: legs done count, the rest is ignored, nothing is saved twice. */
static void test_a_frozen_consumer_comes_back_late(void **state)
{
    rig_t *rig = *state;
    process_t *publisher, *consumer;

    lose_a_consumer(rig, SIGSTOP, &publisher, &consumer);
    process_signal(consumer, SIGCONT);
    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(report_number(publisher, "acked"), 100);
    assert_int_equal(saved(rig, 0), 100);
    assert_int_equal(process_stop(consumer), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_two_publishers_feed_two_consumers),
        RIG_TESTS(test_status_shows_who_got_how_much),
        RIG_TESTS(test_a_worker_added_in_the_middle_gets_work),
        RIG_TESTS(test_a_consumer_added_in_the_middle_gets_work),
        RIG_TESTS(test_the_leases_of_a_killed_consumer_go_to_another),
        RIG_TESTS(test_a_frozen_consumer_comes_back_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

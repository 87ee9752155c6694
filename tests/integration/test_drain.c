/* SIGTERM under load: each program finishes or gives back what it has, and started again loses nothing,
 * counts no attempt and runs nothing twice. */
#include "tests/support/load.h"
#include "tests/support/pipeline.h"

#include <signal.h>

enum { HOSTS = 150 };

typedef struct {
    process_t *publisher, *consumer, *save, *restart;
} programs_t;

static programs_t busy_pipeline(rig_t *rig)
{
    programs_t p;

    p.publisher = start_publisher(rig, 0, NO_ARGS);
    p.consumer = start_consumer(rig, 0, 1, NO_ARGS);
    p.save = start_save(rig, 0, 1, NO_ARGS);
    p.restart = start_restart(rig, 0, 1, ARGS("--slots", "8", "--simulate", "100..100", "--log-messages"));
    publish_hosts(rig, 0, "web", HOSTS);
    WAIT(process_log_count(p.restart, "Restarted ") >= 16);
    return p;
}

static void assert_each_once(rig_t *rig, programs_t *p)
{
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(process_log_count(p->restart, "Restarted "), HOSTS);
    assert_int_equal(saved(rig, 0), HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(process_stop(p->consumer), 0);
    assert_int_equal(report_number(p->consumer, "retries"), 0);
    rig_passed(rig);
}

static void stop_and_start(process_t *p)
{
    assert_int_equal(process_stop(p), 0);
    process_start(p);
}

static void test_a_drained_consumer_gives_back_what_it_cannot_finish(void **state)
{
    programs_t p = busy_pipeline(*state);

    stop_and_start(p.consumer);
    assert_each_once(*state, &p);
}

static void test_a_drained_worker_finishes_what_it_began(void **state)
{
    programs_t p = busy_pipeline(*state);

    stop_and_start(p.restart);
    stop_and_start(p.save);
    assert_each_once(*state, &p);
}

/* With one try for each message: had it counted, the message would be dead. */
static void test_what_a_drained_worker_cannot_finish_costs_no_try(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, ARGS("--max-tries", "1"));
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(
        rig, 0, 1, ARGS("--slots", "4", "--simulate", "2500..2500", "--drain-timeout", "100ms"));
    publish_hosts(rig, 0, "web", 4);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == 4);
    stop_and_start(restart);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    rig_passed(rig);
}

static void test_a_drained_publisher_comes_back_without_waiting(void **state)
{
    programs_t p = busy_pipeline(*state);

    stop_and_start(p.publisher);
    assert_each_once(*state, &p);
}

/* The order of `mandrill up`: whoever takes in first, whoever works last. */
static void test_a_whole_pipeline_drains_and_goes_on(void **state)
{
    rig_t *rig = *state;
    programs_t p = busy_pipeline(rig);

    assert_int_equal(process_stop(p.consumer), 0);
    assert_int_equal(process_stop(p.publisher), 0);
    assert_int_equal(process_stop(p.restart), 0);
    assert_int_equal(process_stop(p.save), 0);
    assert_true(process_log_count(p.restart, "Restarted ") < HOSTS);
    process_start(p.publisher);
    process_start(p.consumer);
    process_start(p.save);
    process_start(p.restart);
    assert_each_once(rig, &p);
}

static void test_drains_under_load_lose_nothing(void **state)
{
    rig_t *rig = *state;
    load_t load;
    programs_t p;

    p.publisher = start_publisher(rig, 0, NO_ARGS);
    p.consumer = start_consumer(rig, 0, 1, NO_ARGS);
    p.save = start_save(rig, 0, 1, NO_ARGS);
    p.restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..20"));
    load_init(&load, rig, "load", 0, 100);
    process_t *const order[] = {p.consumer, p.publisher, p.save, p.restart, p.publisher, p.consumer};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        unsigned before = load.confirmed;

        LOAD_UNTIL(&load, load.confirmed >= before + 300);
        process_signal(order[i], SIGTERM);
        LOAD_UNTIL(&load, !process_running(order[i]));
        assert_int_equal(process_code(order[i]), 0);
        process_start(order[i]);
    }
    load_finish(&load);
    assert_int_equal(load.failed, 0);
    assert_int_equal(load.confirmed, load.requested);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    checked_t v = check_saved(rig, 0, load.journal, load.requests);
    assert_int_equal(v.code, 0);
    assert_int_equal(v.saved, load.confirmed);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    rig_passed(rig);
}

/* Four at work for longer than the drain: its time is over. */
static programs_t pipeline_of_slow_restarts(rig_t *rig, const char *drain_timeout)
{
    programs_t p = {.publisher = start_publisher(rig, 0, ARGS("--drain-timeout", drain_timeout))};

    p.consumer = start_consumer(rig, 0, 1, ARGS("--drain-timeout", drain_timeout));
    p.save = start_save(rig, 0, 1, ARGS("--drain-timeout", drain_timeout));
    p.restart = start_restart(
        rig, 0, 1, ARGS("--slots", "4", "--simulate", "60000..60000", "--drain-timeout", drain_timeout));
    publish_hosts(rig, 0, "web", 4);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == 4);
    WAIT(saved(rig, 0) == 4);
    return p;
}

static void test_what_a_goodbye_gives_back_is_released(void **state)
{
    rig_t *rig = *state;
    programs_t p = pipeline_of_slow_restarts(rig, "300ms");

    assert_int_equal(process_stop(p.consumer), 0);
    assert_int_equal(process_log_count(p.consumer, "drained: 0 finished, 4 released, 0 left"), 1);
    assert_int_equal(report_number(p.consumer, "released"), 4);
    assert_int_equal(status_number(rig, "clients-0", "leased"), 0);
    rig_passed(rig);
}

static void test_what_no_publisher_takes_back_is_left(void **state)
{
    rig_t *rig = *state;
    programs_t p = pipeline_of_slow_restarts(rig, "300ms");

    process_kill(p.publisher);
    assert_int_equal(process_stop(p.consumer), 0);
    assert_int_equal(process_log_count(p.consumer, "drained: 0 finished, 0 released, 4 left"), 1);
    assert_int_equal(report_number(p.consumer, "released"), 0);
    rig_passed(rig);
}

/* Its tasks are others' now, and nobody would take their results. */
static void test_a_worker_does_not_drain_for_a_consumer_that_has_gone(void **state)
{
    rig_t *rig = *state;
    programs_t p = pipeline_of_slow_restarts(rig, "1h");

    process_signal(p.consumer, SIGTERM);
    WAIT(status_number(rig, "control-0", "draining") == 1);
    process_signal(p.consumer, SIGTERM);
    process_wait(p.consumer, WAIT_MS);
    WAIT(process_log_count(p.restart, "4 tasks are of a consumer that is gone") == 1);
    assert_int_equal(process_stop(p.restart), 0);
    assert_int_equal(process_log_count(p.restart, "draining: 0 tasks in flight"), 1);
    assert_int_equal(process_log_count(p.restart, "drained: 0 finished, 0 given back"), 1);
    rig_passed(rig);
}

/* 1 says that something was left unfinished; its drain would have taken an hour. */
static void assert_second_signal_ends(process_t *p)
{
    process_signal(p, SIGTERM);
    WAIT(process_log_count(p, "draining") + process_log_count(p, "stopping: ") == 1);
    assert_true(process_running(p));
    process_signal(p, SIGTERM);
    assert_int_equal(process_wait(p, WAIT_MS), 1);
}

static void test_a_second_signal_ends_each_at_once(void **state)
{
    rig_t *rig = *state;
    programs_t p = pipeline_of_slow_restarts(rig, "1h");

    assert_second_signal_ends(p.restart);
    process_start(p.restart);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == 4);
    assert_second_signal_ends(p.consumer);
    process_start(p.consumer);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == 4);
    assert_second_signal_ends(p.publisher);
    process_start(p.publisher);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 4);
    rig_passed(rig);
}

/* A save worker has no task for long: both signals are there before it takes the next ones. Nothing of what
 * it knows of is left, and what was on its way to it comes again. */
static void test_two_signals_that_leave_nothing_unfinished(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, ARGS("--max-tries", "1"));
    start_restart(rig, 0, 1, ARGS("--simulate", "0..0"));
    process_t *save = start_save(rig, 0, 1, ARGS("--drain-timeout", "1h"));
    WAIT(status_number(rig, "clients-0", "credit") > 0);
    process_signal(save, SIGSTOP);
    publish_hosts(rig, 0, "web", 3);
    WAIT(status_number(rig, "control-0", "workers.save.running") == 3);
    process_signal(save, SIGTERM);
    process_signal(save, SIGINT);
    process_signal(save, SIGCONT);
    assert_int_equal(process_wait(save, WAIT_MS), 0);
    assert_int_equal(process_log_count(save, "stopped at once"), 1);
    process_start(save);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(saved(rig, 0), 3);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_a_drained_consumer_gives_back_what_it_cannot_finish),
        RIG_TESTS(test_a_drained_worker_finishes_what_it_began),
        RIG_TESTS(test_what_a_drained_worker_cannot_finish_costs_no_try),
        RIG_TESTS(test_a_drained_publisher_comes_back_without_waiting),
        RIG_TESTS(test_a_whole_pipeline_drains_and_goes_on),
        RIG_TESTS(test_drains_under_load_lose_nothing),
        RIG_TESTS(test_what_a_goodbye_gives_back_is_released),
        RIG_TESTS(test_what_no_publisher_takes_back_is_left),
        RIG_TESTS(test_a_worker_does_not_drain_for_a_consumer_that_has_gone),
        RIG_TESTS(test_a_second_signal_ends_each_at_once),
        RIG_TESTS(test_two_signals_that_leave_nothing_unfinished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

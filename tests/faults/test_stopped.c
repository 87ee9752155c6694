/* SIGSTOP: a process that stands still and holds what it holds, and later goes on as if nothing had been. */
#include "common/core/backoff.h"
#include "common/runtime/clock.h"
#include "tests/support/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_MS = 1000,
    CONFIRMS = 40,
    HOSTS = 10,
    STALL_MS = 15000,   /* the consumer has given it up, and many deadlines have passed */
    LOST_MS_MAX = 5000, /* 3.5 s on a machine that does nothing else; less than twice the silence */
    STOPS = 1,
    LONG_STOPS = 10, /* up to a minute of four roles, twice: less than an hour */
    STOP_MS_MIN = 1000,
    STOP_MS_MAX = 3500,
    LONG_STOP_MS_MAX = 60000,
};

static unsigned stops = STOPS; /* of each role */
static int64_t stop_ms_max = STOP_MS_MAX;

static void stop_for(trial_t *t, part_t part, int64_t ms)
{
    process_signal(t->programs[part], SIGSTOP);
    trial_last(t, ms);
    process_signal(t->programs[part], SIGCONT);
    trial_recover(t, test_now_ms());
}

static void test_each_role_for_a_while(void **state)
{
    trial_t t;

    trial_start(&t, *state, LEASE_MS);
    for (unsigned i = 0; i < stops * PIPELINE_PROGRAMS; i++) {
        int64_t span_ms = stop_ms_max - STOP_MS_MIN + 1;

        trial_publish(&t, CONFIRMS);
        stop_for(&t, (part_t)(i % PIPELINE_PROGRAMS),
                 STOP_MS_MIN + (int64_t)(random_next(&t.seed) % (uint64_t)span_ms));
    }
    trial_end_unhelped(&t, "SIGSTOP of each role in turn");
}

/* By the consumer's own clock: how late this test hears of it says nothing. Its lines begin with the time, as
 * texts that sort as the times do. */
static void assert_missed_in_time(const process_t *consumer, int64_t stopped_wall_ms)
{
    char latest[WALL_TEXT];
    char *log = test_read_file(consumer->log), *line = log;

    for (char *at = log; (at = strstr(at, " is gone: ")) != NULL; at++)
        line = at;
    assert_true(line > log);
    while (line > log && line[-1] != '\n')
        line--;
    clock_wall_text(stopped_wall_ms + LOST_MS_MAX, latest);
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, latest, strlen(latest)) > 0)
        fail_msg("it was to be missed by %s: %s", latest, line);
    free(log);
}

/* It is missed, the others do its work; it comes back. */
static void test_a_stopped_worker_is_lost_and_welcomed_back(void **state)
{
    rig_t *rig = *state;
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    start_restart(rig, 1, 1, ARGS("--simulate", "0..20", "--log-messages"));
    for (unsigned i = 0; i < stops; i++) {
        trial_publish(&t, CONFIRMS);
        WAIT(status_number(rig, "control-0", "workers.restart.count") == 2);
        process_signal(t.programs[PART_RESTART], SIGSTOP);
        int64_t stopped_ms = test_now_ms(), stopped_wall_ms = clock_wall_ms();
        TRIAL_WAIT(&t, status_number(rig, "control-0", "workers.restart.count") == 1);
        figures_recovered(&t.figures, test_now_ms() - stopped_ms);
        assert_missed_in_time(t.programs[PART_CONSUMER], stopped_wall_ms);
        t.figures.cycles++;
        /* Everything goes through while it still stands. */
        trial_publish(&t, CONFIRMS);
        for (unsigned n = 0; n < TRIAL_LOADS; n++)
            load_finish(&t.loads[n]);
        WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
        process_signal(t.programs[PART_RESTART], SIGCONT);
        TRIAL_WAIT(&t, status_number(rig, "control-0", "workers.restart.count") == 2);
    }
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    trial_end_unhelped(&t, "SIGSTOP of one worker of two until it is missed");
}

/* Tasks at a worker that stands still, and given to another one since. */
static process_t *two_at_one_task(rig_t *rig, const char *const *first_args, const char *const *second_args)
{
    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *first = start_restart(rig, 0, 1, first_args);
    publish_hosts(rig, 0, "web", HOSTS);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == HOSTS);
    process_signal(first, SIGSTOP);
    WAIT(status_number(rig, "control-0", "workers.restart.count") == 0);
    start_restart(rig, 1, 1, second_args);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == HOSTS);
    process_signal(first, SIGCONT);
    return first;
}

static void test_a_late_ok_counts(void **state)
{
    rig_t *rig = *state;
    process_t *first = two_at_one_task(rig, ARGS("--simulate", "2000..2000", "--log-messages"),
                                       ARGS("--simulate", "3600000..3600000"));

    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(process_log_count(first, "Restarted "), HOSTS);
    assert_int_equal(saved(rig, 0), HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    rig_passed(rig);
}

static void test_a_late_failure_does_not_count(void **state)
{
    rig_t *rig = *state;

    two_at_one_task(rig, ARGS("--simulate", "2000..2000", "--fail", "1", "--seed", "1"),
                    ARGS("--simulate", "4000..4000"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "control-0", "late"), HOSTS);
    assert_int_equal(status_number(rig, "control-0", "workers.restart.bad"), 0);
    /* One each, for the worker that was lost; none for what it said later. */
    assert_int_equal(status_number(rig, "control-0", "workers.restart.retries"), HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(status_number(rig, "clients-0", "acked"), HOSTS);
    rig_passed(rig);
}

/* Leases that ran out while nobody could say so: what the consumer sent meanwhile is read first. */
static void test_nothing_expires_while_the_publisher_itself_stands(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1s"));

    start_sturdy_consumer(rig, 0, 1, LEASE_MS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "23000..23000", "--log-messages"));
    publish_hosts(rig, 0, "web", HOSTS);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == HOSTS);
    process_signal(publisher, SIGSTOP);
    int64_t stopped_ms = test_now_ms();
    WAIT(test_now_ms() - stopped_ms > STALL_MS);
    process_signal(publisher, SIGCONT);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    assert_int_equal(process_log_count(restart, "Restarted "), HOSTS);
    rig_passed(rig);
}

static void test_the_messages_of_a_stopped_consumer_go_to_another(void **state)
{
    rig_t *rig = *state;
    trial_t t;

    trial_start_wide(&t, rig, LEASE_MS, 2);
    start_sturdy_consumer(rig, 1, 1, LEASE_MS);
    for (unsigned i = 0; i < stops; i++) {
        trial_publish(&t, CONFIRMS);
        int64_t stopped_ms = test_now_ms();
        process_signal(t.programs[PART_CONSUMER], SIGSTOP);
        /* All of it, also what it is given before it is missed. */
        trial_publish(&t, CONFIRMS);
        for (unsigned n = 0; n < TRIAL_LOADS; n++)
            load_finish(&t.loads[n]);
        WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
        figures_recovered(&t.figures, test_now_ms() - stopped_ms);
        t.figures.cycles++;
        process_signal(t.programs[PART_CONSUMER], SIGCONT);
    }
    trial_end_unhelped(&t, "SIGSTOP of one consumer of two until all is done");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_each_role_for_a_while),
        RIG_TESTS(test_a_stopped_worker_is_lost_and_welcomed_back),
        RIG_TEST(test_a_late_ok_counts, "ipc"),
        RIG_TEST(test_a_late_failure_does_not_count, "ipc"),
        RIG_TEST(test_nothing_expires_while_the_publisher_itself_stands, "tcp"),
        RIG_TESTS(test_the_messages_of_a_stopped_consumer_go_to_another),
    };
    static const struct CMUnitTest long_tests[] = {
        RIG_TESTS(test_each_role_for_a_while),
        RIG_TESTS(test_a_stopped_worker_is_lost_and_welcomed_back),
        RIG_TESTS(test_the_messages_of_a_stopped_consumer_go_to_another),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0) {
        stops = LONG_STOPS;
        stop_ms_max = LONG_STOP_MS_MAX;
        return cmocka_run_group_tests(long_tests, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

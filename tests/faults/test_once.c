/* What is done is not done again: not when the other leg fails for long and consumers die over it, not when
 * programs come and go as they should. */
#include "common/core/backoff.h"
#include "tests/support/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_MS = 1000,
    CONFIRMS = 40,
    HOSTS = 25,
    KILLS = 3,
    LONG_KILLS = 5,
    KILL_EVERY_MS = 500,
    LONG_KILL_EVERY_MS = 60000,
    EXTRA_WORKERS = 2,
    ROUNDS = 4,
    LONG_ROUNDS = 200,
};

static unsigned kills = KILLS, rounds = ROUNDS;
static int64_t kill_every_ms = KILL_EVERY_MS;

static int64_t saves_done(rig_t *rig)
{
    return status_number(rig, "clients-0", "legs.save.done");
}

/* The other leg is down: TRANSIENT for every task, until another worker of its kind takes over. */
static process_t *start_odd(rig_t *rig, const char *name)
{
    return SPAWN(rig, name, "mandrill-worker-odd", "--kind", "odd-loop", "--consumer",
                 rig_way_to(rig, "tasks-0"), "--report", "json");
}

static void test_one_save_task_ever(void **state)
{
    rig_t *rig = *state;
    figures_t f = {.messages = HOSTS, .confirmed = HOSTS};
    char row[96];

    start_publisher(rig, 0, ARGS("--legs", "save,odd", "--ack-deadline", "1s", "--max-deliveries", "1000"));
    process_t *consumer = start_sturdy_consumer(rig, 0, 1, LEASE_MS);
    process_t *save = start_save(rig, 0, 1, ARGS("--log-messages"));
    setenv("ODD_DOWN", "1", 1);
    process_t *down = start_odd(rig, "odd-down");
    unsetenv("ODD_DOWN");
    publish_hosts(rig, 0, "down", HOSTS);
    WAIT(saves_done(rig) == HOSTS);
    for (; f.cycles < kills; f.cycles++) {
        int64_t from_ms = test_now_ms();

        WAIT_FOR(test_now_ms() > from_ms + kill_every_ms &&
                     status_number(rig, "control-0", "workers.odd.retries") > 0,
                 WAIT_MS + kill_every_ms);
        process_kill(consumer);
        process_start(consumer);
        /* What has lost two leases comes a few at a time. */
        WAIT(status_number(rig, "control-0", "consumed") > 0);
    }
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), HOSTS);
    /* After minutes of failing they wait with the publisher, which gives them to the next consumer as well,
     * but no lease of theirs is lost. */
    if (kills == KILLS)
        assert_true(status_number(rig, "clients-0", STATUS_REDELIVERED) >= HOSTS);
    assert_int_equal(process_stop(down), 0);
    start_odd(rig, "odd-up");
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(process_stop(save), 0);
    assert_int_equal(saved(rig, 0), HOSTS);
    f.double_work = (uint64_t)report_number(save, "tasks") - HOSTS;
    snprintf(row, sizeof row, "saved, the other leg down, consumer killed, %s", rig->transport);
    figures_row(row, &f);
    assert_int_equal(report_number(save, "tasks"), HOSTS);
    rig_passed(rig);
}

/* A pipeline that somebody tends by the book: nothing is given twice, no try is spent. */
static void assert_nothing_twice(trial_t *t)
{
    assert_int_equal(status_number(t->rig, "clients-0", STATUS_REDELIVERED), 0);
    assert_int_equal(status_number(t->rig, "control-0", "workers.restart.retries"), 0);
    assert_int_equal(t->figures.double_work, 0);
}

static void test_scaling_workers_down(void **state)
{
    rig_t *rig = *state;
    process_t *extra[EXTRA_WORKERS];
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    for (unsigned i = 0; i < EXTRA_WORKERS; i++)
        extra[i] = start_restart(rig, i + 1, 1, ARGS("--simulate", "0..50", "--log-messages"));
    for (; t.figures.cycles < rounds; t.figures.cycles++) {
        process_t *p = extra[t.figures.cycles % EXTRA_WORKERS];

        WAIT(status_number(rig, "control-0", "workers.restart.count") == 1 + EXTRA_WORKERS);
        trial_publish(&t, CONFIRMS);
        process_signal(p, SIGTERM);
        TRIAL_WAIT(&t, !process_running(p));
        assert_int_equal(process_code(p), 0);
        process_start(p);
    }
    trial_judge(&t, "SIGTERM of a worker under load");
    assert_nothing_twice(&t);
    trial_stop(&t);
}

/* Killed or stopped, it is back soon, and nobody else has to be started again. */
static void restart_under_load(rig_t *rig, part_t part, const char *what)
{
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    for (unsigned i = 0; i < rounds; i++) {
        trial_publish(&t, CONFIRMS);
        if (i % 2 == 0) {
            trial_kill(&t, part);
            continue;
        }
        int64_t stopped_ms = test_now_ms();
        process_signal(t.programs[part], SIGTERM);
        TRIAL_WAIT(&t, !process_running(t.programs[part]));
        assert_int_equal(process_code(t.programs[part]), 0);
        trial_revive(&t, part, stopped_ms);
    }
    for (int i = 0; i < PIPELINE_PROGRAMS; i++)
        assert_int_equal(t.programs[i]->starts, i == (int)part ? 1 + rounds : 1);
    trial_end(&t, what);
}

static void test_a_consumer_that_is_started_again(void **state)
{
    restart_under_load(*state, PART_CONSUMER, "consumer started again, by SIGKILL and SIGTERM in turn");
}

static void test_a_publisher_that_is_started_again(void **state)
{
    restart_under_load(*state, PART_PUBLISHER, "publisher started again, by SIGKILL and SIGTERM in turn");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_one_save_task_ever),
        RIG_TESTS(test_scaling_workers_down),
        RIG_TESTS(test_a_consumer_that_is_started_again),
        RIG_TESTS(test_a_publisher_that_is_started_again),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0) {
        kills = LONG_KILLS;
        kill_every_ms = LONG_KILL_EVERY_MS;
        rounds = LONG_ROUNDS;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

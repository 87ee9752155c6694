/* Save workers over a PostgreSQL server that dies, stands still, is away for longer than all tries would
 * take, ends sessions between a commit and its answer; and a network that does. No try is counted, no message
 * dies, every message has one row, and nobody has to be started again but the server. */
#include "common/core/backoff.h"
#include "tests/support/proxy.h"
#include "tests/support/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_MS = 1000,
    CONFIRMS = 60,
    AWAY_MS = 1500,
    KILLS = 3,
    TERMINATIONS = 12,
    RESETS = 12,
    HOLDS = 4,
    HOLD_MS = 3000,
    CUT_MS_MIN = 20,
    CUT_MS_MAX = 200,
    LONG_TIMES = 40,
    LONG_AWAY_MS = 60000,
};

static unsigned times = 1; /* as much as in ./check */
static unsigned away_ms = AWAY_MS;

typedef struct {
    trial_t trial;
    postgres_t postgres;
    proxy_t *proxy; /* between the workers and the server; NULL: none */
} fixture_t;

static void close_server(void *arg)
{
    postgres_close(arg);
}

/* A pipeline with so many save workers, all over one server. Two tries 10 ms apart, and two deliveries:
 * whatever were counted would be used up at once. */
static fixture_t *start(rig_t *rig, unsigned workers, bool proxy)
{
    static const char tcp[] = "tcp://127.0.0.1:";
    fixture_t *f = rig_alloc(rig, sizeof *f);
    trial_t *t = &f->trial;
    char conninfo[CONNINFO_MAX];

    postgres_open(&f->postgres, rig->dir,
                  (unsigned)strtoul(rig_endpoint(rig, "postgres") + sizeof tcp - 1, NULL, 10), rig->guard);
    rig_defer(rig, close_server, &f->postgres);
    f->proxy = proxy ? proxy_open(rig, "postgres") : NULL;
    postgres_conninfo(&f->postgres, "", conninfo);
    if (proxy)
        snprintf(conninfo, sizeof conninfo, "host=127.0.0.1 port=%s user=postgres dbname=postgres",
                 rig_way_to(rig, "postgres") + sizeof tcp - 1);
    trial_load(t, rig);
    t->postgres = &f->postgres;
    t->programs[PART_PUBLISHER] =
        start_publisher(rig, 0, ARGS("--ack-deadline", "2s", "--max-deliveries", "2"));
    t->programs[PART_CONSUMER] =
        start_consumer(rig, 0, 1,
                       ARGS("--max-tries", "2", "--backoff", "10ms", "--backoff-max", "10ms", "--extend",
                            "600ms", "--extend-every", "400ms", "--limit", "1s", "--limit-hard", "8s"));
    t->programs[PART_RESTART] = start_restart(rig, 0, 1, ARGS("--simulate", "0..20", "--log-messages"));
    for (unsigned i = 0; i < workers; i++)
        t->programs[PART_SAVE] = start_save_postgres(rig, i, 1, conninfo, ARGS("--log-messages"));
    trial_publish(t, CONFIRMS);
    return f;
}

static int64_t saved_rows_of(fixture_t *f)
{
    return postgres_rows(&f->postgres, "");
}

static void end(fixture_t *f, const char *fault)
{
    trial_t *t = &f->trial;
    rig_t *rig = t->rig;

    assert_int_equal(status_number(rig, "control-0", "workers.save.retries"), 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.bad"), 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.timeouts"), 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.lost"), 0);
    for (size_t i = 0; i < rig->processes_count; i++)
        if (strncmp(rig->processes[i]->name, "save-", 5) == 0)
            assert_int_equal(rig->processes[i]->starts, 1);
    trial_end_unhelped(t, fault);
}

static void test_server_killed(void **state)
{
    fixture_t *f = start(*state, 2, false);
    trial_t *t = &f->trial;

    for (unsigned i = 0; i < KILLS * times; i++) {
        trial_publish(t, CONFIRMS);
        postgres_kill(&f->postgres);
        trial_last(t, (int64_t)(random_next(&t->seed) % 200));
        postgres_start(&f->postgres);
        trial_recover(t, test_now_ms());
    }
    end(f, "PostgreSQL killed with all its processes");
}

static void test_server_away_for_long(void **state)
{
    fixture_t *f = start(*state, 2, false);
    trial_t *t = &f->trial;
    rig_t *rig = t->rig;

    postgres_stop(&f->postgres);
    trial_last(t, away_ms);
    assert_int_equal(status_number(rig, "control-0", "workers.save.window"), 0);
    postgres_start(&f->postgres);
    trial_recover(t, test_now_ms());
    end(f, "PostgreSQL away for longer than all tries");
}

/* Nothing tells the worker: the connection stays, and nobody answers. */
static void test_server_stopped(void **state)
{
    fixture_t *f = start(*state, 2, false);
    trial_t *t = &f->trial;

    for (unsigned i = 0; i < times; i++) {
        const int64_t before = saved_rows_of(f);
        TRIAL_WAIT(t, saved_rows_of(f) > before);
        postgres_signal_all(&f->postgres, SIGSTOP);
        trial_last(t, 2 * away_ms);
        postgres_signal_all(&f->postgres, SIGCONT);
        trial_recover(t, test_now_ms());
    }
    end(f, "PostgreSQL stopped (SIGSTOP) for longer than a try may take");
}

/* Whatever they were doing: many are between COMMIT and its answer. */
static void test_sessions_terminated(void **state)
{
    fixture_t *f = start(*state, 4, false);
    trial_t *t = &f->trial;

    for (unsigned i = 0; i < TERMINATIONS * times; i++) {
        trial_last(t, CUT_MS_MIN + (int64_t)(random_next(&t->seed) % (CUT_MS_MAX - CUT_MS_MIN)));
        postgres_run(
            &f->postgres, "",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mandrill'");
        t->figures.cycles++;
    }
    trial_recover(t, test_now_ms());
    end(f, "sessions of four save workers terminated every 20..200 ms");
}

static void test_connections_reset(void **state)
{
    fixture_t *f = start(*state, 2, true);
    trial_t *t = &f->trial;
    unsigned cut = 0;

    proxy_delay(f->proxy, 5);
    for (unsigned i = 0; i < RESETS * times; i++) {
        trial_last(t, CUT_MS_MIN + (int64_t)(random_next(&t->seed) % (CUT_MS_MAX - CUT_MS_MIN)));
        cut += proxy_reset(f->proxy, PROXY_BOTH);
    }
    proxy_delay(f->proxy, 0);
    trial_recover(t, test_now_ms());
    assert_true(cut > 0);
    t->figures.cycles = cut;
    end(f, "connections to PostgreSQL reset every 20..200 ms");
}

/* The answer to a commit is lost, for certain: what goes up arrives, what comes down does not. */
static void test_answers_lost(void **state)
{
    fixture_t *f = start(*state, 1, true);
    trial_t *t = &f->trial;
    unsigned lost = 0;

    for (unsigned i = 0; i < HOLDS * times; i++) {
        const int64_t before = saved_rows_of(f), until_ms = test_now_ms() + HOLD_MS;
        proxy_set(f->proxy, PROXY_DOWN, PROXY_HOLD);
        /* It may be that only an answer was on its way, and nothing else will be sent before that is here. */
        TRIAL_WAIT(t, saved_rows_of(f) > before || test_now_ms() > until_ms);
        lost += saved_rows_of(f) > before;
        proxy_reset(f->proxy, PROXY_BOTH);
        proxy_set(f->proxy, PROXY_DOWN, PROXY_PASS);
        trial_recover(t, test_now_ms());
    }
    assert_true(lost > 0);
    end(f, "answer to a commit lost");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_server_killed, "tcp"),     RIG_TEST(test_server_away_for_long, "tcp"),
        RIG_TEST(test_server_stopped, "tcp"),    RIG_TEST(test_sessions_terminated, "tcp"),
        RIG_TEST(test_connections_reset, "tcp"), RIG_TEST(test_answers_lost, "tcp"),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0) {
        times = LONG_TIMES;
        away_ms = LONG_AWAY_MS;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

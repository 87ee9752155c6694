/* Each role dies exactly there: before and after its commit, its sends, its act, its ack. */
#include "common/core/backoff.h"
#include "common/core/proto.h"
#include "tests/support/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_MS = 500, TIMES = 1, CI_TIMES = 5, LONG_TIMES = 60, NTH_MAX = 12 };

typedef struct {
    part_t part;
    const char *step; /* of shim_kill.c; a command's number is added */
    command_t command;
    const char *when;
} step_at_t;

static const step_at_t STEPS[] = {
    {PART_PUBLISHER, "commit", 0, "before"},
    {PART_PUBLISHER, "commit", 0, "after"},
    {PART_PUBLISHER, "send:", CMD_CONFIRM, "before"},
    {PART_PUBLISHER, "send:", CMD_CONFIRM, "after"},
    {PART_PUBLISHER, "send:", CMD_DELIVER, "before"},
    {PART_PUBLISHER, "send:", CMD_DELIVER, "after"},
    {PART_PUBLISHER, "recv:", CMD_PROGRESS, "after"},
    {PART_PUBLISHER, "send:", CMD_SETTLED, "before"},
    {PART_PUBLISHER, "send:", CMD_SETTLED, "after"},
    {PART_CONSUMER, "recv:", CMD_DELIVER, "after"},
    {PART_CONSUMER, "send:", CMD_TASKS, "before"},
    {PART_CONSUMER, "send:", CMD_TASKS, "after"},
    {PART_CONSUMER, "recv:", CMD_RESULTS, "after"},
    {PART_CONSUMER, "send:", CMD_PROGRESS, "before"},
    {PART_CONSUMER, "send:", CMD_PROGRESS, "after"},
    {PART_CONSUMER, "recv:", CMD_SETTLED, "after"},
    {PART_SAVE, "commit", 0, "before"},
    {PART_SAVE, "commit", 0, "after"},
    {PART_SAVE, "line:Saved", 0, "before"},
    {PART_SAVE, "send:", CMD_RESULTS, "before"},
    {PART_SAVE, "send:", CMD_RESULTS, "after"},
    {PART_RESTART, "recv:", CMD_TASKS, "after"},
    {PART_RESTART, "line:Restarted", 0, "before"},
    {PART_RESTART, "line:Restarted", 0, "after"},
    {PART_RESTART, "send:", CMD_RESULTS, "before"},
    {PART_RESTART, "send:", CMD_RESULTS, "after"},
};
enum { STEPS_COUNT = sizeof STEPS / sizeof *STEPS };

static unsigned times = TIMES;

static void start_with_shim(trial_t *t, const step_at_t *at)
{
    char spec[64], command[16] = "";

    if (at->command != 0)
        snprintf(command, sizeof command, "%u", (unsigned)at->command);
    snprintf(spec, sizeof spec, "%s%s %s %u", at->step, command, at->when,
             1 + (unsigned)(random_next(&t->seed) % NTH_MAX));
    setenv("LD_PRELOAD", TEST_SHIM_KILL, 1);
    setenv("SHIM_KILL", spec, 1);
    process_start(t->programs[at->part]);
    unsetenv("SHIM_KILL");
    unsetenv("LD_PRELOAD");
}

static void die_at_each_step(rig_t *rig, part_t part, const char *what)
{
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    for (unsigned i = 0; i < times * STEPS_COUNT; i++) {
        const step_at_t *at = &STEPS[i % STEPS_COUNT];
        process_t *p = t.programs[at->part];

        if (at->part != part)
            continue;
        process_kill(p);
        start_with_shim(&t, at);
        TRIAL_WAIT(&t, !process_running(p));
        assert_int_equal(process_code(p), 128 + SIGKILL);
        trial_revive(&t, part, test_now_ms());
    }
    trial_end(&t, what);
}

static void test_the_publisher(void **state)
{
    die_at_each_step(*state, PART_PUBLISHER, "publisher dies at commit, send, ack");
}

static void test_the_consumer(void **state)
{
    die_at_each_step(*state, PART_CONSUMER, "consumer dies at send, ack");
}

static void test_the_save_worker(void **state)
{
    die_at_each_step(*state, PART_SAVE, "save worker dies at commit, act, send");
}

static void test_the_restart_worker(void **state)
{
    die_at_each_step(*state, PART_RESTART, "restart worker dies at act, send");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_the_publisher),
        RIG_TESTS(test_the_consumer),
        RIG_TESTS(test_the_save_worker),
        RIG_TESTS(test_the_restart_worker),
    };

    if (argc > 1 && strcmp(argv[1], "ci") == 0)
        times = CI_TIMES;
    if (argc > 1 && strcmp(argv[1], "long") == 0)
        times = LONG_TIMES;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

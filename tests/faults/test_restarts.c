/* Hosts are restarted once: the pipeline with restart-exec over hosts that write down each restart
 * (tests/support/testhost.c), every role killed at every step of a note's and an act's way, the worker
 * stopped between its grant and its act. The judge is that log: a host is asked for once, so two lines of one
 * host are a restart too many. */
#include "common/core/backoff.h"
#include "common/core/proto.h"
#include "tests/support/trial.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LEASE_MS = 1000,
    NTH_MAX = 12,
    HOSTS_MAX = 1 << 20,
    /* What an intent is waited out for: grant, act and return below. */
    WAITED_OUT_MS = 700 + 700 + 600,
    /* Until it is taken for lost, its intents were waited out by others, and those have acted. */
    STOPPED_MS = 3500 + 2 * WAITED_OUT_MS + 1000,
    STOPS = 2,
    LONG_STOPS = 10,
    LONG_ROUNDS = 8,
};

typedef struct {
    part_t part;
    const char *step; /* of shim_kill.c; a command's number is added */
    command_t command;
    const char *when;
} step_at_t;

static const step_at_t STEPS[] = {
    {PART_PUBLISHER, "recv:", CMD_PROGRESS, "after"}, {PART_PUBLISHER, "commit", 0, "before"},
    {PART_PUBLISHER, "commit", 0, "after"},           {PART_PUBLISHER, "send:", CMD_SETTLED, "before"},
    {PART_PUBLISHER, "send:", CMD_SETTLED, "after"},  {PART_CONSUMER, "send:", CMD_TASKS, "after"},
    {PART_CONSUMER, "recv:", CMD_NOTES, "after"},     {PART_CONSUMER, "send:", CMD_PROGRESS, "before"},
    {PART_CONSUMER, "send:", CMD_PROGRESS, "after"},  {PART_CONSUMER, "recv:", CMD_SETTLED, "after"},
    {PART_CONSUMER, "send:", CMD_GRANTS, "before"},   {PART_CONSUMER, "send:", CMD_GRANTS, "after"},
    {PART_CONSUMER, "recv:", CMD_RESULTS, "after"},   {PART_SAVE, "commit", 0, "after"},
    {PART_RESTART, "recv:", CMD_TASKS, "after"},      {PART_RESTART, "spawn:look", 0, "after"},
    {PART_RESTART, "send:", CMD_NOTES, "before"},     {PART_RESTART, "send:", CMD_NOTES, "after"},
    {PART_RESTART, "recv:", CMD_GRANTS, "after"},     {PART_RESTART, "spawn:restart", 0, "before"},
    {PART_RESTART, "spawn:restart", 0, "after"},      {PART_RESTART, "line:Restarted", 0, "before"},
    {PART_RESTART, "send:", CMD_RESULTS, "before"},   {PART_RESTART, "send:", CMD_RESULTS, "after"},
};
enum { STEPS_COUNT = sizeof STEPS / sizeof *STEPS };

static unsigned stops = STOPS;

/* --- the judge --- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct {
    unsigned restarts, hosts, twice; /* twice: restarts beyond the first of each host */
} restarts_t;

static restarts_t count_restarts(const rig_t *rig)
{
    char path[TEST_PATH_MAX];
    restarts_t r = {0};
    char *text = test_read_file(rig_path(rig, "hosts/.log", path));
    char **hosts = malloc(HOSTS_MAX * sizeof *hosts);

    assert_non_null(hosts);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(r.restarts < HOSTS_MAX);
        line[strcspn(line, " ")] = '\0';
        hosts[r.restarts++] = line;
    }
    qsort(hosts, r.restarts, sizeof *hosts, compare_lines);
    for (unsigned i = 0; i < r.restarts; i++)
        r.hosts += i == 0 || strcmp(hosts[i], hosts[i - 1]) != 0;
    r.twice = r.restarts - r.hosts;
    free(hosts);
    free(text);
    return r;
}

/* --- the pipeline --- */

typedef struct {
    char dir[TEST_PATH_MAX];
    char restart[2 * TEST_PATH_MAX], look[2 * TEST_PATH_MAX];
} fleet_commands_t;

/* Whether the hosts compare what was observed by themselves, only show what they are, or not even that. */
typedef enum { HOSTS_COMPARE, HOSTS_SHOW, HOSTS_HIDE } hosts_t;

static void write_commands(rig_t *rig, hosts_t hosts, fleet_commands_t *c)
{
    assert_int_equal(mkdir(rig_path(rig, "hosts", c->dir), 0700), 0);
    snprintf(c->restart, sizeof c->restart, "%s/testhost %s restart {host} {id}%s", TEST_PROGRAMS_DIR, c->dir,
             hosts == HOSTS_COMPARE ? " {boot_id}" : "");
    snprintf(c->look, sizeof c->look, "%s/testhost %s look {host}", TEST_PROGRAMS_DIR, c->dir);
}

static process_t *start_exec(rig_t *rig, const char *name, hosts_t hosts, const fleet_commands_t *c)
{
    char file[TEST_PATH_MAX], announce[TEST_PATH_MAX], value[TEST_PATH_MAX];

    snprintf(file, sizeof file, "%s.announce", name);
    process_t *p = SPAWN(rig, name, "mandrill-worker", "--kind", "restart-exec", "--consumer",
                         rig_way_to(rig, "tasks-0"), "--report", "json", "--log-messages", "--announce",
                         rig_path(rig, file, announce), "--grant", "700ms", "--act-timeout", "700ms",
                         "--return-timeout", "600ms", "--poll", "50ms", "--slots", "64", "--exec", c->restart,
                         "--exec-exit", "3=ok", hosts == HOSTS_HIDE ? NULL : "--exec-observe", c->look);
    process_announced(p, "ready", value);
    return p;
}

static void start_fleet(trial_t *t, rig_t *rig, hosts_t hosts, fleet_commands_t *commands)
{
    write_commands(rig, hosts, commands);
    trial_load(t, rig);
    t->looks = true;
    t->programs[PART_PUBLISHER] = start_sturdy_publisher(rig, 0, LEASE_MS);
    t->programs[PART_CONSUMER] =
        start_consumer(rig, 0, 1,
                       ARGS("--extend", "300ms", "--extend-every", "200ms", "--max-tries", "255", "--limit",
                            "restart=30s", "--limit-hard", "restart=40s"));
    t->programs[PART_SAVE] = start_save(rig, 0, 1, ARGS("--log-messages"));
    t->programs[PART_RESTART] = start_exec(rig, "restart-0", hosts, commands);
}

static void start_with_shim(trial_t *t, const step_at_t *at, const char *what)
{
    char spec[64], command[16] = "";

    if (at->command != 0)
        snprintf(command, sizeof command, "%u", (unsigned)at->command);
    snprintf(spec, sizeof spec, "%s%s %s %u %s", at->step, command, at->when,
             1 + (unsigned)(random_next(&t->seed) % NTH_MAX), what);
    setenv("LD_PRELOAD", TEST_SHIM_KILL, 1);
    setenv("SHIM_KILL", spec, 1);
    process_start(t->programs[at->part]);
    unsetenv("SHIM_KILL");
    unsetenv("LD_PRELOAD");
}

static void kill_at_each_step(trial_t *t, hosts_t hosts, part_t part)
{
    for (unsigned i = 0; i < STEPS_COUNT; i++) {
        const step_at_t *at = &STEPS[i];
        process_t *p = t->programs[at->part];

        if (at->part != part || (hosts == HOSTS_HIDE && strcmp(at->step, "spawn:look") == 0))
            continue;
        process_kill(p);
        start_with_shim(t, at, "");
        TRIAL_WAIT(t, !process_running(p));
        assert_int_equal(process_code(p), 128 + SIGKILL);
        trial_revive(t, part, test_now_ms());
    }
}

/* --- hosts that can be observed: once, whoever dies --- */

static void once_at_each_step(rig_t *rig, part_t part, const char *what)
{
    fleet_commands_t commands;
    trial_t t;

    start_fleet(&t, rig, HOSTS_SHOW, &commands);
    kill_at_each_step(&t, HOSTS_SHOW, part);
    trial_judge(&t, what);
    restarts_t r = count_restarts(rig);
    assert_int_equal(r.twice, 0);
    assert_true(r.hosts >= t.figures.confirmed);
    trial_stop(&t);
}

static void test_the_publisher(void **state)
{
    once_at_each_step(*state, PART_PUBLISHER, "restart-exec: publisher dies at each step");
}

static void test_the_consumer(void **state)
{
    once_at_each_step(*state, PART_CONSUMER, "restart-exec: consumer dies at each step");
}

static void test_the_save_worker(void **state)
{
    once_at_each_step(*state, PART_SAVE, "restart-exec: save worker dies");
}

static void test_the_restart_worker(void **state)
{
    once_at_each_step(*state, PART_RESTART, "restart-exec: restart worker dies at each step");
}

/* --- a worker that stands still, and goes on with what it was at --- */

static bool is_stopped(const process_t *p)
{
    char path[64], state = '?';

    snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%*d %*s %c", &state) != 1)
        state = '?';
    if (f != NULL)
        fclose(f);
    return state == 'T';
}

/* How often a host was restarted once more, by another worker that had waited the intent out. */
static unsigned stop_at(rig_t *rig, hosts_t hosts, const step_at_t *at, const char *what)
{
    fleet_commands_t commands;
    trial_t t;

    start_fleet(&t, rig, hosts, &commands);
    process_t *other = start_exec(rig, "restart-1", hosts, &commands);
    process_t *p = t.programs[PART_RESTART];
    for (; t.figures.cycles < stops; t.figures.cycles++) {
        process_kill(p);
        start_with_shim(&t, at, "stop");
        TRIAL_WAIT(&t, is_stopped(p));
        trial_last(&t, STOPPED_MS);
        process_signal(p, SIGCONT);
        TRIAL_WAIT(&t, !is_stopped(p));
        trial_publish(&t, 1);
    }
    trial_judge(&t, what);
    restarts_t r = count_restarts(rig);
    print_message("%s, %s: %u stops, %u hosts, %u restarted once more\n", what, rig->transport, stops,
                  r.hosts, r.twice);
    assert_int_equal(process_stop(other), 0);
    trial_stop(&t);
    return r.twice;
}

static void test_stopped_behind_its_grant(void **state)
{
    static const step_at_t at = {PART_RESTART, "recv:", CMD_GRANTS, "after"};

    assert_int_equal(stop_at(*state, HOSTS_SHOW, &at, "restart-exec: worker stopped behind its grant"), 0);
}

static void test_stopped_at_its_act_of_a_host_that_compares(void **state)
{
    static const step_at_t at = {PART_RESTART, "spawn:restart", 0, "before"};

    assert_int_equal(stop_at(*state, HOSTS_COMPARE, &at, "restart-exec: stopped at its act, hosts compare"),
                     0);
}

/* The gap that nobody but the host can close; and what shows that the judge can find one. */
static void test_stopped_at_its_act(void **state)
{
    static const step_at_t at = {PART_RESTART, "spawn:restart", 0, "before"};
    const unsigned twice = stop_at(*state, HOSTS_SHOW, &at, "restart-exec: stopped at its act, hosts show");

    assert_in_range(twice, 1, stops);
}

/* --- hosts that cannot be observed: never twice, and a person decides --- */

static void test_hosts_that_cannot_be_observed(void **state)
{
    rig_t *rig = *state;
    fleet_commands_t commands;
    trial_t t;

    start_fleet(&t, rig, HOSTS_HIDE, &commands);
    for (unsigned part = 0; part < PIPELINE_PROGRAMS; part++)
        kill_at_each_step(&t, HOSTS_HIDE, (part_t)part);
    for (unsigned i = 0; i < TRIAL_LOADS; i++)
        load_finish(&t.loads[i]);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    const int64_t dead = status_number(rig, "clients-0", STATUS_DEAD);
    process_t *unknown = SPAWN(rig, "unknown", "mandrill", "dead", "list", "--json", "--clients",
                               rig_way_to(rig, "clients-0"), "--reason", "unknown*");
    assert_int_equal(process_wait(unknown, WAIT_MS), 0);
    restarts_t r = count_restarts(rig);
    print_message("hosts that cannot be observed, %s: %u restarted, %" PRId64
                  " of %u messages ended unknown\n",
                  rig->transport, r.restarts, dead, t.loads[0].confirmed + t.loads[1].confirmed);
    assert_int_equal(process_out_count(unknown, "\n"), dead);
    assert_int_equal(r.twice, 0);
    assert_true(dead > 0);
    trial_stop(&t);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_the_publisher, "ipc"),
        RIG_TEST(test_the_consumer, "tcp"),
        RIG_TEST(test_the_restart_worker, "ipc"),
    };
    static const struct CMUnitTest killed[] = {
        RIG_TESTS(test_the_publisher),
        RIG_TESTS(test_the_consumer),
        RIG_TESTS(test_the_save_worker),
        RIG_TESTS(test_the_restart_worker),
    };
    static const struct CMUnitTest stopped[] = {
        RIG_TEST(test_stopped_behind_its_grant, "ipc"),
        RIG_TEST(test_stopped_at_its_act_of_a_host_that_compares, "ipc"),
        RIG_TEST(test_stopped_at_its_act, "ipc"),
        RIG_TEST(test_hosts_that_cannot_be_observed, "ipc"),
    };
    const char *how = argc > 1 ? argv[1] : "";
    const bool is_long = strncmp(how, "long", strlen("long")) == 0;

    stops = is_long ? LONG_STOPS : STOPS;
    /* Apart, so that they run beside each other: both wait most of their time. */
    if (strcmp(how, "long-stopped") == 0 || strcmp(how, "ci-stopped") == 0)
        return cmocka_run_group_tests(stopped, NULL, NULL);
    if (!is_long && strcmp(how, "ci") != 0)
        return cmocka_run_group_tests(tests, NULL, NULL);
    /* Each time a fleet anew: what was lost again and again is given out one at a time, and each of those
     * waits an intent out. After so many kills of one fleet there are thousands of them. */
    int failed = 0;
    for (int n = 0; n < (is_long ? LONG_ROUNDS : 1); n++)
        failed += cmocka_run_group_tests(killed, NULL, NULL);
    return failed;
}

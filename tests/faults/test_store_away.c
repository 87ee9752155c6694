/* A save worker's store that takes nothing: locked by somebody for longer than all tries would take, or on a
 * disk that is full. No try is counted, nothing is given up, and all is saved when it is back. */
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/trial.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS = 200, AWAY_MS = 1500, LONG_AWAY_MS = 15 * 60 * 1000 };

static unsigned away_ms = AWAY_MS;

/* Two tries 10 ms apart, and two deliveries: whatever were counted would be used up at once. */
static void start_impatient(rig_t *rig, process_t *programs[static PIPELINE_PROGRAMS], const char *lease_cap)
{
    programs[PART_PUBLISHER] = start_publisher(
        rig, 0, ARGS("--ack-deadline", "2s", "--max-deliveries", "2", "--lease-cap", lease_cap));
    programs[PART_CONSUMER] = start_consumer(rig, 0, 1,
                                             ARGS("--max-tries", "2", "--backoff", "10ms", "--backoff-max",
                                                  "10ms", "--extend", "600ms", "--extend-every", "400ms"));
    start_sturdy_workers(rig, programs, 1);
}

static sqlite3 *lock(const char *path)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, WAIT_MS), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

typedef struct {
    trial_t trial;
    sqlite3 *db;
    int64_t before; /* rows, when it was locked */
} away_t;

/* Some are saved, others come while it is locked. */
static away_t *locked(rig_t *rig, const char *lease_cap)
{
    away_t *a = rig_alloc(rig, sizeof *a);
    char database[TEST_PATH_MAX];

    trial_load(&a->trial, rig);
    start_impatient(rig, a->trial.programs, lease_cap);
    trial_publish(&a->trial, HOSTS);
    a->db = lock(rig_path(rig, "saved-0.db", database));
    a->before = saved(rig, 0);
    trial_publish(&a->trial, HOSTS);
    return a;
}

static void unlocked(away_t *a, const char *what)
{
    trial_t *t = &a->trial;
    int64_t back_ms = test_now_ms();

    assert_int_equal(saved(t->rig, 0), a->before);
    sqlite3_close(a->db);
    TRIAL_WAIT(t, saved(t->rig, 0) > a->before);
    figures_recovered(&t->figures, test_now_ms() - back_ms);
    t->figures.cycles++;
    trial_end(t, what);
}

static void test_locked_for_long(void **state)
{
    rig_t *rig = *state;
    away_t *a = locked(rig, "1h");

    /* The restarts go on meanwhile. */
    trial_last(&a->trial, away_ms);
    assert_true(status_number(rig, "control-0", "workers.restart.done") >
                status_number(rig, "control-0", "workers.save.done"));
    assert_int_equal(status_number(rig, "control-0", "workers.save.retries"), 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.bad"), 0);
    unlocked(a, "store locked for longer than all tries");
}

/* Away for many times as long as a lease can last: six hours at the defaults. */
static void test_locked_for_longer_than_leases_last(void **state)
{
    rig_t *rig = *state;
    away_t *a = locked(rig, "1s");

    /* More often than deliveries that count are allowed, each of them. */
    TRIAL_WAIT(&a->trial, status_number(rig, "control-0", "released") >= 4 * HOSTS);
    assert_int_equal(status_number(rig, "clients-0", "dead"), 0);
    assert_int_equal(status_number(rig, "clients-0", "redelivered"), 0);
    unlocked(a, "store locked for longer than four leases last");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {RIG_TESTS(test_locked_for_long),
                                              RIG_TESTS(test_locked_for_longer_than_leases_last)};

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        away_ms = LONG_AWAY_MS;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

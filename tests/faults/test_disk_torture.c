/* The Nth call to the disk fails, for N = 1, 2, 3 ... until a whole run passes without the fault: a publisher
 * or a save worker opens its file, takes twenty messages and stops. Whatever happens in it, afterwards the
 * program is started again over a disk that works, and all that was confirmed is done.
 *
 * Publishers are tortured sixteen at a time, one for each N: a consumer waits a second before it turns to one
 * that said goodbye. ./check tries every 7th call, ci every 2nd, long each one, and that many times. */
#include "common/core/backoff.h"
#include "tests/support/figures.h"
#include "tests/support/frames.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/saved.h"
#include "tests/support/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH = 20,
    VICTIMS_MAX = 16,
    FOR_EVER = 1000000,
    CALLS_MAX = 2000,
    KILLED = 128 + SIGKILL,
    LEASE_MS = 2000,
};

static unsigned stride = 7, rounds = 1;

typedef struct {
    const char *name;
    uint32_t calls;
    uint64_t times;
    int how;
    bool ends; /* the program must not go on */
} fault_t;

static const fault_t SYNC_FAILS = {"EIO of the Nth fsync", SHIM_SYNC, 1, EIO, true};
static const fault_t WRITE_FAILS = {"EIO of the Nth write", SHIM_WRITE, 1, EIO, true};
static const fault_t DISK_DIES = {"EIO from the Nth write or fsync on", SHIM_WRITE | SHIM_SYNC, FOR_EVER, EIO,
                                  true};
static const fault_t SHORT = {"short writes from the Nth on", SHIM_WRITE, FOR_EVER, SHIM_SHORT, false};
static const fault_t NO_ROOM = {"ENOSPC of the Nth write", SHIM_WRITE, 1, ENOSPC, false};
static const fault_t POWER = {"power cut at the Nth write or fsync", SHIM_WRITE | SHIM_SYNC, 1, SHIM_CUT,
                              true};

typedef struct {
    process_t *program;
    shim_control_t *shim;
    char file[PROCESS_NAME_MAX];
    char clients[PROCESS_NAME_MAX]; /* the endpoint of its messages' publisher */
    load_t load;
    unsigned told; /* lines about its file, before this run */
    bool stopped;  /* by the test */
} victim_t;

typedef struct {
    rig_t *rig;
    const fault_t *fault;
    victim_t victims[VICTIMS_MAX];
    unsigned count;
    bool with_messages, fresh;
    unsigned fired;
    figures_t figures;
    uint64_t seed;
} torture_t;

/* --- one run of one victim --- */

static void remove_files(const rig_t *rig, const victim_t *v)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".reserve"};
    char path[TEST_PATH_MAX], name[PROCESS_NAME_MAX];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%.30s%s", v->file, ends[i]);
        unlink(rig_path(rig, name, path));
    }
}

static bool is_done(rig_t *rig, victim_t *v)
{
    return !process_running(v->load.client) && status_number(rig, v->clients, STATUS_BACKLOG) == 0;
}

static void start_faulty(torture_t *t, victim_t *v, uint64_t n)
{
    unsigned before = v->load.requested;

    if (t->fresh)
        remove_files(t->rig, v);
    v->told = process_log_count(v->program, v->file);
    v->stopped = false;
    atomic_store(&v->shim->seed, random_next(&t->seed));
    shim_fail(v->shim, t->fault->calls, n, t->fault->times, t->fault->how);
    process_start(v->program);
    if (t->with_messages)
        WAIT((load_tick(&v->load), v->load.requested > before));
}

/* Until it has ended, or has done all that there was. */
static void end_faulty(torture_t *t, victim_t *v)
{
    WAIT(!process_running(v->program) ||
         (t->with_messages ? is_done(t->rig, v) : process_is_announced(v->program)));
    v->stopped = process_running(v->program);
    if (v->stopped)
        process_stop(v->program);
}

/* How it ended, and that it told why: a line that names its file. Whether there was a fault. */
static bool judge_end(torture_t *t, const victim_t *v)
{
    int code = process_code(v->program);
    bool fired = atomic_load(&v->shim->fired) > 0;

    if (fired && t->fault->how == SHIM_CUT) {
        assert_int_equal(code, KILLED);
    } else if ((fired && t->fault->ends) || code != 0) {
        if (!fired || code != 1)
            fail_msg("%s at call %llu: %s ended with %d%s", t->fault->name,
                     (unsigned long long)atomic_load(&v->shim->from), v->program->name, code,
                     v->stopped ? " when told to" : "");
        assert_true(process_log_count(v->program, v->file) > v->told);
    }
    shim_mend(v->shim);
    t->fired += fired;
    return fired;
}

/* --- all of them --- */

/* Calls n, n + stride, ... and then all victims once more over a disk that works, where they finish what was
 * left. False when one came through without its fault. */
static bool torture_batch(torture_t *t, uint64_t n)
{
    bool all_fired = true;

    for (unsigned i = 0; i < t->count; i++)
        start_faulty(t, &t->victims[i], n + (uint64_t)i * stride);
    for (unsigned i = 0; i < t->count; i++)
        end_faulty(t, &t->victims[i]);
    for (unsigned i = 0; i < t->count; i++)
        all_fired = judge_end(t, &t->victims[i]) && all_fired;
    int64_t start_ms = test_now_ms();
    for (unsigned i = 0; i < t->count; i++)
        process_start(t->victims[i].program);
    for (unsigned i = 0; i < t->count; i++) {
        victim_t *v = &t->victims[i];

        WAIT(process_is_announced(v->program) && is_done(t->rig, v));
        figures_recovered(&t->figures, test_now_ms() - start_ms);
        t->figures.cycles++;
    }
    for (unsigned i = 0; i < t->count; i++)
        assert_int_equal(process_stop(t->victims[i].program), 0);
    return all_fired;
}

static void torture(torture_t *t, bool fresh, bool with_messages)
{
    uint64_t n = 1;

    t->fresh = fresh;
    t->with_messages = with_messages;
    t->fired = 0;
    while (torture_batch(t, n)) {
        n += (uint64_t)t->count * stride;
        assert_true(n < CALLS_MAX);
    }
    /* The calls do come by the shim. */
    assert_true(t->fired > 0);
}

static void add_victim(torture_t *t, process_t *program, const char *kind, unsigned n)
{
    victim_t *v = &t->victims[t->count];
    char load[PROCESS_NAME_MAX];

    *v = (victim_t){.program = program, .shim = shim_for(t->rig, program)};
    snprintf(v->file, sizeof v->file, "%s-%u.db", kind, n);
    snprintf(v->clients, sizeof v->clients, "clients-%u", n);
    snprintf(v->shim->file, sizeof v->shim->file, "/%s-%u.db", kind, n);
    snprintf(load, sizeof load, "load-%u", n);
    load_init(&v->load, t->rig, load, n, BATCH);
    assert_int_equal(process_stop(program), 0);
    t->count++;
}

static void assert_sound(const rig_t *rig, const char *file)
{
    char path[TEST_PATH_MAX], text[64];

    assert_true(saved_text(rig_path(rig, file, path), "PRAGMA integrity_check", NULL, text, sizeof text));
    assert_string_equal(text, "ok");
}

static void torture_end(torture_t *t)
{
    char row[128], journal[TEST_PATH_MAX], requests[TEST_PATH_MAX];
    figures_t *f = &t->figures;

    rig_path(t->rig, "journal", journal);
    rig_path(t->rig, "requests", requests);
    for (unsigned i = 0; i < t->count; i++) {
        load_finish(&t->victims[i].load);
        load_merge(&t->victims[i].load, 1, journal, requests);
        f->messages += t->victims[i].load.requested;
        assert_sound(t->rig, t->victims[i].file);
    }
    checked_t c = check_saved(t->rig, 0, journal, requests);
    figures_judged(f, &c);
    snprintf(row, sizeof row, "%s, %s", t->fault->name, t->count > 1 ? "publisher" : "save worker");
    figures_row(row, f);
    assert_judged(&c);
    rig_passed(t->rig);
}

static void torture_publishers(rig_t *rig, const fault_t *fault)
{
    process_t *programs[PIPELINE_PROGRAMS];
    torture_t *t = rig_alloc(rig, sizeof *t);

    *t = (torture_t){.rig = rig, .fault = fault, .seed = frames_seed()};
    for (unsigned i = 0; i < VICTIMS_MAX; i++)
        add_victim(t, start_sturdy_publisher(rig, i, LEASE_MS), "outbox", i);
    start_sturdy_consumer(rig, 0, VICTIMS_MAX, LEASE_MS);
    start_sturdy_workers(rig, programs, 1);
    for (unsigned i = 0; i < rounds; i++) {
        torture(t, true, true);
        torture(t, false, true);
    }
    torture_end(t);
}

/* Its file is made first: what it has saved there has to stay. */
static void torture_save_worker(rig_t *rig, const fault_t *fault)
{
    process_t *programs[PIPELINE_PROGRAMS];
    torture_t *t = rig_alloc(rig, sizeof *t);

    *t = (torture_t){.rig = rig, .fault = fault, .seed = frames_seed()};
    start_sturdy(rig, programs, LEASE_MS, 1);
    add_victim(t, programs[PART_SAVE], "saved", 0);
    for (unsigned i = 0; i < rounds; i++)
        torture(t, true, false);
    for (unsigned i = 0; i < rounds; i++)
        torture(t, false, true);
    torture_end(t);
}

#define TORTURE(name, fault)                                                                                 \
    static void test_publisher_##name(void **state)                                                          \
    {                                                                                                        \
        torture_publishers(*state, &(fault));                                                                \
    }                                                                                                        \
    static void test_save_worker_##name(void **state)                                                        \
    {                                                                                                        \
        torture_save_worker(*state, &(fault));                                                               \
    }

TORTURE(fsync_fails, SYNC_FAILS)
TORTURE(write_fails, WRITE_FAILS)
TORTURE(disk_dies, DISK_DIES)
TORTURE(short_writes, SHORT)
TORTURE(no_room, NO_ROOM)
TORTURE(power_cut, POWER)

#define TORTURES(name) RIG_TEST(test_publisher_##name, "ipc"), RIG_TEST(test_save_worker_##name, "ipc")

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TORTURES(fsync_fails),  TORTURES(write_fails), TORTURES(disk_dies),
        TORTURES(short_writes), TORTURES(no_room),     TORTURES(power_cut),
    };

    if (argc > 1 && strcmp(argv[1], "ci") == 0)
        stride = 2;
    if (argc > 1 && strcmp(argv[1], "long") == 0) {
        stride = 1;
        rounds = 10;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

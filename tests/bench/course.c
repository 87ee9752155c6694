#include "tests/bench/course.h"

#include "tests/support/pipeline.h"
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_MS = 50,
    ASKED_MAX = 30,
    /* Without an ack for so long it stands still. */
    STALL_MS = 60000,
    FILL_MS = 1200000,
};

typedef struct {
    const course_t *course;
    rig_t *rig;
    process_t *programs[COURSE_PROGRAMS_MAX];
    course_role_t roles[COURSE_PROGRAMS_MAX];
    unsigned count;
} running_t;

/* One look at all of it. */
typedef struct {
    int64_t at_us;
    int64_t published, acked, backlog, dead, redelivered;
    int64_t cpu_us[COURSE_ROLES];
} look_t;

static void add(running_t *r, course_role_t role, process_t *p)
{
    assert_true(r->count < COURSE_PROGRAMS_MAX);
    r->roles[r->count] = role;
    r->programs[r->count++] = p;
}

static char *number(char text[static 32], uint64_t value)
{
    snprintf(text, 32, "%" PRIu64, value);
    return text;
}

static void start_publishers(running_t *r)
{
    const course_t *c = r->course;
    char size[32], rate[32];

    for (unsigned i = 0; i < c->publishers; i++) {
        const char *args[16];
        unsigned n = 0;
        args[n++] = "--load";
        args[n++] = "forever";
        args[n++] = "--await-consumer";
        args[n++] = "--size";
        args[n++] = number(size, c->size_bytes);
        args[n++] = "--no-progress";
        if (c->rate > 0) {
            args[n++] = "--rate";
            args[n++] = number(rate, (uint64_t)c->rate);
        }
        if (c->outbox != NULL) {
            args[n++] = "--outbox";
            args[n++] = c->outbox;
        }
        args[n] = NULL;
        add(r, ROLE_OF_PUBLISHER, start_publisher(r->rig, i, args));
    }
}

/* The test peer plays the restart workers, of the first consumer. */
static void start_crowd(running_t *r)
{
    char sessions[32], announce[TEST_PATH_MAX], value[TEST_PATH_MAX];

    process_t *p =
        SPAWN(r->rig, "crowd", "bench_crowd", "--consumer", rig_endpoint(r->rig, "tasks-0"), "--sessions",
              number(sessions, r->course->crowd), "--announce", rig_path(r->rig, "crowd.announce", announce));
    process_announced(p, "ready", value);
}

static void start_workers(running_t *r)
{
    const course_t *c = r->course;
    const char *simulate = c->simulate != NULL ? c->simulate : "0..0";
    char slots[32], batch[32];

    add(r, ROLE_OF_SAVE,
        start_save(r->rig, 0, c->consumers,
                   c->save_batch > 0 ? ARGS("--batch", number(batch, c->save_batch)) : NO_ARGS));
    if (c->crowd > 0)
        start_crowd(r);
    for (unsigned i = 0; i < c->restarts; i++)
        add(r, ROLE_OF_RESTART,
            c->slots > 0 ? start_restart(
                               r->rig, i, c->consumers,
                               ARGS("--simulate", simulate, "--slots", number(slots, c->slots / c->restarts)))
                         : start_restart(r->rig, i, c->consumers, ARGS("--simulate", simulate)));
}

/* A publisher whose disk is busy with other things may take seconds for a commit. */
static json_t *ask(running_t *r, unsigned publisher)
{
    char name[PROCESS_NAME_MAX];
    json_t *status = NULL;

    snprintf(name, sizeof name, "clients-%u", publisher);
    for (unsigned i = 0; status == NULL && i < ASKED_MAX; i++)
        status = status_query(r->rig, name);
    if (status == NULL)
        fail_msg("publisher %u does not answer", publisher);
    return status;
}

static void look(running_t *r, look_t *ret)
{
    look_t l = {0};

    for (unsigned i = 0; i < r->course->publishers; i++) {
        json_t *status = ask(r, i);
        l.published += json_number(status, "published");
        l.acked += json_number(status, "acked");
        l.backlog += json_number(status, "backlog");
        l.dead += json_number(status, "dead");
        l.redelivered += json_number(status, "redelivered");
        json_decref(status);
    }
    l.at_us = measure_now_us();
    for (unsigned i = 0; i < r->count; i++)
        l.cpu_us[r->roles[i]] += measure_cpu_us(r->programs[i]);
    *ret = l;
}

/* Looks until so many are acked, and keeps the extremes of the backlog from `from` on. */
static void look_until(running_t *r, int64_t acked, look_t *ret, course_result_t *seen)
{
    int64_t moved_us = measure_now_us(), last = -1;

    for (;;) {
        look(r, ret);
        if (seen != NULL && ret->backlog < seen->backlog_min)
            seen->backlog_min = ret->backlog;
        if (seen != NULL && ret->backlog > seen->backlog_max)
            seen->backlog_max = ret->backlog;
        if (ret->acked >= acked)
            return;
        if (ret->acked != last)
            moved_us = ret->at_us;
        last = ret->acked;
        if (ret->at_us - moved_us > INT64_C(1000) * STALL_MS)
            fail_msg("nothing was acked for %d s", STALL_MS / 1000);
        poll(NULL, 0, LOOK_MS);
    }
}

static void evaluate(const running_t *r, const look_t *from, const look_t *to, course_result_t *ret)
{
    const double seconds = (double)(to->at_us - from->at_us) / 1e6;
    const double acked = (double)(to->acked - from->acked);

    ret->rate = acked / seconds;
    ret->published = (double)(to->published - from->published) / seconds;
    for (unsigned role = 0; role < COURSE_ROLES; role++)
        ret->cpu_us[role] = (double)(to->cpu_us[role] - from->cpu_us[role]) / acked;
    for (unsigned i = 0; i < r->count; i++) {
        const double peak_mb = measure_rss_mb(r->programs[i], true);
        if (peak_mb > ret->peak_mb[r->roles[i]])
            ret->peak_mb[r->roles[i]] = peak_mb;
        ret->now_mb[r->roles[i]] += measure_rss_mb(r->programs[i], false);
    }
}

void course_run(const course_t *c, course_result_t *ret)
{
    running_t r = {.course = c, .rig = measure_begin("ipc")};
    look_t from, to;

    *ret = (course_result_t){.backlog_min = INT64_MAX};
    start_publishers(&r);
    for (unsigned i = 0; i < c->consumers; i++)
        add(&r, ROLE_OF_CONSUMER, start_consumer(r.rig, i, c->publishers, NO_ARGS));
    start_workers(&r);
    look_until(&r, (int64_t)c->warm_up, &from, NULL);
    look_until(&r, from.acked + (int64_t)c->count, &to, ret);
    evaluate(&r, &from, &to, ret);
    if (to.dead > 0 || to.redelivered > 0)
        fail_msg("%" PRId64 " messages died, %" PRId64 " were delivered again", to.dead, to.redelivered);
    /* What is out is settled, and the next start finds an outbox of which nothing may be out. */
    if (c->outbox != NULL)
        assert_int_equal(process_stop(r.programs[0]), 0);
    measure_end(r.rig);
}

/* What is in an outbox that no program has open. */
static uint64_t rows_in(rig_t *rig, const char *outbox)
{
    process_t *p = start_publisher(rig, 0, ARGS("--outbox", outbox));
    const int64_t backlog = status_number(rig, "clients-0", STATUS_BACKLOG);

    assert_true(backlog >= 0);
    assert_int_equal(process_stop(p), 0);
    return (uint64_t)backlog;
}

void course_fill(const char *outbox, uint64_t count, unsigned size_bytes)
{
    rig_t *rig = measure_begin("ipc");
    const uint64_t before = rows_in(rig, outbox);
    char load[32], size[32];

    if (before < count) {
        /* With a rate: a load without one makes only what memory has room for. */
        process_t *p =
            start_publisher(rig, 1,
                            ARGS("--outbox", outbox, "--stay", "--no-progress", "--rate", "1000000000",
                                 "--load", number(load, count - before), "--size", number(size, size_bytes)));
        WAIT_FOR(status_number(rig, "clients-1", STATUS_BACKLOG) >= (int64_t)count, FILL_MS);
        assert_int_equal(process_stop(p), 0);
    }
    measure_end(rig);
}

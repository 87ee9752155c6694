/* Section of tests/bench/growth.c: leases that a consumer holds and never extends. */
#include "tests/bench/course.h"
#include "tests/bench/growth.h"
#include "tests/bench/taker.h"
#include "tests/support/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SESSIONS = 16, /* a million, 65,536 each at most */
    SECOND_US = 1000000,
    MARGIN_US =
        2 * SECOND_US, /* the stretch that counts as idle begins so much later and ends so much earlier */
    LATE_US_MAX = 50000,
    PATIENCE_US =
        600 * SECOND_US, /* a publisher that stands still now and then lets nothing run out for 3 s */
    BYTES = 100,
    TAKE_TICK_MS = 5,
    IDLE_TICK_MS = 100,
};

typedef struct {
    uint64_t count;
    int64_t deadline_us, take_us;
    int64_t start_us; /* of the taking; 0: it has not begun */
    uint64_t taken, expired, late, early;
    int64_t *first_us; /* by seq: when it was given first */
    int32_t *late_us;  /* in the order of the redeliveries */
    unsigned turn;     /* of the sessions */
} leases_t;

static void on_given(void *arg, const delivery_record_t *d, int64_t now_us)
{
    leases_t *l = arg;

    if (d->id.seq > l->count)
        fail_msg("message %" PRIu64 " of %" PRIu64, d->id.seq, l->count);
    int64_t *first_us = &l->first_us[d->id.seq - 1];
    if (*first_us == 0) {
        *first_us = now_us;
        l->taken++;
    } else if (d->deliveries == 1) {
        const int64_t late_us = now_us - (*first_us + l->deadline_us);
        l->late += late_us > LATE_US_MAX;
        l->early += late_us < -LATE_US_MAX;
        l->late_us[l->expired++] = (int32_t)late_us;
    }
}

/* Opens the windows at an even pace, one session after the other: so the deadlines are as even. */
static int64_t on_tick(void *arg, taker_t *t, int64_t now_us)
{
    leases_t *l = arg;
    int64_t passed_us = now_us - l->start_us;

    if (l->start_us == 0 || l->taken == l->count)
        return IDLE_TICK_MS;
    if (passed_us > l->take_us)
        passed_us = l->take_us;
    const uint64_t wanted = (uint64_t)((double)l->count * (double)passed_us / (double)l->take_us);
    taker_window(t, l->turn, (uint32_t)((wanted + SESSIONS - 1 - l->turn) / SESSIONS));
    l->turn = (l->turn + 1) % SESSIONS;
    return TAKE_TICK_MS;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static bool all_taken(void *arg)
{
    const leases_t *l = arg;

    return l->taken == l->count;
}

static bool all_expired(void *arg)
{
    const leases_t *l = arg;

    return l->expired == l->count;
}

static int compare(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

static double late_ms(const leases_t *l, double part)
{
    return (double)l->late_us[(uint64_t)((double)(l->expired - 1) * part)] / 1000;
}

static process_t *start(rig_t *rig, const growth_t *g)
{
    char outbox[TEST_PATH_MAX], deadline[32], window[32];

    rig_path(rig, "leases.db", outbox);
    course_fill(outbox, g->leases, BYTES);
    snprintf(deadline, sizeof deadline, "%us", g->ack_deadline_s);
    snprintf(window, sizeof window, "%" PRIu64, g->leases + g->leases / 8 + 32768);
    return start_publisher(
        rig, 0,
        ARGS("--outbox", outbox, "--ack-deadline", deadline, "--window-max", window, "--no-progress"));
}

/* CPU of the program, in percent of one, while the taker goes on until then. */
static double cpu_percent(const process_t *p, taker_t *t, bool (*done)(void *arg), int64_t until_us,
                          bool *ret_done)
{
    const int64_t from_us = measure_now_us(), cpu_us = measure_cpu_us(p);

    *ret_done = taker_until(t, done, until_us);
    return 100.0 * (double)(measure_cpu_us(p) - cpu_us) / (double)(measure_now_us() - from_us);
}

void growth_leases(const growth_t *g)
{
    leases_t l = {.count = g->leases,
                  .deadline_us = (int64_t)g->ack_deadline_s * SECOND_US,
                  .take_us = (int64_t)g->take_s * SECOND_US};
    rig_t *rig = measure_begin("ipc");
    taker_t *taker;
    bool done;

    l.first_us = calloc(l.count, sizeof *l.first_us);
    l.late_us = calloc(l.count, sizeof *l.late_us);
    assert_true(l.first_us != NULL && l.late_us != NULL);
    process_t *publisher = start(rig, g);
    taker_open(&taker, rig_endpoint(rig, "leases-0"), SESSIONS, 0,
               &(taker_events_t){.arg = &l, .given = on_given, .tick = on_tick});
    while (taker_up(taker) < SESSIONS)
        taker_until(taker, never, measure_now_us() + SECOND_US / 10);
    l.start_us = measure_now_us();
    if (!taker_until(taker, all_taken, l.start_us + l.take_us + PATIENCE_US))
        fail_msg("%" PRIu64 " of %" PRIu64 " messages were given", l.taken, l.count);
    fprintf(stderr, "Leases: all %" PRIu64 " are out after %.1f s\n", l.count,
            (double)(measure_now_us() - l.start_us) / SECOND_US);
    taker_until(taker, never, measure_now_us() + MARGIN_US);
    const int64_t first_end_us = l.start_us + l.deadline_us;
    const double idle = cpu_percent(publisher, taker, never, first_end_us - MARGIN_US, &done);
    taker_until(taker, never, first_end_us);
    const double busy =
        cpu_percent(publisher, taker, all_expired, first_end_us + l.take_us + PATIENCE_US, &done);
    const double peak_mb = measure_rss_mb(publisher, true);
    if (!done)
        fail_msg("%" PRIu64 " of %" PRIu64 " leases ran out", l.expired, l.count);

    qsort(l.late_us, l.expired, sizeof *l.late_us, compare);
    printf("\n### Leases\n\nHeld by a test peer over %d sessions, taken at an even pace in %u s, ack "
           "deadline %u s, never "
           "extended. How late: from the deadline until the peer has it again.\n\n",
           SESSIONS, g->take_s, g->ack_deadline_s);
    printf("| leases | publisher CPU while idle | while they run out | publisher peak RSS MB | late ms: "
           "first, p50, "
           "p99, p99.9, last | by more than 50 ms |\n|---|---|---|---|---|---|\n");
    printf("| %" PRIu64 " | %.2f %% | %.1f %% | %.1f | %.1f, %.1f, %.1f, %.1f, %.1f | %" PRIu64 " |\n\n",
           l.count, idle, busy, peak_mb, late_ms(&l, 0), late_ms(&l, 0.5), late_ms(&l, 0.99),
           late_ms(&l, 0.999), late_ms(&l, 1), l.late + l.early);
    growth_goal("less than 5 % of a processor while idle", idle < 5);
    growth_goal("each lease runs out within 50 ms of its time", l.late + l.early == 0);
    taker_close(&taker);
    free(l.first_us);
    free(l.late_us);
    process_kill(publisher);
    measure_end(rig);
}

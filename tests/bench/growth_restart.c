/* Section of tests/bench/growth.c: a publisher that was killed and starts again over a long backlog. */
#include "common/core/delivery.h"
#include "tests/bench/course.h"
#include "tests/bench/growth.h"
#include "tests/bench/taker.h"
#include "tests/support/pipeline.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    BACKLOG = 1000000,
    PUBLISHED = 100000,
    BYTES = 100,
    WINDOW = 65536,
    SECOND_US = 1000000,
    WAIT_US = 60 * SECOND_US
};

/* What it did when it was killed. */
typedef enum { STATE_IDLE, STATE_PUBLISHING, STATE_OUT, STATES } state_t;

static const char *const state_names[STATES] = {
    "idle, nothing out",
    "publishing at full speed, nothing out",
    "65,536 messages out",
};

typedef struct {
    uint64_t after_epoch; /* deliveries of later starts count */
    uint64_t given;
    uint64_t wanted;
} seen_t;

static void on_given(void *arg, const delivery_record_t *d, int64_t now_us)
{
    seen_t *s = arg;

    (void)now_us;
    s->given += (d->token >> EPOCH_SHIFT) > s->after_epoch;
}

static bool is_given(void *arg)
{
    const seen_t *s = arg;

    return s->given >= s->wanted;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static process_t *start(rig_t *rig, state_t state, const char *outbox)
{
    if (state == STATE_PUBLISHING)
        return start_publisher(rig, 0,
                               ARGS("--outbox", outbox, "--load", "forever", "--rate", "1000000000", "--size",
                                    "100", "--no-progress"));
    return start_publisher(rig, 0, ARGS("--outbox", outbox, "--no-progress"));
}

/* Brings the publisher into the state in which it is killed. */
static void prepare(rig_t *rig, state_t state, taker_t *taker, seen_t *seen)
{
    while (taker_up(taker) == 0)
        taker_until(taker, never, measure_now_us() + SECOND_US / 100);
    while (state == STATE_PUBLISHING && status_number(rig, "clients-0", STATUS_BACKLOG) < BACKLOG + PUBLISHED)
        taker_until(taker, never, measure_now_us() + SECOND_US / 100);
    if (state == STATE_OUT) {
        seen->wanted = WINDOW;
        taker_window(taker, 0, WINDOW);
        if (!taker_until(taker, is_given, measure_now_us() + WAIT_US))
            fail_msg("%" PRIu64 " messages were given", seen->given);
    }
    seen->after_epoch = (uint64_t)status_number(rig, "clients-0", "epoch");
    seen->given = 0;
    seen->wanted = 1;
}

/* Seconds from the kill to the first delivery. */
static double restart(rig_t *rig, state_t state, const char *outbox)
{
    seen_t seen = {0};
    taker_t *taker;

    process_t *publisher = start(rig, state, outbox);
    taker_open(&taker, rig_endpoint(rig, "leases-0"), 1, 0,
               &(taker_events_t){.arg = &seen, .given = on_given});
    prepare(rig, state, taker, &seen);
    const int64_t from_us = measure_now_us();
    process_kill(publisher);
    taker_window(taker, 0, WINDOW);
    process_start(publisher);
    if (!taker_until(taker, is_given, from_us + WAIT_US))
        fail_msg("nothing was given within %d s of the restart", WAIT_US / SECOND_US);
    const double seconds = (double)(measure_now_us() - from_us) / SECOND_US;
    taker_close(&taker);
    process_kill(publisher);
    return seconds;
}

void growth_restart(const growth_t *g)
{
    rig_t *store = measure_begin("ipc");
    figure_t figures[STATES] = {0};
    char master[TEST_PATH_MAX], outbox[TEST_PATH_MAX], text[96];
    double longest = 0;

    rig_path(store, "master.db", master);
    rig_path(store, "outbox.db", outbox);
    course_fill(master, BACKLOG, BYTES);
    for (unsigned n = 0; n < g->runs; n++)
        for (state_t state = STATE_IDLE; state < STATES; state++) {
            rig_t *rig = measure_begin("ipc");
            char wal[TEST_PATH_MAX];
            remove(rig_path(store, "outbox.db-wal", wal));
            assert_int_equal(RUN(rig, "cp", "/bin/cp", master, outbox), 0);
            figure_add(&figures[state], restart(rig, state, outbox));
            measure_end(rig);
        }
    printf("\n### Restart\n\nA backlog of %d messages, kill -9, started again at once, until a test peer "
           "that was "
           "connected before reads the first DELIVER; %u times each, min / median / max.\n\n",
           BACKLOG, g->runs);
    printf("| when it was killed | seconds |\n|---|---|\n");
    for (state_t state = STATE_IDLE; state < STATES; state++) {
        printf("| %s | %s |\n", state_names[state], figure_text(&figures[state], 3, text));
        if (figure_at(&figures[state], 100) > longest)
            longest = figure_at(&figures[state], 100);
    }
    printf("\n");
    growth_goal("the first delivery within 1 s", longest <= 1);
    measure_end(store);
}

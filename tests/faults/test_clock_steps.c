/* The wall clock is set, by an hour, a day, back to 1970, under load and while the publisher is away: nothing
 * expires, nothing waits for longer than was said, nothing is lost. */
#include "tests/support/fake.h"
#include "tests/support/shim.h"
#include "tests/support/trial.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS,
    LEASE_MS = 10000,
    CONFIRMS = 40,
    SAVE = 1,
    DELAY_MS = 1500,
    LIMBO_MS = 1000,
    SLACK_MS = 20000,
    DELAYED = 300,
    LONG_DELAY_MS = 10000,
};

static int64_t to_1970(void)
{
    return -(int64_t)time(NULL) * 1000;
}

static const char *const NAMES[] = {"an hour on", "an hour back", "a day on", "a day back", "1970"};

static int64_t step_ms(size_t i)
{
    const int64_t steps[] = {HOUR_MS, -HOUR_MS, DAY_MS, -DAY_MS, to_1970()};

    return steps[i];
}
enum { STEPS = sizeof NAMES / sizeof *NAMES };

/* Every clock in turn takes every step and comes back, while messages go through. */
static void test_steps_under_load(void **state)
{
    trial_t t;
    shim_control_t *shims[PIPELINE_PROGRAMS];

    trial_start(&t, *state, LEASE_MS);
    for (int i = 0; i < PIPELINE_PROGRAMS; i++)
        assert_int_equal(process_stop(t.programs[i]), 0);
    for (int i = 0; i < PIPELINE_PROGRAMS; i++) {
        shims[i] = shim_for(t.rig, t.programs[i]);
        process_start(t.programs[i]);
    }
    trial_publish(&t, CONFIRMS);
    for (size_t step = 0; step < STEPS; step++)
        for (int i = 0; i < PIPELINE_PROGRAMS; i++) {
            int64_t before = status_number(t.rig, "clients-0", "acked");

            atomic_store(&shims[i]->wall_ms, step_ms(step));
            trial_publish(&t, CONFIRMS);
            TRIAL_WAIT(&t, status_number(t.rig, "clients-0", "acked") >= before + CONFIRMS);
            atomic_store(&shims[i]->wall_ms, 0);
            trial_publish(&t, 1);
            t.figures.cycles += 2;
        }
    /* No lease ran out: each message was delivered once. */
    assert_int_equal(status_number(t.rig, "clients-0", STATUS_REDELIVERED), 0);
    trial_end(&t, "wall clock of each role set");
}

/* A message that was given back for a while, and a publisher that comes back in another time: it waits for
 * what is left of the delay, at most for the whole of it, from when it is looked at: an ack deadline after
 * the start. */
static void test_a_delay_over_a_restart(void **state)
{
    rig_t *rig = *state;
    delivery_record_t d;
    fake_t consumer;
    figures_t *f = rig_alloc(rig, sizeof *f);

    memset(f, 0, sizeof *f);
    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "1s", "--legs", "save"));
    shim_control_t *shim = shim_for(rig, publisher);
    assert_int_equal(process_stop(publisher), 0);
    process_start(publisher);
    publish_hosts(rig, 0, "late", 1);
    fake_consumer(&consumer, rig, rig_endpoint(rig, "leases-0"), 1);
    fake_take(&consumer, &d, 1);
    for (size_t step = 0; step < STEPS; step++) {
        assert_int_equal(fake_step(&consumer, &d, 0, 0, OP_RELEASE, DELAY_MS), STEP_RETURNED);
        process_kill(publisher);
        atomic_store(&shim->wall_ms, step_ms(step));
        int64_t start_ms = test_now_ms();
        process_start(publisher);
        fake_take(&consumer, &d, 1);
        int64_t waited_ms = test_now_ms() - start_ms;
        figures_recovered(f, waited_ms);
        f->cycles++;
        /* Set on, the clock says that it has waited long enough. */
        if (step_ms(step) < 0)
            assert_true(waited_ms >= DELAY_MS);
        if (waited_ms >= LIMBO_MS + DELAY_MS + SLACK_MS)
            fail_msg("%s: it waited for %d ms", NAMES[step], (int)waited_ms);
        assert_int_equal(d.deliveries, 0);
        atomic_store(&shim->wall_ms, 0);
    }
    assert_int_equal(fake_step(&consumer, &d, SAVE, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    f->messages = f->confirmed = 1;
    figures_row("a delay of 1.5 s over a restart in another time", f);
    rig_passed(rig);
}

/* More delays than memory has room for: the others wait on disk, by their wall times, and when those are out
 * of reach they come early, never late. */
static void test_many_delays_over_a_restart(void **state)
{
    rig_t *rig = *state;
    delivery_record_t d;
    fake_t consumer;
    figures_t *f = rig_alloc(rig, sizeof *f);
    process_t *publisher = start_publisher(
        rig, 0, ARGS("--ack-deadline", "1s", "--legs", "save", "--window-max", "256", "--ready-max", "64"));
    shim_control_t *shim = shim_for(rig, publisher);

    memset(f, 0, sizeof *f);
    assert_int_equal(process_stop(publisher), 0);
    process_start(publisher);
    publish_hosts(rig, 0, "late", DELAYED);
    fake_consumer(&consumer, rig, rig_endpoint(rig, "leases-0"), 1);
    for (unsigned i = 0; i < DELAYED; i++) {
        fake_take(&consumer, &d, 1);
        assert_int_equal(fake_step(&consumer, &d, 0, 0, OP_RELEASE, LONG_DELAY_MS), STEP_RETURNED);
    }
    process_kill(publisher);
    atomic_store(&shim->wall_ms, -(int64_t)DAY_MS);
    int64_t start_ms = test_now_ms();
    process_start(publisher);
    for (unsigned i = 0; i < DELAYED; i++) {
        fake_take(&consumer, &d, 1);
        assert_int_equal(d.deliveries, 0);
        assert_int_equal(fake_step(&consumer, &d, SAVE, 0, OP_NONE, 0), STEP_DONE);
        figures_recovered(f, test_now_ms() - start_ms);
    }
    assert_true(figures_recovery_ms(f, 100) < LIMBO_MS + LONG_DELAY_MS + SLACK_MS);
    f->cycles = 1;
    f->messages = f->confirmed = DELAYED;
    figures_row("300 delays of 10 s over a restart a day earlier", f);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_steps_under_load, "ipc"),
        RIG_TEST(test_a_delay_over_a_restart, "ipc"),
        RIG_TEST(test_many_delays_over_a_restart, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

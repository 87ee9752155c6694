/* A message that kills whoever touches it: it ends among the dead letters, its neighbours are done, and the
 * pipeline lives on. */
#include "tests/support/fake.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { SAVE = 1, RESTART = 2, NEIGHBOURS = 20, WINDOW = 100, DELIVERIES_MAX = 5 };

static int64_t dead(rig_t *rig)
{
    return status_number(rig, "clients-0", STATUS_DEAD);
}

static int64_t backlog(rig_t *rig)
{
    return status_number(rig, "clients-0", STATUS_BACKLOG);
}

/* The poison in the middle of them. */
static void publish_poison(rig_t *rig, const char *neighbours)
{
    char before[PROCESS_NAME_MAX], after[PROCESS_NAME_MAX];

    snprintf(before, sizeof before, "%s-before", neighbours);
    snprintf(after, sizeof after, "%s-after", neighbours);
    publish_hosts(rig, 0, before, NEIGHBOURS);
    publish_hosts(rig, 0, "poison", 1);
    publish_hosts(rig, 0, after, NEIGHBOURS);
}

static void assert_lives_on(rig_t *rig)
{
    assert_int_equal(dead(rig), 1);
    assert_int_equal(status_number(rig, "clients-0", "acked"), 2 * NEIGHBOURS);
    publish_hosts(rig, 0, "next", NEIGHBOURS);
}

/* The verdict over what was confirmed under the prefixes, all of which is done now. */
static void judge(rig_t *rig, const char *fault, unsigned kills, const char *const *prefixes)
{
    figures_t *f = rig_alloc(rig, sizeof *f);
    char row[128];

    WAIT(backlog(rig) == 0);
    assert_int_equal(status_number(rig, "clients-0", "acked"), 3 * NEIGHBOURS);
    checked_t c = check_published(rig, 0, prefixes);
    memset(f, 0, sizeof *f);
    f->cycles = kills;
    f->messages = c.confirmed;
    figures_judged(f, &c);
    snprintf(row, sizeof row, "%s, %s", fault, rig->transport);
    figures_row(row, f);
    assert_judged(&c);
    rig_passed(rig);
}

/* It kills the worker; somebody starts it again each time. */
static void test_poison_for_a_worker(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, ARGS("--legs", "save,odd"));
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, ARGS("--log-messages"));
    publish_poison(rig, "slow");
    process_t *odd = SPAWN(rig, "odd", "mandrill-worker-odd", "--kind", "odd-loop", "--consumer",
                           rig_way_to(rig, "tasks-0"));
    int64_t until_ms = test_now_ms() + WAIT_MS;
    while (dead(rig) < 1 || backlog(rig) > 0) {
        if (!process_running(odd)) {
            assert_int_equal(process_code(odd), 128 + SIGABRT);
            process_start(odd);
        }
        assert_true(test_now_ms() < until_ms);
        test_pause();
    }
    assert_true(odd->starts > 1);
    assert_lives_on(rig);
    /* Its leg that is no poison is done. */
    judge(rig, "a poison that kills its worker", odd->starts - 1,
          ARGS("slow-before", "poison", "slow-after", "next"));
    assert_int_equal(saved(rig, 0), 3 * NEIGHBOURS + 1);
}

/* A consumer that dies of it with all that it holds, and until then settles what it is given. */
static unsigned die_of_it(rig_t *rig, uint64_t poison_seq)
{
    fake_t f;
    delivery_record_t d;
    unsigned settled = 0;

    fake_consumer(&f, rig, rig_endpoint(rig, "leases-0"), WINDOW);
    for (;;) {
        bool poisoned = false;

        /* Nothing else may come for as long as leases run. */
        while (!fake_given(&f, 100))
            if (dead(rig) == 1 && backlog(rig) == 0) {
                fake_close(&f);
                return settled;
            }
        for (size_t i = 0; i < f.deliveries_count; i++)
            poisoned = poisoned || f.room->deliveries[i].id.seq == poison_seq;
        if (poisoned)
            break;
        fake_take(&f, &d, 1);
        if (fake_step(&f, &d, SAVE | RESTART, 0, OP_NONE, 0) == STEP_DONE)
            settled++;
    }
    fake_close(&f);
    return settled;
}

static void test_poison_for_a_consumer(void **state)
{
    rig_t *rig = *state;
    unsigned settled = 0, deaths = 0;
    int64_t until_ms = test_now_ms() + WAIT_MS;

    start_publisher(rig, 0, ARGS("--ack-deadline", "500ms"));
    publish_poison(rig, "web");
    while (dead(rig) < 1 || backlog(rig) > 0) {
        settled += die_of_it(rig, NEIGHBOURS + 1);
        deaths++;
        assert_true(test_now_ms() < until_ms);
    }
    assert_int_equal(settled, 2 * NEIGHBOURS);
    /* As many as it may lose; the last of them saw the end. */
    assert_in_range(deaths, DELIVERIES_MAX + 1, 4 * DELIVERIES_MAX);
    assert_lives_on(rig);
    /* Of those before nothing is saved: it was a fake that settled them. */
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, ARGS("--log-messages"));
    start_restart(rig, 0, 1, ARGS("--simulate", "0..0", "--log-messages"));
    judge(rig, "a poison that kills its consumer", deaths - 1, ARGS("next"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_poison_for_a_worker),
        RIG_TESTS(test_poison_for_a_consumer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

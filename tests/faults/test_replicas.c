/* A name that stands for several consumers, as a scaled service has it: a replica that is new is found by its
 * name alone and gets its part of the work, one that is taken away is not missed, and one that comes back
 * under another address is a new one. Nobody else is started again. */
#include "tests/support/fleet.h"

#include <string.h>

enum {
    REPLICAS = 2,
    RESTARTS = 3,
    SAMPLE = 600,    /* messages, to see the shares of */
    FOUND_MS = 5000, /* looked up every 3 s, connected to at once */
};

static bool until_forgotten;

/* What each replica has been given, by its STATUS; 0 of one that does not run. */
typedef struct {
    int64_t of[FLEET_MEMBERS_MAX];
} shares_t;

static bool is_there(fleet_t *f, unsigned n)
{
    return process_running(f->consumers[n].process);
}

static shares_t given(fleet_t *f)
{
    shares_t s = {{0}};

    for (unsigned n = 0; n < f->consumers_count; n++)
        if (is_there(f, n))
            s.of[n] = fleet_consumer_number(f, n, "consumed");
    return s;
}

/* Nobody who is there has less than half of an even share. */
static bool is_fair(fleet_t *f, const shares_t *s)
{
    int64_t all = 0, least = INT64_MAX, there = 0;

    for (unsigned n = 0; n < f->consumers_count; n++) {
        if (!is_there(f, n))
            continue;
        there++;
        all += s->of[n];
        least = s->of[n] < least ? s->of[n] : least;
    }
    return least * there * 2 >= all;
}

/* Of the next messages; printed. */
static bool shares_are_fair(fleet_t *f, const char *when)
{
    shares_t before = given(f);
    trial_publish(&f->trial, SAMPLE);
    shares_t after = given(f);

    print_message("shares, %s:", when);
    for (unsigned n = 0; n < f->consumers_count; n++) {
        after.of[n] -= before.of[n];
        if (is_there(f, n))
            print_message(" %d by consumer-%u", (int)after.of[n], n);
    }
    print_message("\n");
    return is_fair(f, &after);
}

/* From now on the name stands for it too: all workers know it, and it is at work, in time. */
static void is_found(fleet_t *f, unsigned n)
{
    fleet_list_consumer(f, n, true);
    int64_t listed_ms = test_now_ms();
    FLEET_WITHIN(f, listed_ms, FOUND_MS, fleet_consumer_number(f, n, "workers.restart.count") == RESTARTS);
    FLEET_WITHIN(f, listed_ms, FOUND_MS, fleet_consumer_number(f, n, "workers.save.count") == 1);
    FLEET_WITHIN(f, listed_ms, FOUND_MS, fleet_consumer_number(f, n, "consumed") > 0);
    f->trial.figures.cycles++;
    figures_recovered(&f->trial.figures, test_now_ms() - listed_ms);
}

static void add_one(fleet_t *f)
{
    unsigned n = fleet_add_consumer(f);

    WAIT(fleet_consumer_number(f, n, "publishers.connected") == 1);
    /* No worker knows of it: shares that leave one out must be found out. */
    assert_false(shares_are_fair(f, "one that no name stands for"));
    is_found(f, n);
    assert_true(shares_are_fair(f, "one more"));
}

static void take_one_away(fleet_t *f, unsigned n)
{
    fleet_list_consumer(f, n, false);
    fleet_scale_down(f, &f->consumers[n]);
    f->trial.figures.cycles++;
    assert_int_equal(report_number(f->consumers[n].process, "retries"), 0);
    assert_int_equal(status_number(f->trial.rig, "clients-0", STATUS_REDELIVERED), 0);
    assert_true(shares_are_fair(f, "one less"));
}

/* Its host is gone without a word, and another takes its place; returns which. */
static unsigned make_one_anew(fleet_t *f, unsigned n)
{
    int64_t consumers = status_number(f->trial.rig, "clients-0", "consumers");

    host_remove(f->consumers[n].host);
    process_kill(f->consumers[n].process);
    f->consumers[n].listed = false;
    unsigned anew = fleet_add_consumer(f);
    is_found(f, anew);
    TRIAL_WAIT(&f->trial, status_number(f->trial.rig, "clients-0", "consumers") == consumers);
    assert_true(shares_are_fair(f, "one made anew"));
    return anew;
}

static void test_replicas_come_and_go(void **state)
{
    fleet_t f;

    fleet_start(&f, *state, REPLICAS, RESTARTS);
    assert_true(shares_are_fair(&f, "at first"));
    add_one(&f);
    take_one_away(&f, 1);
    f.trial.programs[PART_CONSUMER] = f.consumers[make_one_anew(&f, 0)].process;
    for (unsigned n = 0; until_forgotten && n < RESTARTS; n++)
        TRIAL_WAIT(&f.trial, process_log_count(f.restarts[n].process, " is not there any more") == 2);
    fleet_end(&f, "replicas of a consumer that come and go");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_replicas_come_and_go, "tcp"),
    };

    until_forgotten = argc > 1 && strcmp(argv[1], "ci") == 0;
    if (!hosts_allowed())
        return HOSTS_SKIP;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

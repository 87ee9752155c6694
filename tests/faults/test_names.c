/* Names stop resolving while the pipeline runs, or the lookup hangs: sessions go on, no loop stands still,
 * and when the names are back new addresses are found. */
#include "tests/support/shim.h"
#include "tests/support/trial.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { LEASE_MS = 10000, CONFIRMS = 100, PROMPT_MS = 5000 };

/* "tcp://publisher.test:PORT" of an endpoint of the rig, in a buffer of TEST_PATH_MAX. */
static const char *named(rig_t *rig, const char *endpoint_name, const char *host, char *text)
{
    const char *endpoint = rig_endpoint(rig, endpoint_name);

    snprintf(text, TEST_PATH_MAX, "tcp://%s%s", host, strrchr(endpoint, ':'));
    return text;
}

/* All is numbers but where the consumer finds its publisher, and it is the one under the shim. */
static shim_control_t *start_named(trial_t *t, rig_t *rig)
{
    char publisher[TEST_PATH_MAX];

    trial_load(t, rig);
    t->programs[PART_PUBLISHER] = start_sturdy_publisher(rig, 0, LEASE_MS);
    t->programs[PART_CONSUMER] = start_consumer(
        rig, 0, 0,
        ARGS("--publisher", named(rig, "leases-0", "publisher.test", publisher), "--max-tries", "255"));
    shim_control_t *s = shim_for(rig, t->programs[PART_CONSUMER]);
    assert_int_equal(process_stop(t->programs[PART_CONSUMER]), 0);
    atomic_store(&s->lookup, EAI_NONAME);
    process_start(t->programs[PART_CONSUMER]);
    start_sturdy_workers(rig, t->programs, 1);
    return s;
}

static void point_to(shim_control_t *s, const char *first, const char *second)
{
    snprintf(s->addresses[0], sizeof s->addresses[0], "%s", first);
    snprintf(s->addresses[1], sizeof s->addresses[1], "%s", second);
    atomic_store(&s->addresses_count, second[0] != '\0' ? 2 : 1);
    atomic_store(&s->lookup, 0);
}

/* A lookup that begins after this sees it. */
static void names_fail(trial_t *t, shim_control_t *s, int how)
{
    atomic_store(&s->lookup, how);
    uint64_t before = atomic_load(&s->lookups);
    TRIAL_WAIT(t, atomic_load(&s->lookups) > before);
    t->figures.cycles++;
}

/* Messages go all the way through, and whoever asks the consumer is answered within a second. */
static void assert_goes_on(trial_t *t)
{
    int64_t acked = status_number(t->rig, "control-0", "acked");

    assert_true(acked >= 0);
    trial_publish(t, CONFIRMS);
    TRIAL_WAIT(t, status_number(t->rig, "control-0", "acked") >= acked + CONFIRMS);
}

static void test_sessions_outlive_their_names(void **state)
{
    static const int ways[] = {EAI_AGAIN, EAI_NONAME, EAI_FAIL, SHIM_HANG};
    trial_t t;
    shim_control_t *s = start_named(&t, *state);

    /* At the start there was no such name; then there is. */
    TRIAL_WAIT(&t, atomic_load(&s->lookups) > 0);
    int64_t back_ms = test_now_ms();
    point_to(s, "127.0.0.1", "");
    TRIAL_WAIT(&t, status_number(t.rig, "control-0", "acked") > 0);
    figures_recovered(&t.figures, test_now_ms() - back_ms);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        names_fail(&t, s, ways[i]);
        assert_goes_on(&t);
    }
    /* It still hangs. */
    assert_int_equal(status_number(t.rig, "control-0", "publishers.connected"), 1);
    point_to(s, "127.0.0.1", "");
    trial_end(&t, "names that stop resolving, lookups that hang");
}

/* The publisher moves while its name cannot be looked up, and is found when it can. */
static void test_a_new_address_is_found(void **state)
{
    rig_t *rig = *state;
    char listen[TEST_PATH_MAX];
    trial_t t;
    shim_control_t *s = start_named(&t, rig);

    point_to(s, "127.0.0.1", "");
    TRIAL_WAIT(&t, status_number(rig, "control-0", "acked") > 0);
    names_fail(&t, s, SHIM_HANG);
    process_stop(t.programs[PART_PUBLISHER]);
    process_t *moved =
        rig_program(rig, "publisher-moved", "mandrill-publisher",
                    ARGS("--listen", named(rig, "leases-0", "127.0.0.2", listen), "--clients",
                         rig_endpoint(rig, "clients-0"), "--outbox",
                         rig_path(rig, "outbox-0.db", (char[TEST_PATH_MAX]){0}), "--max-deliveries", "1000"));
    process_start(moved);
    t.programs[PART_PUBLISHER] = moved;
    TRIAL_WAIT(&t, status_number(rig, "control-0", "publishers.connected") == 0);
    trial_publish(&t, CONFIRMS);
    assert_int_equal(status_number(rig, "clients-0", "consumers"), 0);
    int64_t back_ms = test_now_ms();
    point_to(s, "127.0.0.1", "127.0.0.2");
    TRIAL_WAIT(&t, status_number(rig, "clients-0", "acked") > 0);
    figures_recovered(&t.figures, test_now_ms() - back_ms);
    trial_end(&t, "a publisher that moved while names were away");
}

/* Clients look again when nobody answers them: a load goes on where its publisher has moved to. */
static void test_clients_follow_their_publisher(void **state)
{
    rig_t *rig = *state;
    char clients[TEST_PATH_MAX], moved_clients[TEST_PATH_MAX];

    process_t *publisher = start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
    process_t *load = rig_program(rig, "load", "mandrill",
                                  ARGS("load", "--json", "--count", "3000", "--rate", "1000", "--clients",
                                       named(rig, "clients-0", "publisher.test", clients)));
    shim_control_t *s = shim_for(rig, load);
    point_to(s, "127.0.0.1", "");
    process_start(load);
    WAIT(saved(rig, 0) > 100);
    assert_int_equal(process_stop(publisher), 0);
    process_t *moved = rig_program(rig, "publisher-moved", "mandrill-publisher",
                                   ARGS("--listen", rig_endpoint(rig, "leases-0"), "--clients",
                                        named(rig, "clients-0", "127.0.0.2", moved_clients), "--outbox",
                                        rig_path(rig, "outbox-0.db", (char[TEST_PATH_MAX]){0})));
    process_start(moved);
    point_to(s, "127.0.0.2", "");
    assert_int_equal(process_wait(load, 2 * WAIT_MS), 0);
    assert_int_equal(report_number(load, "acked"), 3000);
    assert_int_equal(saved(rig, 0), 3000);
    rig_passed(rig);
}

/* Whoever is told to stop does not wait for a lookup. */
static void test_a_lookup_that_hangs_holds_up_no_stop(void **state)
{
    rig_t *rig = *state;
    trial_t t;
    shim_control_t *s = start_named(&t, rig);

    point_to(s, "127.0.0.1", "");
    TRIAL_WAIT(&t, status_number(rig, "control-0", "acked") > 0);
    for (unsigned i = 0; i < TRIAL_LOADS; i++)
        load_finish(&t.loads[i]);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    atomic_store(&s->lookup, SHIM_HANG);
    uint64_t before = atomic_load(&s->lookups);
    WAIT(atomic_load(&s->lookups) > before);
    process_signal(t.programs[PART_CONSUMER], SIGTERM);
    assert_int_equal(process_wait(t.programs[PART_CONSUMER], PROMPT_MS), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_sessions_outlive_their_names, "tcp"),
        RIG_TEST(test_a_new_address_is_found, "tcp"),
        RIG_TEST(test_clients_follow_their_publisher, "tcp"),
        RIG_TEST(test_a_lookup_that_hangs_holds_up_no_stop, "tcp"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

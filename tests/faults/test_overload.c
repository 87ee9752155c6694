/* More comes in than goes out: nobody takes messages for long, or slow workers do. Memory stays bounded,
 * clients are refused at --outbox-max and nothing is dropped, and it goes on by itself. */
#include "tests/support/fake.h"
#include "tests/support/trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SESSION = 4712,
    BATCH = 1000,
    SMALL_BACKLOG = 300000,
    BACKLOG = 1000000,
    /* Between the two backlogs: the bodies alone are 700,000 times some 50 bytes.
     */
    GROWTH_KB_MAX = 16 * 1024,
    LEASE_MS = 2000,
    REFUSALS = 3,
};

/* kB of memory that a program has in use, by /proc. */
static long resident_kb(const process_t *p)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
    char *text = test_read_file(path);
    const char *at = strstr(text, "VmRSS:");
    assert_non_null(at);
    long kb = strtol(at + strlen("VmRSS:"), NULL, 10);
    free(text);
    return kb;
}

static void publish_up_to(fake_t *client, uint64_t *number, unsigned backlog)
{
    confirm_t confirm;

    for (; *number * BATCH <= backlog; ++*number) {
        fake_publish(client, SESSION, *number, "web", BATCH);
        fake_confirm(client, &confirm);
        assert_int_equal(confirm.stored, BATCH);
    }
}

static void test_a_backlog_is_not_in_memory(void **state)
{
    rig_t *rig = *state;
    fake_t client;
    uint64_t number = 1;

    if (TEST_SANITIZED) {
        rig_passed(rig);
        print_message("SKIPPED: a sanitizer keeps what was freed\n");
        skip();
    }
    process_t *publisher = start_publisher(rig, 0, ARGS("--outbox-max", "1G"));

    fake_raw(&client, rig, rig_endpoint(rig, "clients-0"));
    publish_up_to(&client, &number, SMALL_BACKLOG);
    long small_kb = resident_kb(publisher);
    publish_up_to(&client, &number, BACKLOG);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), BACKLOG);
    long large_kb = resident_kb(publisher);
    print_message("publisher: %ld kB at a backlog of %d, %ld kB at %d\n", small_kb, SMALL_BACKLOG, large_kb,
                  BACKLOG);
    assert_true(large_kb - small_kb < GROWTH_KB_MAX);
    /* And after a restart, with all of it to be read. */
    assert_int_equal(process_stop(publisher), 0);
    process_start(publisher);
    WAIT(status_number(rig, "clients-0", "ready") > 0);
    print_message("publisher: %ld kB after a restart\n", resident_kb(publisher));
    assert_true(resident_kb(publisher) - small_kb < GROWTH_KB_MAX);
    rig_passed(rig);
}

/* Clients that go on asking are refused again and again, and confirmed in the end. */
static void test_slow_workers(void **state)
{
    rig_t *rig = *state;
    trial_t *t = rig_alloc(rig, sizeof *t);

    trial_load(t, rig);
    t->programs[PART_PUBLISHER] = start_publisher(
        rig, 0, ARGS("--ack-deadline", "2s", "--max-deliveries", "1000", "--outbox-max", "1M"));
    t->programs[PART_CONSUMER] = start_sturdy_consumer(rig, 0, 1, LEASE_MS);
    t->programs[PART_SAVE] = start_save(rig, 0, 1, ARGS("--log-messages"));
    t->programs[PART_RESTART] =
        start_restart(rig, 0, 1, ARGS("--simulate", "5..10", "--slots", "16", "--log-messages"));
    for (unsigned i = 0; i < TRIAL_LOADS; i++) {
        t->loads[i].batch = BATCH;
        t->loads[i].every_ms = 0;
    }
    for (unsigned i = 0; i < REFUSALS; i++) {
        int64_t refused = status_number(rig, "clients-0", "refused.full");

        TRIAL_WAIT(t, status_number(rig, "clients-0", "refused.full") > refused);
        TRIAL_WAIT(t, status_number(rig, "clients-0", "outbox_full") == 0);
        t->figures.cycles++;
    }
    /* No longer slow: what waits is to be done before the test is over. */
    process_t *more = start_restart(rig, 1, 1, ARGS("--simulate", "0..0", "--log-messages"));
    for (unsigned i = 0; i < TRIAL_LOADS; i++) {
        load_finish(&t->loads[i]);
        assert_int_equal(t->loads[i].failed, 0);
        assert_int_equal(t->loads[i].confirmed, t->loads[i].requested);
    }
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(process_stop(more), 0);
    trial_end(t, "slow workers, clients refused at --outbox-max");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_backlog_is_not_in_memory, "ipc"),
        RIG_TEST(test_slow_workers, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Is the checker's zero worth anything? The same kills, once with the real programs and once with ones that
 * answer before they commit (control_commit.c): those must be found out. */
#include "tests/support/load.h"
#include "tests/support/pipeline.h"

enum { HOSTS = 50 };

/* Every message saved and acked; then the save worker dies. */
static checked_t kill_the_saver(rig_t *rig, const char *program)
{
    load_t load;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    process_t *save = start_save_as(rig, 0, program, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1"));
    load_init(&load, rig, "load", 0, HOSTS);
    load_tick(&load);
    load_finish(&load);
    assert_int_equal(load.confirmed, HOSTS);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    process_kill(save);
    return check_saved(rig, 0, load.journal, load.requests);
}

/* Every message confirmed; then the publisher dies, and a real one carries on with what is there. */
static checked_t kill_the_publisher(rig_t *rig, const char *program)
{
    load_t load;
    char outbox[TEST_PATH_MAX];
    process_t *publisher = start_publisher_as(rig, 0, program, NO_ARGS);

    load_init(&load, rig, "load", 0, HOSTS);
    load_tick(&load);
    load_finish(&load);
    assert_int_equal(load.confirmed, HOSTS);
    process_kill(publisher);
    SPAWN(rig, "publisher-back", "mandrill-publisher", "--listen", rig_endpoint(rig, "leases-0"), "--clients",
          rig_endpoint(rig, "clients-0"), "--outbox", rig_path(rig, "outbox-0.db", outbox));
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    return check_saved(rig, 0, load.journal, load.requests);
}

static void assert_kept(rig_t *rig, checked_t v)
{
    assert_int_equal(v.confirmed, HOSTS);
    assert_int_equal(v.saved, HOSTS);
    assert_int_equal(v.code, 0);
    rig_passed(rig);
}

static void assert_found_out(rig_t *rig, checked_t v)
{
    assert_int_equal(v.confirmed, HOSTS);
    assert_true(v.lost > 0);
    assert_int_equal(v.lost, HOSTS - v.saved);
    assert_int_equal(v.code, 1);
    rig_passed(rig);
}

static void test_a_killed_save_worker_keeps_what_it_answered(void **state)
{
    assert_kept(*state, kill_the_saver(*state, "mandrill-worker"));
}

static void test_a_save_worker_that_answers_before_the_commit_is_found_out(void **state)
{
    assert_found_out(*state, kill_the_saver(*state, "mandrill-worker-hasty"));
}

static void test_a_killed_publisher_keeps_what_it_confirmed(void **state)
{
    assert_kept(*state, kill_the_publisher(*state, "mandrill-publisher"));
}

static void test_a_publisher_that_confirms_before_the_commit_is_found_out(void **state)
{
    assert_found_out(*state, kill_the_publisher(*state, "mandrill-publisher-hasty"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_killed_save_worker_keeps_what_it_answered, "ipc"),
        RIG_TEST(test_a_save_worker_that_answers_before_the_commit_is_found_out, "ipc"),
        RIG_TEST(test_a_killed_publisher_keeps_what_it_confirmed, "ipc"),
        RIG_TEST(test_a_publisher_that_confirms_before_the_commit_is_found_out, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Is the checker's zero worth anything? The same faults, once with the real programs and once with ones that
 * answer before they commit (control_commit.c), whatever the commit says (control_answer.c), or after an
 * fsync that they tried again (control_fsync.c): those must be found out. */
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/shim.h"

#include <errno.h>
#include <stdio.h>

enum { HOSTS = 50 };

/* Fifty messages, each confirmed in the end. */
static void publish(load_t *load, rig_t *rig)
{
    load_init(load, rig, "load", 0, HOSTS);
    load_tick(load);
    load_finish(load);
    assert_int_equal(load->confirmed, HOSTS);
}

/* Every message saved and acked; then the save worker dies. */
static checked_t kill_the_saver(rig_t *rig, const char *program)
{
    load_t load;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    process_t *save = start_save_as(rig, 0, program, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1"));
    publish(&load, rig);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    process_kill(save);
    return check_saved(rig, 0, load.journal, load.requests);
}

/* A real publisher carries on with what is in the outbox of another. */
static checked_t carry_on(rig_t *rig, const load_t *load)
{
    char outbox[TEST_PATH_MAX];

    SPAWN(rig, "publisher-back", "mandrill-publisher", "--listen", rig_endpoint(rig, "leases-0"), "--clients",
          rig_endpoint(rig, "clients-0"), "--outbox", rig_path(rig, "outbox-0.db", outbox));
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    return check_saved(rig, 0, load->journal, load->requests);
}

/* Every message confirmed; then the publisher dies. */
static checked_t kill_the_publisher(rig_t *rig, const char *program)
{
    load_t load;
    process_t *publisher = start_publisher_as(rig, 0, program, NO_ARGS);

    publish(&load, rig);
    process_kill(publisher);
    return carry_on(rig, &load);
}

/* Once more, under a shim; the next fsync of the file fails. */
static void fail_next_fsync(rig_t *rig, process_t *p, const char *file)
{
    char ready[TEST_PATH_MAX];

    assert_int_equal(process_stop(p), 0);
    shim_control_t *shim = shim_for(rig, p);
    snprintf(shim->file, sizeof shim->file, "/%s", file);
    process_start(p);
    process_announced(p, "pid", ready);
    shim_fail(shim, SHIM_SYNC, 1, 1, EIO);
}

/* The fsync of the messages fails; a publisher that ends is started again until all are confirmed. */
static checked_t fail_the_publisher(rig_t *rig, const char *program, unsigned *ret_ended)
{
    load_t load;
    process_t *publisher = start_publisher_as(rig, 0, program, NO_ARGS);

    fail_next_fsync(rig, publisher, "outbox-0.db");
    load_init(&load, rig, "load", 0, HOSTS);
    load_tick(&load);
    for (*ret_ended = 0; process_running(load.client); test_pause()) {
        if (process_running(publisher))
            continue;
        assert_int_equal(process_code(publisher), 1);
        assert_true(++*ret_ended <= 1);
        process_start(publisher);
    }
    load_finish(&load);
    assert_int_equal(load.confirmed, HOSTS);
    process_kill(publisher);
    return carry_on(rig, &load);
}

/* The fsync of the rows fails; a save worker that ends is started again until all are acked. */
static checked_t fail_the_saver(rig_t *rig, const char *program, unsigned *ret_ended)
{
    load_t load;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    process_t *save = start_save_as(rig, 0, program, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1"));
    fail_next_fsync(rig, save, "saved-0.db");
    publish(&load, rig);
    for (*ret_ended = 0; status_number(rig, "clients-0", STATUS_BACKLOG) != 0; test_pause()) {
        if (process_running(save))
            continue;
        assert_int_equal(process_code(save), 1);
        assert_true(++*ret_ended <= 1);
        process_start(save);
    }
    process_kill(save);
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

static void test_a_publisher_ends_after_an_fsync_that_failed(void **state)
{
    unsigned ended;
    checked_t v = fail_the_publisher(*state, "mandrill-publisher", &ended);

    assert_int_equal(ended, 1);
    assert_kept(*state, v);
}

static void test_a_publisher_that_tries_an_fsync_again_is_found_out(void **state)
{
    unsigned ended;
    checked_t v = fail_the_publisher(*state, "mandrill-publisher-stubborn", &ended);

    assert_int_equal(ended, 0);
    assert_found_out(*state, v);
}

static void test_a_save_worker_ends_after_an_fsync_that_failed(void **state)
{
    unsigned ended;
    checked_t v = fail_the_saver(*state, "mandrill-worker", &ended);

    assert_int_equal(ended, 1);
    assert_kept(*state, v);
}

static void test_a_save_worker_that_tries_an_fsync_again_is_found_out(void **state)
{
    unsigned ended;
    checked_t v = fail_the_saver(*state, "mandrill-worker-stubborn", &ended);

    assert_int_equal(ended, 0);
    assert_found_out(*state, v);
}

static void test_a_save_worker_that_answers_after_a_failed_commit_is_found_out(void **state)
{
    unsigned ended;
    checked_t v = fail_the_saver(*state, "mandrill-worker-careless", &ended);

    assert_int_equal(ended, 0);
    assert_found_out(*state, v);
}

#define TEN_TIMES(test)                                                                                      \
    RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"),              \
        RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc"),          \
        RIG_TEST(test, "ipc"), RIG_TEST(test, "ipc")

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_killed_save_worker_keeps_what_it_answered, "ipc"),
        RIG_TEST(test_a_save_worker_that_answers_before_the_commit_is_found_out, "ipc"),
        RIG_TEST(test_a_killed_publisher_keeps_what_it_confirmed, "ipc"),
        TEN_TIMES(test_a_publisher_that_confirms_before_the_commit_is_found_out),
        RIG_TEST(test_a_publisher_ends_after_an_fsync_that_failed, "ipc"),
        RIG_TEST(test_a_publisher_that_tries_an_fsync_again_is_found_out, "ipc"),
        RIG_TEST(test_a_save_worker_ends_after_an_fsync_that_failed, "ipc"),
        RIG_TEST(test_a_save_worker_that_tries_an_fsync_again_is_found_out, "ipc"),
        RIG_TEST(test_a_save_worker_that_answers_after_a_failed_commit_is_found_out, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

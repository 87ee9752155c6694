/* `mandrill load` against the real programs. */
#include "tests/support/pipeline.h"

#include <stdio.h>

static process_t *start_load(rig_t *rig, const char *const *args)
{
    const char *all[PROCESS_ARGUMENTS_MAX] = {"load", "--json", "--clients", rig_endpoint(rig, "clients-0")};
    size_t n = 4;
    while (*args != NULL)
        all[n++] = *args++;
    process_t *p = rig_program(rig, "load", "mandrill", all);
    process_start(p);
    return p;
}

static void test_it_ends_when_all_are_acked(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..20"));
    process_t *load = start_load(
        rig, ARGS("--count", "3000", "--size", "200", "--journal", rig_path(rig, "journal", path)));
    assert_int_equal(process_wait(load, WAIT_MS), 0);
    assert_int_equal(report_number(load, "acked"), 3000);
    assert_int_equal(report_number(load, "dead"), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    assert_int_equal(saved(rig, 0), 3000);
    process_t *judge = rig_program(
        rig, "judge", "checker",
        ARGS("--saved", rig_path(rig, "saved-0.db", (char[TEST_PATH_MAX]){0}), "--journal", path));
    process_start(judge);
    assert_int_equal(process_wait(judge, WAIT_MS), 0);
    assert_int_equal(process_out_count(judge, "confirmed 3000 saved 3000 lost 0"), 1);
    rig_passed(rig);
}

static void test_a_publisher_killed_in_the_middle_is_waited_for(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--ack-deadline", "2s"));

    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
    process_t *load = start_load(rig, ARGS("--count", "2000", "--rate", "1000"));
    WAIT(saved(rig, 0) > 300);
    process_kill(publisher);
    process_start(publisher);
    assert_int_equal(process_wait(load, 2 * WAIT_MS), 0);
    assert_int_equal(report_number(load, "acked"), 2000);
    WAIT(saved(rig, 0) == 2000);
    rig_passed(rig);
}

static void test_the_dead_are_counted(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, ARGS("--max-tries", "1"));
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1", "--fail", "1"));
    process_t *load = start_load(rig, ARGS("--count", "20"));
    assert_int_equal(process_wait(load, WAIT_MS), 1);
    assert_int_equal(report_number(load, "acked"), 0);
    assert_int_equal(report_number(load, "dead"), 20);
    rig_passed(rig);
}

static void test_it_gives_up_when_nothing_moves(void **state)
{
    rig_t *rig = *state;

    process_t *load = start_load(rig, ARGS("--count", "20", "--timeout", "1s"));
    assert_int_equal(process_wait(load, WAIT_MS), 1);
    assert_int_equal(process_log_count(load, "no publisher answers within --timeout"), 1);
    start_publisher(rig, 0, NO_ARGS);
    process_start(load);
    assert_int_equal(process_wait(load, WAIT_MS), 1);
    assert_int_equal(process_log_count(load, "nothing has moved for --timeout"), 1);
    assert_int_equal(report_number(load, "confirmed"), 20);
    assert_int_equal(report_number(load, "acked"), 0);
    rig_passed(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TESTS(test_it_ends_when_all_are_acked),
        RIG_TEST(test_a_publisher_killed_in_the_middle_is_waited_for, "tcp"),
        RIG_TEST(test_the_dead_are_counted, "ipc"),
        RIG_TEST(test_it_gives_up_when_nothing_moves, "tcp"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The rig's promise: when a test program is killed, what it started dies and its directory goes. */
#include "tests/support/rig.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program that starts something and is then killed, as by a time-out. */
static void start_and_die(int tell)
{
    void *state = (void *)(uintptr_t) "ipc";

    if (rig_setup(&state) != 0)
        _exit(1);
    rig_t *rig = state;
    SPAWN(rig, "stays", "/bin/sleep", "3600");
    if (write(tell, rig->dir, sizeof rig->dir) != (ssize_t)sizeof rig->dir)
        _exit(1);
    raise(SIGKILL);
}

static void test_nothing_outlives_a_killed_test(void **state)
{
    char dir[sizeof((rig_t *)0)->dir], more;
    struct stat s;
    int ends[2], status;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        start_and_die(ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], dir, sizeof dir), sizeof dir);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    /* Whatever was started has inherited the pipe: its end is their end. */
    struct pollfd item = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&item, 1, WAIT_MS), 1);
    assert_int_equal(read(ends[0], &more, 1), 0);
    assert_int_not_equal(stat(dir, &s), 0);
    close(ends[0]);
}

static void test_a_program_leaves_its_code_and_its_words(void **state)
{
    rig_t *rig = *state;
    process_t *p = SPAWN(rig, "says", "/bin/sh", "-c", "echo one; echo two >&2; echo two >&2; exit 7");

    assert_int_equal(process_wait(p, WAIT_MS), 7);
    assert_int_equal(process_out_count(p, "one"), 1);
    assert_int_equal(process_log_count(p, "two"), 2);
    process_start(p);
    assert_int_equal(process_wait(p, WAIT_MS), 7);
    assert_int_equal(process_log_count(p, "two"), 4);
    rig_passed(rig);
}

static void test_a_killed_program_is_gone_with_its_children(void **state)
{
    rig_t *rig = *state;
    char more;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    process_t *p = SPAWN(rig, "parent", "/bin/sh", "-c", "sleep 3600 & echo started; wait");
    close(ends[1]);
    WAIT(process_out_count(p, "started") == 1);
    process_kill(p);
    assert_int_equal(process_code(p), 128 + SIGKILL);
    assert_false(process_running(p));
    struct pollfd item = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&item, 1, WAIT_MS), 1);
    assert_int_equal(read(ends[0], &more, 1), 0);
    close(ends[0]);
    rig_passed(rig);
}

static void test_endpoints_keep_their_names(void **state)
{
    rig_t *rig = *state;
    const char *a = rig_endpoint(rig, "a");

    assert_string_not_equal(a, rig_endpoint(rig, "b"));
    assert_string_equal(a, rig_endpoint(rig, "a"));
    assert_int_equal(strncmp(a, rig->transport, 3), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_outlives_a_killed_test),
        RIG_TEST(test_a_program_leaves_its_code_and_its_words, "ipc"),
        RIG_TEST(test_a_killed_program_is_gone_with_its_children, "ipc"),
        RIG_TESTS(test_endpoints_keep_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

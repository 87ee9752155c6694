#include "common/runtime/signals.h"
#include "tests/unit/capture.h"
#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000 };

static signals_event_t next(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    return signals_read(fd);
}

static void test_events_by_signal(void **state)
{
    (void)state;
    int fd = signals_open();
    assert_true(fd >= 0);
    assert_int_equal(signals_read(fd), SIGNALS_NONE);
    raise(SIGUSR1);
    assert_int_equal(next(fd), SIGNALS_DUMP);
    raise(SIGHUP);
    assert_int_equal(next(fd), SIGNALS_RELOAD);
    raise(SIGCHLD);
    assert_int_equal(next(fd), SIGNALS_CHILD);
    assert_int_equal(signals_read(fd), SIGNALS_NONE);
    close(fd);
}

static void test_the_second_stop_is_at_once(void **state)
{
    (void)state;
    int fd = signals_open();
    raise(SIGTERM);
    assert_int_equal(next(fd), SIGNALS_STOP);
    raise(SIGINT);
    assert_int_equal(next(fd), SIGNALS_STOP_NOW);
    raise(SIGTERM);
    assert_int_equal(next(fd), SIGNALS_STOP_NOW);
    close(fd);
    fd = signals_open();
    raise(SIGINT);
    assert_int_equal(next(fd), SIGNALS_STOP);
    close(fd);
}

static void test_a_broken_pipe_is_an_error_and_no_death(void **state)
{
    (void)state;
    int ends[2];
    int fd = signals_open();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
    close(fd);
}

static void test_czmq_leaves_the_signals_alone(void **state)
{
    (void)state;
    struct sigaction action;
    int fd = signals_open();
    zsock_t *socket = zsock_new(ZMQ_DEALER); /* starts czmq */
    assert_non_null(socket);
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    zsock_destroy(&socket);
    zsys_shutdown();
    close(fd);
}

static void test_the_file_limit_is_raised(void **state)
{
    (void)state;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    close(signals_open());
    getrlimit(RLIMIT_NOFILE, &files);
    assert_true(files.rlim_cur == files.rlim_max);
}

static void test_a_bad_supervisor_is_refused(void **state)
{
    (void)state;
    setenv("MANDRILL_SUPERVISOR", "somebody", 1);
    assert_int_equal(signals_open(), -EINVAL);
    setenv("MANDRILL_SUPERVISOR", "0", 1);
    assert_int_equal(signals_open(), -EINVAL);
    unsetenv("MANDRILL_SUPERVISOR");
}

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static void test_a_supervisor_that_is_gone_ends_the_child(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        setenv("MANDRILL_SUPERVISOR", "1999999999", 1);
        close(STDERR_FILENO);
        signals_open();
        _exit(99);
    }
    int status = wait_for(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

/* The supervisor dies as soon as its child has opened its signals; the child tells by the pipe what it got.
 */
static void supervise_and_die(int told)
{
    int ready[2];
    char text[32];
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    setenv("MANDRILL_SUPERVISOR", text, 1);
    if (pipe(ready) < 0)
        _exit(1);
    if (fork() == 0) {
        int fd = signals_open();
        char inherited = getenv("MANDRILL_SUPERVISOR") ? 'i' : '.';
        if (fd < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, PATIENCE_MS);
        char event = signals_read(fd) == SIGNALS_STOP ? 'S' : '?';
        _exit(write(told, &event, 1) != 1 || write(told, &inherited, 1) != 1);
    }
    char byte;
    _exit(read(ready[0], &byte, 1) != 1);
}

static void test_the_death_of_the_supervisor_stops_the_child(void **state)
{
    (void)state;
    int told[2];
    char text[2] = "";
    assert_int_equal(pipe(told), 0);
    pid_t supervisor = fork();
    if (supervisor == 0)
        supervise_and_die(told[1]);
    assert_int_equal(wait_for(supervisor), 0);
    close(told[1]);
    for (size_t n = 0; n < sizeof(text); n++)
        assert_int_equal(read(told[0], text + n, 1), 1);
    assert_int_equal(text[0], 'S');
    assert_int_equal(text[1], '.'); /* not handed on to grandchildren */
    close(told[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_by_signal),
        cmocka_unit_test(test_the_second_stop_is_at_once),
        cmocka_unit_test(test_a_broken_pipe_is_an_error_and_no_death),
        cmocka_unit_test(test_a_bad_supervisor_is_refused),
        cmocka_unit_test(test_a_supervisor_that_is_gone_ends_the_child),
        cmocka_unit_test(test_the_death_of_the_supervisor_stops_the_child),
        cmocka_unit_test(test_czmq_leaves_the_signals_alone), /* after the forks: it starts threads */
        cmocka_unit_test(test_the_file_limit_is_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

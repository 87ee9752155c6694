/* The test plays the service manager: it owns the socket and reads what it is told. */
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/loop.h"
#include "common/runtime/notify.h"
#include "tests/support/manager.h"
#include "tests/unit/capture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WATCHDOG_MS = 400 };

static char folder[] = "/tmp/mandrill-notify-XXXXXX";
static char path[64], abstract_name[64];
static manager_t manager = {.fd = -1};

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/notify", folder);
    snprintf(abstract_name, sizeof abstract_name, "@mandrill-test-notify-%ld", (long)getpid());
    log_open("test", LOG_INFO);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void listen_at(const char *name)
{
    assert_true(manager_open(&manager, name));
}

static int setup(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notify_close();
    if (manager.fd >= 0)
        close(manager.fd);
    manager.fd = -1;
    unlink(path);
    return 0;
}

static const char *heard(void)
{
    return manager_heard(&manager);
}

static void watch_every(int64_t ms, long pid)
{
    char text[32];
    snprintf(text, sizeof text, "%lld000", (long long)ms);
    setenv("WATCHDOG_USEC", text, 1);
    snprintf(text, sizeof text, "%ld", pid);
    setenv("WATCHDOG_PID", text, 1);
}

static void test_ready_is_told_once(void **state)
{
    (void)state;
    listen_at(path);
    notify_open();
    assert_string_equal(heard(), "");
    notify_ready();
    assert_string_equal(heard(), "READY=1");
    notify_ready();
    assert_string_equal(heard(), "");
    assert_true(notify_next_ms() == INT64_MAX);
    notify_alive(clock_ms());
    assert_string_equal(heard(), "");
}

static void test_an_abstract_socket(void **state)
{
    (void)state;
    listen_at(abstract_name);
    notify_open();
    notify_ready();
    assert_string_equal(heard(), "READY=1");
}

static void test_nobody_else_inherits_the_manager(void **state)
{
    (void)state;
    listen_at(path);
    watch_every(WATCHDOG_MS, (long)getpid());
    notify_open();
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
}

static void test_without_a_manager_nothing_happens(void **state)
{
    (void)state;
    capture_begin(STDERR_FILENO);
    for (int empty = 0; empty < 2; empty++) {
        if (empty)
            setenv("NOTIFY_SOCKET", "", 1);
        watch_every(WATCHDOG_MS, (long)getpid());
        notify_open();
        notify_ready();
        notify_reloading();
        notify_reloaded();
        notify_status("nobody reads this");
        notify_alive(clock_ms());
        notify_stopping(1000);
        assert_false(notify_status_due(clock_ms()));
        assert_true(notify_next_ms() == INT64_MAX);
    }
    assert_string_equal(capture_end(), "");
}

static void test_bad_values_are_told_and_count_as_none(void **state)
{
    (void)state;
    char long_path[200];
    memset(long_path, 'p', sizeof long_path);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    const char *const bad[] = {"notify", "/", "@", "vsock:2:1234", "\x01", long_path};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        capture_begin(STDERR_FILENO);
        notify_open();
        const char *told = capture_end();
        assert_non_null(strstr(told, "NOTIFY_SOCKET is \""));
        assert_non_null(strstr(told, "expected a path or @NAME of at most 107 bytes"));
        notify_ready();
        assert_false(notify_status_due(clock_ms()));
    }
    const char *const bad_usec[] = {"soon", "-5", "0", "1999", "1s", ""};
    listen_at(path);
    for (size_t i = 0; i < sizeof bad_usec / sizeof bad_usec[0]; i++) {
        setenv("NOTIFY_SOCKET", path, 1);
        setenv("WATCHDOG_USEC", bad_usec[i], 1);
        capture_begin(STDERR_FILENO);
        notify_open();
        const char *told = capture_end();
        assert_non_null(strstr(told, "WATCHDOG_USEC is \""));
        assert_non_null(strstr(told, "expected microseconds from 2000 on"));
        assert_true(notify_next_ms() == INT64_MAX);
    }
}

static void test_reloads_are_told_while_it_is_ready(void **state)
{
    (void)state;
    listen_at(path);
    notify_open();
    notify_reloading();
    notify_reloaded();
    assert_string_equal(heard(), ""); /* READY would be taken for a start that is done */
    notify_ready();
    assert_string_equal(heard(), "READY=1");
    long long at_us = 0;
    int64_t before_us = clock_us();
    notify_reloading();
    assert_int_equal(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%lld", &at_us), 1);
    assert_true(at_us >= before_us && at_us <= clock_us());
    notify_reloaded();
    assert_string_equal(heard(), "READY=1");
    notify_stopping(0);
    assert_non_null(strstr(heard(), "STOPPING=1"));
    notify_reloading();
    notify_reloaded();
    assert_string_equal(heard(), "");
}

static void test_stopping_asks_for_the_time_of_a_drain(void **state)
{
    (void)state;
    listen_at(path);
    notify_open();
    notify_stopping(60000);
    assert_string_equal(heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=75000000");
    notify_stopping(60000);
    notify_ready();
    assert_string_equal(heard(), "");
    listen_at(abstract_name);
    notify_open();
    notify_stopping(INT64_MAX);
    assert_string_equal(heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000015000000");
}

static void test_status_when_it_changes_and_not_too_often(void **state)
{
    (void)state;
    char text[MANAGER_TEXT_BYTES], long_text[2 * MANAGER_TEXT_BYTES];
    listen_at(path);
    notify_open();
    int64_t now_ms = clock_ms();
    assert_true(notify_status_due(now_ms));
    assert_false(notify_status_due(now_ms + NOTIFY_STATUS_MS - 1));
    assert_true(notify_status_due(now_ms + NOTIFY_STATUS_MS));
    notify_ready();
    assert_string_equal(heard(), "READY=1");
    assert_true(notify_status_due(now_ms));
    assert_false(notify_status_due(now_ms));
    notify_status("%d messages", 7);
    assert_string_equal(heard(), "STATUS=7 messages");
    notify_status("%d messages", 7);
    assert_string_equal(heard(), "");
    notify_status("%d messages", 8);
    assert_string_equal(heard(), "STATUS=8 messages");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    notify_status("%s", long_text);
    snprintf(text, sizeof text, "STATUS=%.248s", long_text);
    assert_string_equal(heard(), text);
}

static unsigned count_alive(void)
{
    unsigned n = 0;
    for (const char *text; *(text = heard()); n++)
        assert_string_equal(text, "WATCHDOG=1");
    return n;
}

static void test_the_watchdog_hears_of_turns_in_time(void **state)
{
    (void)state;
    loop_t l;
    listen_at(path);
    watch_every(WATCHDOG_MS, (long)getpid());
    notify_open();
    notify_alive(1000);
    assert_int_equal(count_alive(), 1);
    assert_int_equal(notify_next_ms(), 1000 + WATCHDOG_MS / 2);
    loop_init(&l);
    /* A loop that has nothing to do for a minute wakes for it. */
    int64_t before_ms = clock_ms();
    assert_int_equal(loop_wait(&l, before_ms + 60000), 0);
    assert_int_equal(count_alive(), 1);
    assert_in_range(clock_ms() - before_ms, WATCHDOG_MS / 2, 30000);
    assert_int_equal(loop_wait(&l, clock_ms()), 0);
    assert_int_equal(count_alive(), 1);
    /* Many short turns say no more than is asked for. */
    before_ms = clock_ms();
    for (int i = 0; i < 100; i++)
        assert_int_equal(loop_wait(&l, clock_ms()), 0);
    assert_true(count_alive() <= (unsigned)((clock_ms() - before_ms) / (WATCHDOG_MS / 2) + 1));
}

static void test_a_loop_that_stands_still_is_silent(void **state)
{
    (void)state;
    loop_t l;
    listen_at(path);
    watch_every(2, (long)getpid());
    notify_open();
    loop_init(&l);
    l.stall_ms = 60000; /* not to be logged here */
    assert_int_equal(loop_wait(&l, clock_ms()), 0);
    count_alive();
    int64_t until_ms = clock_ms() + 50;
    while (clock_ms() < until_ms)
        continue;
    assert_string_equal(heard(), "");
    assert_int_equal(loop_wait(&l, clock_ms()), 0);
    assert_int_equal(count_alive(), 1);
}

static void test_the_watchdog_of_another_process_is_its_own(void **state)
{
    (void)state;
    listen_at(path);
    watch_every(WATCHDOG_MS, (long)getppid());
    notify_open();
    assert_true(notify_next_ms() == INT64_MAX);
    notify_alive(clock_ms());
    assert_string_equal(heard(), "");
    notify_ready();
    assert_string_equal(heard(), "READY=1");
}

/* A manager that does not read for a while: nothing waits for it, and the state comes when it reads again. */
static void test_a_busy_manager_is_told_later(void **state)
{
    (void)state;
    loop_t l;
    listen_at(path);
    watch_every(60000, (long)getpid());
    notify_open();
    loop_init(&l);
    capture_begin(STDERR_FILENO);
    int64_t before_ms = clock_ms();
    unsigned sent = 0;
    for (; notify_next_ms() != INT64_MAX && sent < 100000; sent++) {
        int64_t due_ms = notify_next_ms();
        notify_alive(due_ms > 0 ? due_ms : before_ms);
        if (notify_next_ms() - due_ms == 100)
            break; /* not taken: it is tried again soon */
    }
    assert_in_range(sent, 1, 99999);
    notify_ready();
    notify_stopping(1000);
    const char *told = capture_end();
    assert_non_null(strstr(told, "the service manager cannot be told: Resource temporarily unavailable"));
    assert_null(strstr(strstr(told, "cannot be told") + 1, "cannot be told")); /* said once */
    count_alive();
    const char *text;
    while (!*(text = heard()))
        assert_int_equal(loop_wait(&l, clock_ms() + 10), 0);
    assert_string_equal(text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=16000000");
    assert_int_equal(loop_wait(&l, clock_ms()), 0);
    assert_string_equal(heard(), "");
}

static void test_a_manager_that_has_gone_is_told_when_it_is_back(void **state)
{
    (void)state;
    loop_t l;
    listen_at(path);
    notify_open();
    loop_init(&l);
    close(manager.fd);
    unlink(path);
    capture_begin(STDERR_FILENO);
    notify_ready();
    notify_status("not lost for good");
    assert_non_null(strstr(capture_end(), "the service manager cannot be told: No such file or directory"));
    listen_at(path);
    notify_status("not lost for good");
    assert_string_equal(heard(), "STATUS=not lost for good");
    while (notify_next_ms() != INT64_MAX)
        assert_int_equal(loop_wait(&l, INT64_MAX), 0);
    assert_string_equal(heard(), "READY=1");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ready_is_told_once),
        TEST(test_an_abstract_socket),
        TEST(test_nobody_else_inherits_the_manager),
        TEST(test_without_a_manager_nothing_happens),
        TEST(test_bad_values_are_told_and_count_as_none),
        TEST(test_reloads_are_told_while_it_is_ready),
        TEST(test_stopping_asks_for_the_time_of_a_drain),
        TEST(test_status_when_it_changes_and_not_too_often),
        TEST(test_the_watchdog_hears_of_turns_in_time),
        TEST(test_a_loop_that_stands_still_is_silent),
        TEST(test_the_watchdog_of_another_process_is_its_own),
        TEST(test_a_busy_manager_is_told_later),
        TEST(test_a_manager_that_has_gone_is_told_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

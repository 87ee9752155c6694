/* The programs under a service manager that the test plays: what they tell it, and when. */
#include "tests/support/manager.h"
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Reads all that has been told. */
static manager_t *listen_to(manager_t *m)
{
    while (*manager_heard(m))
        continue;
    return m;
}

/* Started next is who tells this one. */
static void open_manager(const rig_t *rig, const char *name, manager_t *ret)
{
    char path[TEST_PATH_MAX];
    assert_true(manager_open(ret, rig_path(rig, name, path)));
}

/* For programs that this test started; what has been inherited is no concern of the next one. */
static void forget_managers(manager_t *managers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(managers[i].fd);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
}

static void test_ready_when_announced_and_stopping_at_drain(void **state)
{
    enum { PUBLISHER, CONSUMER, WORKER, PARTS };
    rig_t *rig = *state;
    manager_t m[PARTS];
    process_t *p[PARTS];

    setenv("WATCHDOG_USEC", "200000", 1);
    open_manager(rig, "of-the-worker", &m[WORKER]);
    p[WORKER] = SPAWN(rig, "worker", "mandrill-worker", "--kind", "restart-simulate", "--simulate", "0..0",
                      "--consumer", rig_endpoint(rig, "tasks-0"));
    WAIT(strcmp(listen_to(&m[WORKER])->status, "STATUS=waiting for a consumer") == 0);
    WAIT(listen_to(&m[WORKER])->watchdog >= 3);
    assert_int_equal(m[WORKER].ready, 0);

    open_manager(rig, "of-the-publisher", &m[PUBLISHER]);
    p[PUBLISHER] = start_publisher(rig, 0, ARGS("--legs", "restart"));
    WAIT(listen_to(&m[PUBLISHER])->ready == 1);
    open_manager(rig, "of-the-consumer", &m[CONSUMER]);
    p[CONSUMER] = start_consumer(rig, 0, 1, NO_ARGS);
    WAIT(listen_to(&m[CONSUMER])->ready == 1);
    WAIT(listen_to(&m[WORKER])->ready == 1);

    publish_hosts(rig, 0, "told", 3);
    WAIT(strstr(listen_to(&m[PUBLISHER])->status, "3 acked since the start") != NULL);
    WAIT(strstr(listen_to(&m[CONSUMER])->status, "1 publishers and 1 workers connected; 3 acked") != NULL);
    WAIT(strstr(listen_to(&m[WORKER])->status, "1 consumers connected; 3 done, 0 failed") != NULL);
    for (int i = 0; i < PARTS; i++) {
        unsigned heard = m[i].watchdog;
        WAIT(listen_to(&m[i])->watchdog >= heard + 3);
        process_signal(p[i], SIGHUP);
        WAIT(listen_to(&m[i])->ready == 2);
        assert_int_equal(m[i].reloading, 1);
    }
    for (int i = PARTS - 1; i >= 0; i--) {
        assert_int_equal(process_stop(p[i]), 0);
        listen_to(&m[i]);
        assert_int_equal(m[i].stopping, 1);
        assert_int_equal(m[i].ready, 2);
    }
    forget_managers(m, PARTS);
    rig_passed(rig);
}

/* The manager of `up` knows one process; what its children would say were taken for its own. */
static void test_up_speaks_for_its_children(void **state)
{
    rig_t *rig = *state;
    manager_t m;
    char data[TEST_PATH_MAX];

    open_manager(rig, "of-up", &m);
    setenv("WATCHDOG_USEC", "200000", 1);
    process_t *up = SPAWN(rig, "up", "mandrill", "up", "--transport", "ipc", "--count", "0", "--simulate",
                          "0..0", "--data", rig_path(rig, "data", data));
    WAIT(listen_to(&m)->ready == 1);
    unsigned heard = m.watchdog;
    WAIT(listen_to(&m)->watchdog >= heard + 3);
    assert_int_equal(m.stopping, 0);
    assert_int_equal(process_stop(up), 0);
    listen_to(&m);
    assert_int_equal(m.ready, 1);
    assert_int_equal(m.stopping, 1);
    assert_string_equal(m.status, "");
    forget_managers(&m, 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_ready_when_announced_and_stopping_at_drain),
        RIG_TEST(test_up_speaks_for_its_children, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

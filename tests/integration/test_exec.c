/* Hosts are restarted by commands through the whole pipeline, whoever of it is killed: once each. */
#include "tests/support/exec_host.h"
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>

enum { HOSTS = 30, COMMAND_BYTES = 3 * TEST_PATH_MAX };

static process_t *start_exec(rig_t *rig, const char *name)
{
    char restart[COMMAND_BYTES], observe[COMMAND_BYTES];

    exec_host_command(rig, "restart {instance} {boot_id}", restart);
    exec_host_command(rig, "observe {instance}", observe);
    return SPAWN(rig, name, "mandrill-worker", "--kind", "restart-exec", "--consumer",
                 rig_endpoint(rig, "tasks-0"), "--exec", restart, "--exec-observe", observe, "--exec-exit",
                 "9=ok", "--slots", "4", "--grant", "2s", "--act-timeout", "3s", "--return-timeout", "2s",
                 "--poll", "50ms", "--log-messages");
}

static void expect_each_once(rig_t *rig)
{
    char host[32];

    for (int i = 0; i < HOSTS; i++) {
        snprintf(host, sizeof host, "wide-%d", i);
        if (exec_host_restarts(rig, host) != 1)
            fail_msg("%s was restarted %u times", host, exec_host_restarts(rig, host));
    }
}

static void test_commands_restart_each_host_once(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *worker = start_exec(rig, "exec");
    publish_hosts(rig, 0, "wide", HOSTS);
    WAIT(status_number(rig, "clients-0", "acked") == HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    expect_each_once(rig);
    assert_int_equal(process_log_count(worker, "Restarted wide-"), HOSTS);
    rig_passed(rig);
}

/* What was under way then goes on by itself; the next worker waits until it can tell. */
static void test_a_worker_is_killed_among_its_commands(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *worker = start_exec(rig, "exec");
    publish_hosts(rig, 0, "wide", HOSTS);
    for (unsigned kills = 1; kills <= 3; kills++) {
        WAIT(exec_host_calls(rig, "restart wide-") >= kills * 5);
        process_kill(worker);
        process_start(worker);
    }
    WAIT(status_number(rig, "clients-0", "acked") == HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    expect_each_once(rig);
    rig_passed(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TESTS(test_commands_restart_each_host_once),
        RIG_TESTS(test_a_worker_is_killed_among_its_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

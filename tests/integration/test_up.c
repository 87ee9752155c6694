/* `mandrill up` as an operator sees it: who can be asked, what Ctrl-C tells, where dead letters are. */
#include "tests/support/pipeline.h"
#include "tests/support/postgres.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `up` over ipc in the folder "data" of the rig, up and ready. */
#define START_UP(rig, data, ...) start_up(rig, data, ARGS(__VA_ARGS__))

static process_t *start_up(rig_t *rig, char *data, const char *const *more)
{
    const char *args[PROCESS_ARGUMENTS_MAX] = {"up", "--transport", "ipc", "--data",
                                               rig_path(rig, "data", data)};
    size_t n = 5;

    while (*more != NULL)
        args[n++] = *more++;
    args[n] = NULL;
    process_t *up = rig_spawn(rig, "up", "mandrill", args);
    WAIT(process_log_count(up, "all are ready") == 1);
    return up;
}

/* `mandrill status --json --data`, from a folder that is not that of `up`. */
static json_t *status_of(rig_t *rig, const char *name, const char *data)
{
    process_t *status = SPAWN(rig, name, "mandrill", "status", "--json", "--data", data);

    assert_int_equal(process_wait(status, WAIT_MS), 0);
    char *text = test_read_file(status->out);
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

static void test_status_shows_every_consumer(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];

    process_t *up = START_UP(rig, data, "--count", "0", "--consumers", "3");
    json_t *status = status_of(rig, "status", data);
    assert_int_equal(json_number(status, "publisher.consumers"), 3);
    const json_t *consumers = json_object_get(status, "consumers");
    assert_int_equal(json_array_size(consumers), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_number(json_array_get(consumers, i), "publishers.connected"), 1);
    json_decref(status);
    assert_int_equal(process_stop(up), 0);
    /* Nobody runs over it any more: the outbox itself is asked. */
    status = status_of(rig, "idle", data);
    assert_int_equal(json_number(status, "publisher.backlog"), 0);
    assert_int_equal(json_array_size(json_object_get(status, "consumers")), 0);
    json_decref(status);
    rig_passed(rig);
}

static void test_what_died_is_told_with_the_command_that_shows_it(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX], command[TEST_PATH_MAX + 64];

    process_t *up =
        START_UP(rig, data, "--count", "30", "--fail", "1", "--simulate", "0..5", "--rate", "1000");
    assert_int_equal(process_wait(up, WAIT_MS), 1);
    snprintf(command, sizeof command, "mandrill dead list --data %s", data);
    assert_int_equal(process_out_count(up, "30 dead letters kept in"), 1);
    assert_int_equal(process_out_count(up, command), 1);
    assert_int_equal(process_wait(SPAWN(rig, "status", "mandrill", "status", "--data", data), WAIT_MS), 0);
    rig_passed(rig);
}

/* A process number says nothing to who reads a history when `up` has ended. */
static void test_children_have_names(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];

    process_t *up = START_UP(rig, data, "--count", "10", "--fail", "1", "--simulate", "0..5", "--rate",
                             "1000", "--restart", "1", "--consumers", "2");
    assert_int_equal(process_wait(up, WAIT_MS), 1);
    assert_int_equal(process_log_count(up, "a consumer has connected: consumer-1,"), 1);
    assert_int_equal(process_log_count(up, "a consumer has connected: consumer-2,"), 1);
    assert_int_equal(process_log_count(up, "(restart-simulate, restart) serves leg restart"), 2);
    process_t *list = SPAWN(rig, "list", "mandrill", "dead", "list", "--json", "--data", data);
    assert_int_equal(process_wait(list, WAIT_MS), 0);
    assert_true(process_out_count(list, "\"worker\":\"restart\"") > 0);
    assert_true(process_out_count(list, "\"worker\":\"save\"") > 0);
    rig_passed(rig);
}

/* The line of stdout that says what became of the messages at work: how many there were, finished and
 * released. */
static void stop_line(const process_t *up, unsigned numbers[static 3])
{
    char *text = test_read_file(up->out);
    const char *line = strstr(text, "stopped with ");

    assert_non_null(line);
    assert_int_equal(sscanf(line, "stopped with %u message%*s at work: %u finished, %u released", &numbers[0],
                            &numbers[1], &numbers[2]),
                     3);
    free(text);
}

/* Of the first line of its summary. */
static void sums(const process_t *up, unsigned *ret_published, unsigned *ret_acked)
{
    char *text = test_read_file(up->out);

    assert_int_equal(
        sscanf(text, "%u published, %*u saved, %*u restarted, %u acked", ret_published, ret_acked), 2);
    free(text);
}

/* Over the same folder, with restarts that take no time: nobody waits for an ack deadline, for nothing is
 * out. */
static process_t *go_on(rig_t *rig, const char *data, unsigned left)
{
    process_t *up = SPAWN(rig, "again", "mandrill", "up", "--transport", "ipc", "--data", data, "--count",
                          "0", "--simulate", "0..0", "--ack-deadline", "1h");

    WAIT(process_log_count(up, "Acked ") == left);
    assert_int_equal(process_stop(up), 0);
    return up;
}

/* What is at a worker is finished; what had just come in may not have been given to one, and goes back. */
static void test_a_stop_tells_what_it_finished(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];
    unsigned n[3];

    process_t *up = START_UP(rig, data, "--rate", "200", "--simulate", "300..600");
    WAIT(process_log_count(up, "Consumed") >= 20);
    assert_int_equal(process_stop(up), 0);
    stop_line(up, n);
    assert_true(n[0] > 0);
    assert_true(n[1] > n[0] / 2);
    assert_int_equal(n[1] + n[2], n[0]);
    if (n[2] > 0)
        go_on(rig, data, n[2]);
    rig_passed(rig);
}

static void test_what_takes_too_long_is_released(void **state)
{
    enum { DRAIN_MS = 3000 };
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];
    unsigned n[3], published, acked;

    process_t *up = START_UP(rig, data, "--rate", "50", "--simulate", "60000..60000", "--drain-timeout", "3s",
                             "--ack-deadline", "1h");
    WAIT(process_log_count(up, "Consumed") >= 10);
    const int64_t start_ms = test_now_ms();
    assert_int_equal(process_stop(up), 0);
    /* All of them drain within one time-out, not one after the other. */
    assert_in_range(test_now_ms() - start_ms, DRAIN_MS, 2 * DRAIN_MS);
    stop_line(up, n);
    assert_true(n[0] >= 10);
    assert_int_equal(n[1], 0);
    assert_int_equal(n[2], n[0]);
    assert_int_equal(process_out_count(up, "left as they were"), 0);
    assert_int_equal(process_out_count(up, "the next run over it goes on"), 1);
    sums(up, &published, &acked);
    go_on(rig, data, published - acked);
    rig_passed(rig);
}

static void test_a_stop_restarts_nobody_twice(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];
    unsigned n[3], published, acked;

    process_t *up = START_UP(rig, data, "--rate", "20", "--simulate", "2000..2000", "--drain-timeout",
                             "1200ms", "--ack-deadline", "1h");
    WAIT(process_log_count(up, "Restarted ") >= 1);
    assert_int_equal(process_stop(up), 0);
    stop_line(up, n);
    assert_true(n[2] > 0);
    assert_int_equal(n[1] + n[2], n[0]);
    sums(up, &published, &acked);
    process_t *again = go_on(rig, data, published - acked);
    assert_int_equal(process_log_count(up, "Restarted ") + process_log_count(again, "Restarted "), published);
    rig_passed(rig);
}

/* Of a child, as it has announced it. */
static pid_t child_pid(const char *data, const char *name)
{
    char path[TEST_PATH_MAX + 64];
    long pid = 0;

    snprintf(path, sizeof path, "%s/run/%s.announce", data, name);
    char *text = test_read_file(path);
    const char *line = strstr(text, "pid=");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "pid=%ld", &pid), 1);
    free(text);
    return (pid_t)pid;
}

static void test_a_stop_waits_for_no_consumer_that_hangs(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];
    unsigned n[3];

    process_t *up =
        START_UP(rig, data, "--rate", "50", "--simulate", "60000..60000", "--drain-timeout", "200ms");
    WAIT(process_log_count(up, "Consumed") >= 10);
    assert_int_equal(kill(child_pid(data, "consumer"), SIGSTOP), 0);
    assert_int_equal(process_stop(up), 0);
    stop_line(up, n);
    assert_int_equal(n[1] + n[2], 0);
    assert_int_equal(process_out_count(up, "left as they were"), 1);
    assert_int_equal(process_log_count(up, "consumer has not stopped in time: it is killed"), 1);
    rig_passed(rig);
}

/* Without a word to the workers, which have tasks of it. */
static void test_a_consumer_that_dies_while_it_drains_holds_nobody_up(void **state)
{
    enum { DRAIN_MS = 10000 };
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];

    process_t *up = START_UP(rig, data, "--rate", "50", "--simulate", "60000..60000", "--drain-timeout",
                             "10s", "--ack-deadline", "1s");
    WAIT(process_log_count(up, "Consumed") >= 10);
    const pid_t consumer = child_pid(data, "consumer");
    const int64_t start_ms = test_now_ms();
    process_signal(up, SIGTERM);
    WAIT(process_log_count(up, "consumer: draining") == 1);
    assert_int_equal(kill(consumer, SIGKILL), 0);
    assert_int_equal(process_wait(up, WAIT_MS), 0);
    /* Its leases run out, and the workers have nothing to finish. */
    assert_true(test_now_ms() - start_ms < DRAIN_MS);
    rig_passed(rig);
}

/* A consumer is asked that belongs to the publisher, or none. */
static void test_status_of_one_publisher(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    process_t *status =
        SPAWN(rig, "status", "mandrill", "status", "--clients", rig_endpoint(rig, "clients-0"));
    assert_int_equal(process_wait(status, WAIT_MS), 0);
    assert_int_equal(process_log_count(status, "answers at"), 0);
    status = SPAWN(rig, "both", "mandrill", "status", "--clients", rig_endpoint(rig, "clients-0"),
                   "--control", rig_endpoint(rig, "control-0"));
    assert_int_equal(process_wait(status, WAIT_MS), 1);
    assert_int_equal(process_log_count(status, "no consumer answers at"), 1);
    rig_passed(rig);
}

static void test_a_second_signal_ends_at_once(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX];

    process_t *up = START_UP(rig, data, "--rate", "50", "--simulate", "60000..60000");
    WAIT(process_log_count(up, "Consumed") >= 10);
    process_signal(up, SIGINT);
    WAIT(process_log_count(up, "once more ends at once") == 1);
    process_signal(up, SIGTERM);
    assert_int_equal(process_wait(up, WAIT_MS), 1);
    /* Whether they were released or left is who ended first. */
    assert_int_equal(process_out_count(up, "messages at work: 0 finished"), 1);
    /* Each child ends by itself. */
    assert_int_equal(process_log_count(up, "it is killed"), 0);
    rig_passed(rig);
}

/* A file has one writer, a server as many as there are; who may read its address is nobody's business. */
static void test_many_save_workers_need_postgres(void **state)
{
    rig_t *rig = *state;
    char data[TEST_PATH_MAX], conninfo[CONNINFO_MAX];
    postgres_t *server = postgres_shared();

    process_t *alone =
        SPAWN(rig, "alone", "mandrill", "up", "-n", "--save", "2", "--data", rig_path(rig, "data", data));
    assert_int_equal(process_wait(alone, WAIT_MS), 2);
    assert_int_equal(process_log_count(alone, "--postgres CONNINFO (save-postgres)"), 1);
    process_t *up = START_UP(rig, data, "--count", "300", "--simulate", "0..5", "--save", "3", "--postgres",
                             postgres_conninfo(server, "", conninfo));
    assert_int_equal(process_wait(up, WAIT_MS), 0);
    assert_int_equal(postgres_rows(server, ""), 300);
    assert_int_equal(process_log_count(up, "connected to PostgreSQL"), 3);
    process_t *bench = SPAWN(rig, "bench", "mandrill", "bench", "--count", "2000", "--json", "--save", "2",
                             "--postgres", conninfo);
    assert_int_equal(process_wait(bench, WAIT_MS), 0);
    assert_int_equal(postgres_rows(server, ""), 2300);
    assert_int_equal(process_out_count(bench, "\"store\":\"postgres\",\"save\":2"), 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_status_shows_every_consumer, "ipc"),
        RIG_TESTS(test_status_of_one_publisher),
        RIG_TEST(test_children_have_names, "ipc"),
        RIG_TEST(test_a_stop_tells_what_it_finished, "ipc"),
        RIG_TEST(test_what_takes_too_long_is_released, "ipc"),
        RIG_TEST(test_a_stop_restarts_nobody_twice, "ipc"),
        RIG_TEST(test_a_stop_waits_for_no_consumer_that_hangs, "ipc"),
        RIG_TEST(test_a_consumer_that_dies_while_it_drains_holds_nobody_up, "ipc"),
        RIG_TEST(test_a_second_signal_ends_at_once, "ipc"),
        RIG_TEST(test_what_died_is_told_with_the_command_that_shows_it, "ipc"),
        RIG_TEST(test_many_save_workers_need_postgres, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

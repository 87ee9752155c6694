/* `mandrill health` with the real programs: each is healthy while it works, drains or waits, and is not once
 * it stands still or has ended. */
#include "tests/support/pipeline.h"

#include <signal.h>

/* A question that can be asked again and again: `mandrill health` with these words. */
static process_t *question(rig_t *rig, const char *name, const char *const *args)
{
    return rig_program(rig, name, "mandrill", args);
}

static int ask(process_t *q)
{
    process_start(q);
    return process_wait(q, WAIT_MS);
}

static bool answers(process_t *q, int code, const char *text)
{
    unsigned before = process_out_count(q, text);
    return ask(q) == code && process_out_count(q, text) == before + 1;
}

static process_t *start_lone_worker(rig_t *rig, const char *path)
{
    process_t *p = rig_program(rig, "restart", "mandrill-worker",
                               ARGS("--kind", "restart-simulate", "--consumer", rig_endpoint(rig, "tasks-0"),
                                    "--health-file", path));
    process_start(p);
    return p;
}

static void test_a_worker_that_stands_still_is_not_healthy(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];
    rig_path(rig, "health", path);
    process_t *q =
        question(rig, "question", ARGS("health", "worker", "--health-file", path, "--max-age", "2s"));

    assert_true(answers(q, 1, "it does not run"));
    process_t *worker = start_lone_worker(rig, path);
    WAIT(answers(q, 0, "worker is healthy: waits for a consumer"));
    start_consumer(rig, 0, 1, NO_ARGS);
    WAIT(answers(q, 0, "worker is healthy: works for 1 consumers, 0 tasks in hand"));
    process_signal(worker, SIGSTOP);
    WAIT(answers(q, 1, "worker is not healthy: no sign of life for"));
    process_signal(worker, SIGCONT);
    WAIT(answers(q, 0, "worker is healthy: works for 1 consumers"));
    assert_int_equal(process_stop(worker), 0);
    assert_true(answers(q, 1, "it does not run"));
    rig_passed(rig);
}

static void test_a_worker_that_drains_is_healthy(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];
    rig_path(rig, "health", path);
    process_t *q = question(rig, "question", ARGS("health", "worker", "--health-file", path));

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(
        rig, 0, 1, ARGS("--health-file", path, "--simulate", "50000..50000", "--drain-timeout", "60s"));
    publish_hosts(rig, 0, "slow", 1);
    WAIT(status_number(rig, "control-0", "workers.restart.running") == 1);
    process_signal(restart, SIGTERM);
    WAIT(answers(q, 0, "worker is healthy: draining, 1 tasks in hand"));
    rig_passed(rig);
}

static void test_publisher_and_consumer_are_asked(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, NO_ARGS);
    process_t *consumer = start_consumer(rig, 0, 1, NO_ARGS);
    const char *clients = rig_endpoint(rig, "clients-0"), *control = rig_endpoint(rig, "control-0");
    process_t *p =
        question(rig, "question-p", ARGS("health", "publisher", "--clients", clients, "--timeout", "500ms"));
    process_t *c =
        question(rig, "question-c", ARGS("health", "consumer", "--control", control, "--timeout", "500ms"));
    process_t *wrong = question(rig, "question-w", ARGS("health", "publisher", "--clients", control));

    WAIT(answers(p, 0, "publisher is healthy: 0 messages in the outbox"));
    WAIT(answers(c, 0, "consumer is healthy: 0 messages in hand"));
    WAIT(answers(wrong, 1, "publisher is not healthy: a consumer answers"));
    process_signal(publisher, SIGSTOP);
    WAIT(answers(p, 1, "publisher is not healthy: nobody answers"));
    process_signal(publisher, SIGCONT);
    WAIT(answers(p, 0, "publisher is healthy"));
    assert_int_equal(process_stop(consumer), 0);
    WAIT(answers(c, 1, "consumer is not healthy: nobody answers"));
    rig_passed(rig);
}

static void test_publisher_and_consumer_have_files_too(void **state)
{
    rig_t *rig = *state;
    char publishers[TEST_PATH_MAX], consumers[TEST_PATH_MAX];
    rig_path(rig, "publisher-health", publishers);
    rig_path(rig, "consumer-health", consumers);
    process_t *p = question(rig, "question-p", ARGS("health", "publisher", "--health-file", publishers));
    process_t *c = question(rig, "question-c",
                            ARGS("health", "consumer", "--health-file", consumers, "--max-age", "2s"));
    process_t *wrong = question(rig, "question-w", ARGS("health", "worker", "--health-file", consumers));

    process_t *publisher = start_publisher(rig, 0, ARGS("--health-file", publishers));
    process_t *consumer = start_consumer(rig, 0, 1, ARGS("--health-file", consumers));
    WAIT(answers(p, 0, "publisher is healthy: 0 messages in the outbox"));
    WAIT(answers(c, 0, "consumer is healthy: 1 publishers, 0 messages in hand"));
    assert_true(answers(wrong, 1, "worker is not healthy: "));
    process_signal(consumer, SIGSTOP);
    WAIT(answers(c, 1, "consumer is not healthy: no sign of life for"));
    process_signal(consumer, SIGCONT);
    WAIT(answers(c, 0, "consumer is healthy"));
    assert_int_equal(process_stop(publisher), 0);
    assert_true(answers(p, 1, "it does not run"));
    rig_passed(rig);
}

static void test_what_makes_no_sense_is_told(void **state)
{
    rig_t *rig = *state;
    assert_int_equal(ask(question(rig, "nobody", ARGS("health"))), 2);
    assert_int_equal(ask(question(rig, "broker", ARGS("health", "broker"))), 2);
    assert_int_equal(ask(question(rig, "worker", ARGS("health", "worker"))), 2);
    assert_int_equal(ask(question(rig, "where", ARGS("health", "publisher", "--clients", "nowhere"))), 2);
    process_t *worker = start_lone_worker(rig, "/nowhere/health");
    assert_int_equal(process_wait(worker, WAIT_MS), 1);
    assert_int_equal(process_log_count(worker, "cannot write the health file /nowhere/health"), 1);
    rig_passed(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_worker_that_stands_still_is_not_healthy, "tcp"),
        RIG_TEST(test_a_worker_that_drains_is_healthy, "ipc"),
        RIG_TESTS(test_publisher_and_consumer_are_asked),
        RIG_TEST(test_publisher_and_consumer_have_files_too, "ipc"),
        RIG_TEST(test_what_makes_no_sense_is_told, "ipc"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

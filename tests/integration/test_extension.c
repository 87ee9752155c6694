/* Work that takes longer than the ack deadline, most of it spent queued behind busy workers: the consumer's
 * extensions hold every lease, and nothing is delivered twice. */
#include "tests/support/pipeline.h"

#include <string.h>

typedef struct {
    const char *count, *slots, *work_ms;
    const char *const *publisher, *const *consumer;
    int timeout_ms;
} work_t;

static void run(rig_t *rig, const work_t *w)
{
    const char *load[PROCESS_ARGUMENTS_MAX] = {"--load", w->count};
    size_t n = 2;
    int64_t count = (int64_t)strtoll(w->count, NULL, 10);

    for (const char *const *a = w->publisher; *a != NULL; a++)
        load[n++] = *a;
    process_t *publisher = start_publisher(rig, 0, load);
    process_t *consumer = start_consumer(rig, 0, 1, w->consumer);
    process_t *save = start_save(rig, 0, 1, NO_ARGS);
    process_t *restart =
        start_restart(rig, 0, 1, ARGS("--slots", w->slots, "--simulate", w->work_ms, "--log-messages"));
    assert_int_equal(process_wait(publisher, w->timeout_ms), 0);
    assert_int_equal(report_number(publisher, "acked"), count);
    assert_int_equal(report_number(publisher, "redelivered"), 0);
    assert_true(report_number(publisher, "extended") > 0);
    assert_int_equal(process_log_count(restart, "Restarted "), count);
    assert_int_equal(process_stop(save), 0);
    assert_int_equal(report_number(save, "tasks"), count);
    assert_int_equal(process_stop(consumer), 0);
    assert_true(report_number(consumer, "extended") > 0);
    assert_int_equal(report_number(consumer, "retries"), 0);
    rig_passed(rig);
}

static void test_work_of_ten_deadlines(void **state)
{
    const work_t w = {.count = "200",
                      .slots = "2",
                      .work_ms = "100..100",
                      .publisher = ARGS("--ack-deadline", "1s"),
                      .consumer = ARGS("--extend", "300ms", "--extend-every", "200ms"),
                      .timeout_ms = WAIT_MS};

    run(*state, &w);
}

/* The default numbers: 1000 messages of half a second on 8 slots, a good minute. */
static void test_a_minute_of_work_behind_a_deadline_of_ten_seconds(void **state)
{
    const work_t w = {.count = "1000",
                      .slots = "8",
                      .work_ms = "500..500",
                      .publisher = NO_ARGS,
                      .consumer = NO_ARGS,
                      .timeout_ms = 5 * WAIT_MS};

    run(*state, &w);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {RIG_TESTS(test_work_of_ten_deadlines)};
    static const struct CMUnitTest long_tests[] = {
        RIG_TESTS(test_a_minute_of_work_behind_a_deadline_of_ten_seconds)};

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        return cmocka_run_group_tests(long_tests, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The consumer as a whole when tries fail: what its publishers are told, and what its workers are asked. */
#include "consumer/report.h"
#include "tests/unit/consumer_world.h"

enum { SAVE, RESTART, BOTH = 3 };

static void test_tries_are_told_in_the_publishers_bits(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    /* Here save gets number 0, for its worker comes first; to the publisher it is bit 1. */
    consumer_start(w);
    worker_start(w, 0, "save-sqlite", "save", 64);
    PUMP_UNTIL(w, w->workers[0].welcome);
    publisher_start(w, 0, "restart", "save");
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, p->window > 0);
    p->tries[1] = 2;
    uint64_t before_ms = (uint64_t)clock_wall_ms();
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && w->workers[1].tasks_count == 1);
    assert_int_equal(w->workers[0].tasks[0].try_no, 3);
    assert_int_equal(w->workers[1].tasks[0].try_no, 1);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_TRANSIENT);
    PUMP_UNTIL(w, p->told_count == 1);
    assert_int_equal(p->told[0].event.bit, 1);
    assert_int_equal(p->told[0].event.no, 3);
    assert_int_equal(p->told[0].event.how, HOW_TRANSIENT);
    /* Wall clock less what the other clock says that it took: each may be rounded by one. */
    assert_in_range(p->told[0].event.since_ms, before_ms - 1, (uint64_t)clock_wall_ms() + 1);
    assert_string_equal(p->told[0].label, "worker-0");
    PUMP_UNTIL(w, w->workers[0].tasks_count == 2);
    assert_int_equal(w->workers[0].tasks[1].try_no, 4);
    worker_results(&w->workers[0], 2, 1, 1, OUTCOME_OK);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    assert_int_equal(p->told_count, 3);
    for (uint32_t i = 1; i < 3; i++)
        assert_int_equal(p->told[i].event.how, HOW_OK);
}

/* Soft limits go with the tasks, by leg; over the hard one a task is another's, and its worker's place is
 * taken until it answers. */
static void test_limits_by_leg(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *slow = &w->workers[1], *other = &w->workers[2];
    w->options.policies.others.limit_ms = 30000;
    w->options.policies.others.limit_hard_ms = 60000;
    w->options.policies.count = 1;
    snprintf(w->options.policies.legs[0].leg, NAME_BYTES_MAX, "restart");
    w->options.policies.legs[0].policy = w->options.policies.others;
    w->options.policies.legs[0].policy.limit_ms = 100;
    w->options.policies.legs[0].policy.limit_hard_ms = 300;
    world_start(w, 64, 1);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && slow->tasks_count == 1);
    assert_int_equal(w->workers[0].limit_ms, 30000);
    assert_int_equal(slow->limit_ms, 100);
    worker_ping(slow, 1);
    PUMP_UNTIL(w, p->told_count == 1);
    assert_int_equal(p->told[0].event.how, HOW_TIMEOUT);
    assert_string_equal(p->told[0].label, "worker-1");
    pump_ms(w, 150);
    assert_int_equal(slow->tasks_count, 1);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 1);
    /* One that has less room than the first, but has not let it go over the limit. */
    worker_start(w, 2, "restart-simulate", "restart", 1);
    PUMP_UNTIL(w, other->tasks_count == 1);
    assert_int_equal(other->tasks[0].try_no, 2);
    worker_results(slow, 1, 0, 0, OUTCOME_TRANSIENT);
    PUMP_UNTIL(w, roster_outstanding(w->consumer.roster, 1) == 0);
    assert_int_equal(held(w).late, 1);
    worker_results(other, 1, 0, 0, OUTCOME_OK);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    assert_int_equal(held(w).timeouts[1], 1);
}

/* Nobody else is there: the worker that let it go over the limit gets it again. */
static void test_over_the_limit_and_alone(void **state)
{
    world_t *w = *state;
    w->options.policies.others.limit_hard_ms = 200;
    world_start(w, 64, 2);
    deliver(w, 0, 1, 1, 0, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 1);
    worker_ping(&w->workers[1], 1);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 2);
    assert_int_equal(w->workers[1].tasks[1].try_no, 2);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 2);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[RESTART] == 1);
    worker_results(&w->workers[1], 2, 1, 1, OUTCOME_OK);
    PUMP_UNTIL(w, roster_outstanding(w->consumer.roster, 1) == 0);
}

static void test_a_long_wait_goes_back(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    w->options.gather.release_after_ms = 1000;
    w->options.policies.others.backoff = (backoff_t){.base_ms = 3600000, .factor = 1, .cap_ms = 3600000};
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && w->workers[1].tasks_count == 1);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_TRANSIENT);
    PUMP_UNTIL(w, p->told_count == 1);
    assert_int_equal(held(w).held, 1); /* save is at work */
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).released == 1);
    const step_t *last = &p->steps[p->steps_count - 1];
    assert_int_equal(last->op, OP_RELEASE);
    assert_int_equal(last->done, 1 << SAVE);
    assert_in_range(last->ms, 1000, 3600000);
    assert_int_equal(held(w).held, 0);
}

/* One leg that fails does not keep another from being done, told in time and left alone after that. */
static void test_a_leg_done_is_told_while_the_other_fails(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    w->options.policies.others.max_tries = 100;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && w->workers[1].tasks_count == 1);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_TRANSIENT);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, p->steps_count > 0 && p->steps[p->steps_count - 1].done == 1 << SAVE);
    for (uint32_t i = 1; i < 10; i++) {
        PUMP_UNTIL(w, w->workers[1].tasks_count == i + 1);
        worker_results(&w->workers[1], i + 1, i, i, OUTCOME_TRANSIENT);
    }
    /* Its lease was lost meanwhile, and it comes again for what is open. */
    deliver(w, 0, 1, 1, 1000, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 11);
    worker_results(&w->workers[1], 11, 10, 10, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    assert_int_equal(w->workers[0].tasks_count, 1);
}

typedef struct {
    char text[16384];
    size_t len;
} lines_t;

static void take_line(void *arg, const char *line, size_t len)
{
    lines_t *l = arg;
    l->len += (size_t)snprintf(l->text + l->len, sizeof l->text - l->len, "%.*s\n", (int)len, line);
}

static void test_the_dump_says_who_has_what(void **state)
{
    world_t *w = *state;
    static lines_t lines;
    lines.len = 0;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && w->workers[1].tasks_count == 1);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_TRANSIENT);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 2);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[SAVE] == 1);
    log_open("test", LOG_INFO);
    log_divert(take_line, &lines);
    report_dump(&w->consumer);
    log_divert(NULL, NULL);
    log_open("test", LOG_ERROR);
    assert_non_null(strstr(lines.text, "0000000000000384-1 save done, 0 tries failed; restart at worker 1 "
                                       "(worker-1), try 2 for "));
    assert_non_null(strstr(lines.text, "workers.restart.timeouts 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_limits_by_leg),
        WORLD_TEST(test_over_the_limit_and_alone),
        WORLD_TEST(test_a_long_wait_goes_back),
        WORLD_TEST(test_a_leg_done_is_told_while_the_other_fails),
        WORLD_TEST(test_the_dump_says_who_has_what),
        WORLD_TEST(test_tries_are_told_in_the_publishers_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The consumer as a whole when tries fail: what its publishers are told, and what its workers are asked. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_tries_are_told_in_the_publishers_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

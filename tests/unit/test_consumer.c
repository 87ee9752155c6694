/* The consumer as a whole: what its publishers and workers see of it when all goes well, and its drain. */
#include "tests/unit/consumer_world.h"
#include <jansson.h>

enum { SAVE, RESTART, BOTH = 3 };

static void test_a_message_goes_through(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *save = &w->workers[0], *restart = &w->workers[1];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 50, BOTH);
    PUMP_UNTIL(w, save->tasks_count == 1 && restart->tasks_count == 1);
    assert_int_equal(save->tasks[0].id.stream, 900);
    assert_int_equal(save->tasks[0].id.seq, 1);
    assert_int_equal(save->tasks[0].try_no, 1);
    worker_results(save, 1, 0, 0, OUTCOME_OK);
    worker_results(restart, 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    /* One step, or two when the second leg came later than --report-after. */
    const step_t *last = &p->steps[p->steps_count - 1];
    assert_int_equal(last->done, BOTH);
    assert_int_equal(last->token, 51);
    assert_int_equal(last->op, OP_NONE);
    assert_int_equal(held(w).held, 0);
    assert_int_equal(counts(w).consumed, 1);
}

static void test_no_window_while_a_leg_has_no_worker(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    publisher_start(w, 0, "save", "restart");
    consumer_start(w);
    worker_start(w, 0, "save-sqlite", "save", 64);
    PUMP_UNTIL(w, p->peer != PEER_NONE && w->workers[0].welcome);
    pump_ms(w, 100);
    assert_int_equal(p->window, 0);
    worker_start(w, 1, "restart-simulate", "restart", 32);
    PUMP_UNTIL(w, p->window == 32 + 100);
    worker_window(&w->workers[1], 8);
    PUMP_UNTIL(w, p->window == 8 + 100);
    worker_bye(&w->workers[1]);
    PUMP_UNTIL(w, p->window == 0);
}

static void test_publishers_share_the_window_and_name_legs_as_they_like(void **state)
{
    world_t *w = *state;
    publisher_world_t *a = &w->publishers[0], *b = &w->publishers[1];
    w->options.publishers_count = 2;
    publisher_start(w, 1, "restart", "save");
    world_start(w, 64, 64);
    PUMP_UNTIL(w, a->window == 82 && b->window == 82);
    deliver(w, 1, 7, 7, 0, BOTH);
    PUMP_UNTIL(w, w->workers[SAVE].tasks_count == 1 && w->workers[RESTART].tasks_count == 1);
    worker_results(&w->workers[RESTART], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, b->steps_count == 1);
    assert_int_equal(b->steps[0].done, 1); /* its own bit for restart */
    worker_results(&w->workers[SAVE], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    assert_int_equal(a->steps_count, 0);
    publisher_stop(w, 0);
    PUMP_UNTIL(w, b->window == 164);
}

static void test_many_messages_few_frames(void **state)
{
    world_t *w = *state;
    enum { MANY = 900 };
    world_start(w, 1000, 1000);
    worker_start(w, 2, "save-sqlite", "save", 1000);
    PUMP_UNTIL(w, w->workers[2].welcome);
    deliver(w, 0, 1, MANY, 0, BOTH);
    const worker_world_t *k = w->workers;
    PUMP_UNTIL(w, k[0].tasks_count + k[2].tasks_count == MANY && k[1].tasks_count == MANY);
    /* Half each, and frames of up to --batch (100): not one for each message. */
    assert_in_range(k[0].tasks_count, MANY / 2 - 130, MANY / 2 + 130);
    assert_true(k[0].frames <= 7 && k[2].frames <= 7 && k[1].frames <= 9);
    worker_results(&w->workers[0], 1, 0, k[0].tasks_count - 1, OUTCOME_OK);
    worker_results(&w->workers[1], 1, 0, MANY - 1, OUTCOME_OK);
    worker_results(&w->workers[2], 1, 0, k[2].tasks_count - 1, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == MANY);
    assert_true(w->publishers[0].frames < MANY / 10);
    assert_int_equal(held(w).late, 0);
}

/* A publisher that has changed its legs still lists the old ones: new messages do not wait for a worker of
 * those. */
static void test_leg_of_old_messages_only(void **state)
{
    world_t *w = *state;
    w->publishers[0].old_legs = 1 << RESTART;
    publisher_start(w, 0, "save", "restart");
    consumer_start(w);
    worker_start(w, 0, "save-sqlite", "save", 64);
    PUMP_UNTIL(w, w->publishers[0].window == 164);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    worker_start(w, 1, "restart-simulate", "restart", 1);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 1);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
}

static void test_no_more_than_a_workers_window(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 3);
    deliver(w, 0, 1, 10, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    pump_ms(w, 50);
    assert_int_equal(restart->tasks_count, 3);
    worker_results(restart, 1, 0, 1, OUTCOME_OK);
    PUMP_UNTIL(w, restart->tasks_count == 5);
    pump_ms(w, 50);
    assert_int_equal(restart->tasks_count, 5);
    assert_int_equal(restart->tasks[4].id.seq, 5);
    assert_int_equal(restart->seen, 1);
}

static void test_extended_while_it_is_held(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    w->options.gather.extend_every_ms = 100;
    world_start(w, 64, 64);
    p->answer = STEP_KEPT;
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, p->steps_count == 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p->steps[i].op, OP_EXTEND);
        assert_int_equal(p->steps[i].ms, 3000);
    }
    assert_int_equal(held(w).held, 1);
}

static void test_status(void **state)
{
    static const char *const keys[] = {"uptime_ms", "held",     "reporting", "window",   "window_max",
                                       "consumed",  "acked",    "dead",      "released", "extended",
                                       "late",      "draining", "stalls"};
    static const char *const worker_keys[] = {"count",       "window", "outstanding", "waiting", "running",
                                              "backing_off", "done",   "bad",         "retries"};
    static const char *const refused_keys[] = {"malformed", "unknown", "limit",
                                               "parts",     "endless", "messages"};
    world_t *w = *state;
    world_start(w, 64, 3);
    deliver(w, 0, 1, 10, 0, BOTH);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 3);
    status_ask(w);
    PUMP_UNTIL(w, w->report[0] != '\0');
    json_t *all = json_loads(w->report, 0, NULL);
    assert_non_null(all);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_true(json_is_integer(json_object_get(all, keys[i])));
    for (size_t i = 0; i < sizeof refused_keys / sizeof refused_keys[0]; i++)
        assert_true(json_is_integer(json_object_get(json_object_get(all, "refused"), refused_keys[i])));
    json_t *restart = json_object_get(json_object_get(all, "workers"), "restart");
    for (size_t i = 0; i < sizeof worker_keys / sizeof worker_keys[0]; i++)
        assert_true(json_is_integer(json_object_get(restart, worker_keys[i])));
    assert_string_equal(json_string_value(json_object_get(all, "role")), "consumer");
    assert_string_equal(json_string_value(json_object_get(restart, "kind")), "restart-simulate");
    assert_int_equal(json_integer_value(json_object_get(all, "held")), 10);
    assert_int_equal(json_integer_value(json_object_get(all, "window")), 103);
    assert_int_equal(json_integer_value(json_object_get(restart, "waiting")), 7);
    assert_int_equal(json_integer_value(json_object_get(restart, "running")), 3);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "publishers"), "connected")), 1);
    assert_true(json_is_real(json_object_get(json_object_get(all, "rate"), "acked")));
    json_decref(all);
}

/* --- drain --- */

static void test_drain(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 2);
    p->answer = STEP_KEPT;
    deliver(w, 0, 1, 5, 0, 1 << RESTART);
    p->legs = 1 << RESTART;
    PUMP_UNTIL(w, restart->tasks_count == 2);
    consumer_drain(&w->consumer);
    PUMP_UNTIL(w, p->window == 0 && p->steps_count == 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p->steps[i].op, OP_RELEASE);
    assert_false(consumer_drained(&w->consumer));
    /* What is still delivered goes back at once. */
    deliver(w, 0, 6, 6, 0, 1 << RESTART);
    PUMP_UNTIL(w, p->steps_count == 4);
    assert_int_equal(p->steps[3].id.seq, 6);
    assert_int_equal(p->steps[3].op, OP_RELEASE);
    worker_results(restart, 1, 0, 1, OUTCOME_OK);
    PUMP_UNTIL(w, consumer_drained(&w->consumer));
    assert_int_equal(restart->tasks_count, 2);
    assert_int_equal(counts(w).acked, 2);
    assert_int_equal(counts(w).released, 4);
    upstream_close(&w->consumer.upstream, 100); /* nobody answers here while it waits */
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (p->peer != PEER_NONE) {
        assert_true(clock_ms() < until_ms);
        server_receive(p->server, 10);
    }
}

static void test_drain_waits_for_the_last_answer(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    p->mute = true;
    deliver(w, 0, 1, 1, 0, 1);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, p->steps_count == 1);
    consumer_drain(&w->consumer);
    pump_ms(w, 100);
    assert_false(consumer_drained(&w->consumer));
    buffer_t b;
    buffer_init(&b);
    encode_settled(&b, p->last_no, (const uint8_t[]){STEP_DONE}, 1);
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_done(&b);
    PUMP_UNTIL(w, consumer_drained(&w->consumer));
}

static void test_drain_has_an_end(void **state)
{
    world_t *w = *state;
    w->options.drain_ms = 200;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 1);
    int64_t start_ms = clock_ms();
    consumer_drain(&w->consumer);
    PUMP_UNTIL(w, consumer_drained(&w->consumer));
    assert_in_range(clock_ms() - start_ms, 150, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_message_goes_through),
        WORLD_TEST(test_no_window_while_a_leg_has_no_worker),
        WORLD_TEST(test_publishers_share_the_window_and_name_legs_as_they_like),
        WORLD_TEST(test_many_messages_few_frames),
        WORLD_TEST(test_leg_of_old_messages_only),
        WORLD_TEST(test_no_more_than_a_workers_window),
        WORLD_TEST(test_extended_while_it_is_held),
        WORLD_TEST(test_status),
        WORLD_TEST(test_drain),
        WORLD_TEST(test_drain_waits_for_the_last_answer),
        WORLD_TEST(test_drain_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

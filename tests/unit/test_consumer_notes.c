/* The consumer as a whole between workers that record what they are about to do and publishers that keep it.
 */
#include "tests/unit/consumer_world.h"

enum { SAVE, RESTART, BOTH = 3, GRANT_MS = 5000 };

/* One message, and its restart at worker 1. */
static void restart_given(world_t *w)
{
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 1);
}

/* The publisher's numbers of legs are the other way round. */
static void test_a_note_goes_up_and_a_grant_comes_down(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *k = &w->workers[1];
    consumer_start(w);
    worker_start(w, 0, "save-sqlite", "save", 64);
    PUMP_UNTIL(w, w->workers[0].welcome);
    publisher_start(w, 0, "restart", "save");
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, p->window > 0);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, k->tasks_count == 1);
    assert_string_equal(k->note, "");
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, k->grants_count == 1);
    assert_true(k->grants[0].granted && k->grants[0].ref == k->tasks[0].ref);
    assert_int_equal(k->grants[0].try_no, 1);
    const step_t *s = &p->steps[p->steps_count - 1];
    assert_int_equal(s->op, OP_NOTE);
    assert_int_equal(s->note.bit, 0);
    assert_true(s->token == 1 && s->id.seq == 1);
    assert_in_range(s->ms, GRANT_MS - 1000, GRANT_MS);
    assert_string_equal(p->note, "intent");
    status_ask(w);
    PUMP_UNTIL(w, w->report[0] != '\0');
    assert_non_null(strstr(w->report, "\"notes\":{\"recorded\":1,\"granted\":1,\"refused\":0}"));
}

static void test_a_delivery_brings_it_to_the_worker(void **state)
{
    world_t *w = *state;
    w->publishers[0].brings = "an earlier intent";
    restart_given(w);
    assert_string_equal(w->workers[1].note, "an earlier intent");
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    assert_string_equal(w->workers[0].note, "");
}

static void test_what_is_refused(void **state)
{
    world_t *w = *state;
    worker_world_t *k = &w->workers[1];
    restart_given(w);
    /* By the publisher. */
    w->publishers[0].note_answer = STEP_KEPT;
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, k->grants_count == 1);
    assert_false(k->grants[0].granted);
    /* Here, at once: it is not his any more. */
    worker_results(k, 1, 0, 0, OUTCOME_OK);
    uint32_t steps = w->publishers[0].steps_count;
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, k->grants_count == 2);
    assert_false(k->grants[1].granted);
    assert_true(k->grants[1].ref == k->tasks[0].ref);
    for (uint32_t i = steps; i < w->publishers[0].steps_count; i++)
        assert_int_not_equal(w->publishers[0].steps[i].op, OP_NOTE);
}

/* A frame with a task of another leg is refused whole. */
static void test_of_another_leg(void **state)
{
    world_t *w = *state;
    worker_world_t *k = &w->workers[1];
    restart_given(w);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    k->tasks[k->tasks_count++] = w->workers[0].tasks[0];
    worker_note(k, 1, GRANT_MS, "intent");
    PUMP_UNTIL(w, k->error == ERR_MALFORMED);
    assert_int_equal(held(w).notes, 0);
    assert_int_equal(k->grants_count, 0);
}

/* In the turn in which a try ends its note comes first. */
static void test_a_note_comes_before_the_result(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    restart_given(w);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    worker_note(&w->workers[1], 0, 0, "");
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_PERMANENT);
    PUMP_UNTIL(w, counts(w).dead == 1);
    uint32_t at = 0;
    while (p->steps[at].op != OP_NOTE)
        assert_true(++at < p->steps_count);
    assert_int_equal(p->steps[at].bad, 0);
    assert_true(at < p->steps_count - 1);
    assert_string_equal(p->note, "");
    assert_int_equal(w->workers[1].grants_count, 0);
}

/* The answer is still to come when the connection goes: the step is sent again, and the worker is told. */
static void test_the_publisher_comes_back(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *k = &w->workers[1];
    restart_given(w);
    p->mute = true;
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, p->note[0] != '\0');
    publisher_stop(w, 0);
    p->note[0] = '\0';
    p->mute = false;
    publisher_start(w, 0, "save", "restart");
    PUMP_UNTIL(w, k->grants_count == 1);
    assert_true(k->grants[0].granted);
    assert_string_equal(p->note, "intent");
}

/* A session goes on over another connection: that is where its answer goes. */
static void test_the_worker_comes_back(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *k = &w->workers[1];
    restart_given(w);
    p->mute = true;
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, p->note[0] != '\0');
    worker_cut(w, 1);
    worker_connect(w, 1);
    worker_hello(k, &k->tasks[0].ref, 1);
    PUMP_UNTIL(w, k->welcome);
    publisher_stop(w, 0);
    p->mute = false;
    publisher_start(w, 0, "save", "restart");
    PUMP_UNTIL(w, k->grants_count == 1);
    assert_true(k->grants[0].granted && k->grants[0].ref == k->tasks[0].ref);
    assert_int_equal(k->tasks_count, 1);
}

/* He has gone with his request; the next one gets the task, with what the first has recorded. */
static void test_the_worker_is_gone(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    worker_world_t *k = &w->workers[1], *other = &w->workers[2];
    restart_given(w);
    p->mute = true;
    worker_note(k, 0, GRANT_MS, "intent");
    PUMP_UNTIL(w, p->note[0] != '\0');
    worker_bye(k);
    PUMP_UNTIL(w, roster_workers(w->consumer.roster, RESTART) == 0);
    publisher_stop(w, 0);
    p->mute = false;
    publisher_start(w, 0, "save", "restart");
    PUMP_UNTIL(w, held(w).refused == 1);
    worker_start(w, 2, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, other->tasks_count == 1);
    assert_string_equal(other->note, "intent");
    assert_int_equal(k->grants_count + other->grants_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_note_goes_up_and_a_grant_comes_down),
        WORLD_TEST(test_a_delivery_brings_it_to_the_worker),
        WORLD_TEST(test_what_is_refused),
        WORLD_TEST(test_of_another_leg),
        WORLD_TEST(test_a_note_comes_before_the_result),
        WORLD_TEST(test_the_publisher_comes_back),
        WORLD_TEST(test_the_worker_comes_back),
        WORLD_TEST(test_the_worker_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The consumer as a whole among publishers and workers that vanish, come back, break their credit or speak
 * nonsense. */
#include "tests/unit/consumer_world.h"

enum { SAVE, RESTART, BOTH = 3 };

static bool released(const publisher_world_t *p, uint32_t from)
{
    for (uint32_t i = from; i < p->steps_count; i++)
        if (p->steps[i].op != OP_RELEASE || p->steps[i].done != 0)
            return false;
    return p->steps_count > from;
}

/* --- publishers --- */

static void test_progress_is_kept_until_it_is_settled(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    p->answer = STEP_KEPT;
    deliver(w, 0, 1, 2, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 2 && w->workers[1].tasks_count == 2);
    p->mute = true;
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).reporting == 1 && p->steps_count > 0);
    pump_ms(w, 100);
    uint64_t last_no = p->last_no;

    publisher_stop(w, 0);
    p->steps_count = 0;
    p->mute = false;
    publisher_start(w, 0, "save", "restart");
    /* It says what it holds, then tells again what was not answered, and extends what goes on. */
    PUMP_UNTIL(w, counts(w).acked == 1 && p->last_no > last_no);
    assert_int_equal(p->held_count, 4);
    assert_int_equal(p->held[0], 900);
    PUMP_UNTIL(w, p->steps[p->steps_count - 1].op == OP_EXTEND);
    assert_int_equal(p->steps[0].done, BOTH);
    assert_int_equal(p->steps[p->steps_count - 1].id.seq, 2);
    assert_int_equal(held(w).held, 1);
}

static void test_a_known_session_sends_again_after_who(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    p->mute = true;
    deliver(w, 0, 1, 1, 0, 1 << SAVE);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_PERMANENT);
    PUMP_UNTIL(w, p->steps_count == 1);
    assert_int_equal(p->steps[0].bad, 1 << SAVE);
    uint32_t hellos = p->hellos;
    p->mute = false;
    buffer_t who;
    buffer_init(&who);
    encode_who(&who);
    assert_int_equal(server_send(p->server, p->peer, &who), 0);
    buffer_done(&who);
    p->legs = 1 << SAVE;
    PUMP_UNTIL(w, counts(w).dead == 1);
    assert_int_equal(p->hellos, hellos + 1);
    assert_int_equal(p->last_no, 1);
    assert_int_equal(p->steps_count, 2);
}

static void test_more_than_the_window_is_given_back(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    w->options.window_max = 8;
    w->options.gather.messages_max = 16;
    world_start(w, 64, 64);
    assert_int_equal(p->window, 8);
    deliver(w, 0, 1, 20, 0, BOTH);
    PUMP_UNTIL(w, p->steps_count == 4);
    assert_true(released(p, 0));
    assert_int_equal(p->steps[0].id.seq, 17);
    assert_int_equal(p->steps[0].token, 17);
    assert_true(p->steps[0].ms > 0);
    assert_int_equal(counts(w).refused, 4);
    assert_int_equal(held(w).held, 16);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 16);
}

static void test_a_leg_that_was_not_named_is_given_back(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH | 4);
    PUMP_UNTIL(w, p->steps_count == 1);
    assert_true(released(p, 0));
    pump_ms(w, 30);
    assert_int_equal(w->workers[0].tasks_count, 0);
    assert_int_equal(held(w).held, 0);
}

static void test_a_publisher_with_one_leg_too_many(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    consumer_start(w);
    /* Workers hold all numbers but one. */
    for (char leg[] = "a"; leg[0] < 'a' + LEGS_MAX - 1; leg[0]++)
        assert_true(legs_number(&w->consumer.legs, leg) >= 0);
    for (uint32_t leg = 0; leg < LEGS_MAX - 1; leg++)
        assert_int_equal(roster_join(w->consumer.roster, 1000 + leg, leg, "some", 1), 0);
    publisher_start(w, 0, "save", "restart");
    worker_start(w, 0, "save-sqlite", "save", 64);
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, p->peer != PEER_NONE && w->workers[0].welcome && w->workers[1].error == ERR_LIMIT);
    pump_ms(w, 50);
    assert_int_equal(p->window, 0);
    /* One leaves: its number goes to the leg that has none. */
    roster_leave(w->consumer.roster, 1000);
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, p->window == 164);
    for (uint32_t leg = 1; leg < LEGS_MAX - 1; leg++)
        roster_leave(w->consumer.roster, 1000 + leg);
}

static void test_nonsense_from_a_publisher(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    buffer_t b;
    buffer_init(&b);
    buffer_append(&b, "\xc1 nonsense", 10);
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_clear(&b);
    encode_status(&b); /* a command, but not here */
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_clear(&b);
    encode_settled(&b, 77, (const uint8_t[]){STEP_DONE},
                   1); /* never sent: may be one that was answered twice */
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_done(&b);
    PUMP_UNTIL(w, counts(w).dialer.malformed == 1 && counts(w).dialer.unknown == 1);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
}

static void test_an_answer_of_the_wrong_length(void **state)
{
    world_t *w = *state;
    publisher_world_t *p = &w->publishers[0];
    world_start(w, 64, 64);
    p->mute = true;
    deliver(w, 0, 1, 1, 0, 1);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1);
    worker_results(&w->workers[0], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, p->steps_count == 1);
    buffer_t b;
    buffer_init(&b);
    encode_settled(&b, p->last_no, (const uint8_t[]){STEP_DONE, STEP_DONE}, 2);
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_done(&b);
    PUMP_UNTIL(w, counts(w).dialer.malformed == 1);
    assert_int_equal(held(w).reporting, 1);
}

/* --- workers --- */

static void test_another_kind_is_refused(void **state)
{
    world_t *w = *state;
    world_start(w, 64, 64);
    worker_start(w, 2, "save-postgres", "save", 64);
    PUMP_UNTIL(w, w->workers[2].error == ERR_KIND);
    assert_int_equal(roster_workers(w->consumer.roster, SAVE), 1);
    /* When the last of the old kind is gone the new one may come. */
    worker_bye(&w->workers[0]);
    PUMP_UNTIL(w, roster_workers(w->consumer.roster, SAVE) == 0);
    worker_hello(&w->workers[2], NULL, 0);
    PUMP_UNTIL(w, w->workers[2].welcome);
}

static void test_a_session_that_changes_its_leg_begins_anew(void **state)
{
    world_t *w = *state;
    worker_world_t *k = &w->workers[0];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, 1 << SAVE);
    PUMP_UNTIL(w, k->tasks_count == 1);
    snprintf(k->hello.leg, sizeof k->hello.leg, "restart");
    snprintf(k->hello.kind, sizeof k->hello.kind, "restart-simulate");
    worker_hello(k, NULL, 0);
    PUMP_UNTIL(w, roster_workers(w->consumer.roster, RESTART) == 2);
    assert_int_equal(roster_workers(w->consumer.roster, SAVE), 0);
    assert_int_equal(held(w).waiting[SAVE], 1);
    PUMP_UNTIL(w, k->welcome);
}

static void test_a_worker_that_leaves_costs_no_try(void **state)
{
    world_t *w = *state;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 3);
    worker_start(w, 2, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, w->workers[2].welcome);
    worker_bye(&w->workers[1]);
    PUMP_UNTIL(w, w->workers[2].tasks_count == 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(w->workers[2].tasks[i].id.seq, i + 1);
        assert_int_equal(w->workers[2].tasks[i].try_no, 1);
    }
}

static void test_a_silent_worker_costs_a_try(void **state)
{
    world_t *w = *state;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 2, 0, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 2);
    worker_ping(&w->workers[1], 1);
    pump_ms(w, 50);
    worker_cut(w, 1);
    /* The others are heard. */
    int64_t start_ms = clock_ms();
    while (roster_workers(w->consumer.roster, RESTART) == 1) {
        assert_true(clock_ms() < start_ms + WAIT_MS);
        worker_window(&w->workers[0], 64);
        pump(w);
    }
    assert_true(clock_ms() - start_ms >= 2500);
    assert_int_equal(roster_workers(w->consumer.roster, SAVE), 1);
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 2);
    assert_int_equal(w->workers[1].tasks[0].try_no, 2);
    assert_int_equal(w->workers[1].tasks[1].try_no, 1); /* it had not begun */
}

static void test_a_cut_connection_loses_what_was_on_its_way(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    worker_cut(w, 1);
    worker_connect(w, 1);
    /* It has the second only, says so, and gets the others again. */
    uint64_t has = restart->tasks[1].ref;
    worker_hello(restart, &has, 1);
    PUMP_UNTIL(w, restart->tasks_count == 5);
    assert_int_equal(restart->tasks[3].id.seq, restart->tasks[0].id.seq);
    assert_int_equal(restart->tasks[3].try_no, 1);
    assert_true(restart->tasks[3].ref != restart->tasks[0].ref);
    assert_int_equal(restart->tasks[4].id.seq, restart->tasks[2].id.seq);
    worker_results(restart, 1, 1, 1, OUTCOME_OK);
    worker_results(restart, 2, 3, 4, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[RESTART] == 3);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 0);
    assert_int_equal(held(w).late, 0);
}

/* A HELLO that was only repeated, as the first WELCOME had not come yet, takes nothing back. */
static void test_a_repeated_hello(void **state)
{
    world_t *w = *state;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 3);
    w->workers[1].hello.window = 32;
    worker_hello(&w->workers[1], NULL, 0);
    PUMP_UNTIL(w, w->workers[1].welcome);
    pump_ms(w, 50);
    assert_int_equal(w->workers[1].tasks_count, 3);
    assert_int_equal(roster_capacity(w->consumer.roster, RESTART), 32);
}

/* Each WELCOME begins the count of started tasks anew, also one that answers a repeated HELLO. */
static void test_after_a_second_welcome_started_tasks_are_counted_anew(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    worker_hello(restart, NULL, 0);
    PUMP_UNTIL(w, restart->welcome);
    deliver(w, 0, 4, 5, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 5);
    worker_ping(restart, 1);
    pump_ms(w, 20);
    worker_cut(w, 1);
    while (roster_workers(w->consumer.roster, RESTART) == 1) {
        worker_window(&w->workers[0], 64);
        pump(w);
    }
    worker_start(w, 1, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(w->workers[1].tasks[i].try_no, w->workers[1].tasks[i].id.seq <= 4 ? 2 : 1);
}

static void test_results_count_once_and_in_order(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 4, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 4);
    worker_results(restart, 1, 0, 0, OUTCOME_TRANSIENT);
    PUMP_UNTIL(w, restart->tasks_count == 5); /* its second try */
    /* The same number again: sent twice. It is told at once that it was seen. */
    restart->seen = 0;
    worker_results(restart, 1, 4, 4, OUTCOME_PERMANENT);
    PUMP_UNTIL(w, restart->seen == 1);
    assert_int_equal(held(w).bad[RESTART], 0);
    /* Number 2 is missing: it is asked to begin again, and nothing is taken. */
    worker_results(restart, 3, 1, 1, OUTCOME_PERMANENT);
    PUMP_UNTIL(w, restart->who);
    assert_int_equal(held(w).bad[RESTART], 0);
    uint64_t has[4];
    for (uint32_t i = 0; i < 4; i++)
        has[i] = restart->tasks[i + 1].ref;
    worker_hello(restart, has, 4);
    PUMP_UNTIL(w, restart->welcome);
    worker_results(restart, 2, 1, 2, OUTCOME_OK);
    worker_results(restart, 3, 3, 4, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[RESTART] == 4);
    assert_int_equal(restart->tasks_count, 5);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 0);
}

/* After WHO a worker takes nothing before WELCOME: what was sent to it between is given again, also on the
 * same connection. */
static void test_what_was_sent_before_welcome_is_given_again(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    worker_ping(restart, 0);
    uint64_t has = restart->tasks[0].ref;
    worker_hello(restart, &has, 1);
    PUMP_UNTIL(w, restart->tasks_count == 5);
    assert_int_equal(restart->tasks[3].id.seq, 2);
    assert_int_equal(restart->tasks[3].try_no, 1);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 3);
}

/* One that was thought lost comes back with what it had: its window is as full as it was, what it has done
 * counts, and what failed there does not. */
static void test_a_lost_worker_comes_back_with_its_tasks(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 4);
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    worker_ping(restart, 3);
    pump_ms(w, 20);
    worker_cut(w, 1);
    while (roster_workers(w->consumer.roster, RESTART) == 1) {
        worker_window(&w->workers[0], 64);
        pump(w);
    }
    worker_connect(w, 1);
    uint64_t has[3];
    for (uint32_t i = 0; i < 3; i++)
        has[i] = restart->tasks[i].ref;
    worker_hello(restart, has, 3);
    PUMP_UNTIL(w, restart->welcome);
    /* There is room for one. */
    PUMP_UNTIL(w, restart->tasks_count == 4);
    pump_ms(w, 50);
    assert_int_equal(restart->tasks_count, 4);
    assert_int_equal(restart->tasks[3].try_no, 2);
    worker_results(restart, 1, 0, 1, OUTCOME_OK);
    worker_results(restart, 2, 2, 2, OUTCOME_PERMANENT);
    PUMP_UNTIL(w, held(w).done[RESTART] == 2);
    PUMP_UNTIL(w, restart->tasks_count > 4);
    uint32_t last = restart->tasks_count - 1;
    assert_int_equal(restart->tasks[last].id.seq, 3);
    worker_results(restart, 3, 3, last, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[RESTART] == 3);
    PUMP_UNTIL(w, held(w).held == 0);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 0);
    assert_int_equal(held(w).bad[RESTART], 0);
}

static void test_one_that_takes_no_more_is_told_what_was_seen(void **state)
{
    world_t *w = *state;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, 1 << RESTART);
    PUMP_UNTIL(w, w->workers[1].tasks_count == 1);
    worker_window(&w->workers[1], 0);
    int64_t start_ms = clock_ms();
    worker_results(&w->workers[1], 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, w->workers[1].seen == 1);
    assert_true(clock_ms() - start_ms < 500);
}

static void test_results_of_another_leg(void **state)
{
    world_t *w = *state;
    server_counts_t refused;
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, BOTH);
    PUMP_UNTIL(w, w->workers[0].tasks_count == 1 && w->workers[1].tasks_count == 1);
    worker_world_t *liar = &w->workers[1];
    liar->tasks[1] = w->workers[0].tasks[0];
    worker_results(liar, 1, 0, 1, OUTCOME_OK);
    do {
        pump(w);
        downstream_counts(w->consumer.downstream, &refused);
    } while (refused.malformed == 0);
    assert_int_equal(held(w).done[SAVE], 0);
    assert_int_equal(held(w).done[RESTART], 0); /* refused whole */
    worker_results(liar, 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).done[RESTART] == 1);
}

static void test_a_late_ok_is_a_fact(void **state)
{
    world_t *w = *state;
    worker_world_t *first = &w->workers[1], *second = &w->workers[2];
    world_start(w, 64, 64);
    deliver(w, 0, 1, 1, 0, 1 << RESTART);
    w->publishers[0].legs = 1 << RESTART;
    PUMP_UNTIL(w, first->tasks_count == 1);
    worker_start(w, 2, "restart-simulate", "restart", 64);
    PUMP_UNTIL(w, second->welcome);
    worker_cut(w, 1);
    worker_connect(w, 1);
    first->hello.window = 0;
    worker_hello(first, NULL, 0); /* holds nothing: it goes to the other */
    PUMP_UNTIL(w, second->tasks_count == 1);
    worker_results(first, 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, counts(w).acked == 1);
    assert_int_equal(roster_outstanding(w->consumer.roster, 2), 1);
    worker_results(second, 1, 0, 0, OUTCOME_OK);
    PUMP_UNTIL(w, held(w).late == 1);
    assert_int_equal(roster_outstanding(w->consumer.roster, 2), 0);
}

static void test_a_worker_that_cannot_be_reached_is_left_alone(void **state)
{
    world_t *w = *state;
    worker_world_t *restart = &w->workers[1];
    world_start(w, 64, 64);
    worker_cut(w, 1);
    pump_ms(w, 50); /* the socket knows that it is gone; the session lives on */
    deliver(w, 0, 1, 3, 0, 1 << RESTART);
    PUMP_UNTIL(w, held(w).waiting[RESTART] == 3);
    pump_ms(w, 100);
    assert_int_equal(held(w).waiting[RESTART], 3);
    assert_int_equal(roster_outstanding(w->consumer.roster, 1), 0);
    server_counts_t tried;
    downstream_counts(w->consumer.downstream, &tried);
    assert_in_range(tried.wire.unsendable, 1, 10); /* not in every turn */
    worker_connect(w, 1);
    worker_hello(restart, NULL, 0);
    PUMP_UNTIL(w, restart->tasks_count == 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(restart->tasks[i].id.seq, i + 1);
        assert_int_equal(restart->tasks[i].try_no, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_progress_is_kept_until_it_is_settled),
        WORLD_TEST(test_a_known_session_sends_again_after_who),
        WORLD_TEST(test_more_than_the_window_is_given_back),
        WORLD_TEST(test_a_leg_that_was_not_named_is_given_back),
        WORLD_TEST(test_a_publisher_with_one_leg_too_many),
        WORLD_TEST(test_nonsense_from_a_publisher),
        WORLD_TEST(test_an_answer_of_the_wrong_length),
        WORLD_TEST(test_another_kind_is_refused),
        WORLD_TEST(test_a_session_that_changes_its_leg_begins_anew),
        WORLD_TEST(test_a_worker_that_leaves_costs_no_try),
        WORLD_TEST(test_a_silent_worker_costs_a_try),
        WORLD_TEST(test_a_cut_connection_loses_what_was_on_its_way),
        WORLD_TEST(test_a_repeated_hello),
        WORLD_TEST(test_after_a_second_welcome_started_tasks_are_counted_anew),
        WORLD_TEST(test_results_count_once_and_in_order),
        WORLD_TEST(test_what_was_sent_before_welcome_is_given_again),
        WORLD_TEST(test_a_lost_worker_comes_back_with_its_tasks),
        WORLD_TEST(test_one_that_takes_no_more_is_told_what_was_seen),
        WORLD_TEST(test_results_of_another_leg),
        WORLD_TEST(test_a_late_ok_is_a_fact),
        WORLD_TEST(test_a_worker_that_cannot_be_reached_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

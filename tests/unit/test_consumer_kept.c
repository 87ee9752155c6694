/* PROGRESS frames until they are settled, and the numbers of legs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/kept.h"
#include "consumer/legs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 4 };

static int setup(void **state)
{
    static kept_t kept;
    kept_init(&kept, STEPS);
    *state = &kept;
    return 0;
}

static int teardown(void **state)
{
    kept_done(*state);
    return 0;
}

static void add(kept_t *k, uint64_t seq)
{
    step_t step = {.id = {.stream = 1, .seq = seq}, .token = 9, .done = 1};
    assert_int_equal(kept_add(k, &step, (kept_step_t){.slot = (uint32_t)seq}), 0);
}

/* One frame with one step. */
static void add_frame(kept_t *k, uint64_t seq)
{
    add(k, seq);
    assert_int_equal(kept_end(k), 0);
}

/* The number of the next frame to be sent, which then counts as sent; 0: none. */
static uint64_t send_one(kept_t *k)
{
    static step_t steps[RECORDS_MAX];
    uint64_t no;
    const buffer_t *frame = kept_unsent(k);
    if (frame == NULL)
        return 0;
    assert_true(decode_progress(frame->data, frame->len, &no, steps) > 0);
    kept_sent(k, 1000);
    return no;
}

static void test_frames_are_numbered_and_bounded(void **state)
{
    kept_t *k = *state;
    assert_true(kept_empty(k));
    assert_null(kept_unsent(k));
    for (uint64_t seq = 1; seq <= STEPS + 1; seq++)
        add(k, seq);
    assert_false(kept_empty(k));
    assert_int_equal(send_one(k), 1); /* full: ended by itself */
    assert_int_equal(send_one(k), 0);
    assert_int_equal(kept_end(k), 0);
    assert_int_equal(send_one(k), 2);
    assert_int_equal(kept_find(k, 1)->count, STEPS);
    assert_int_equal(kept_find(k, 1)->steps[0].slot, 1);
    assert_int_equal(kept_find(k, 2)->count, 1);
    assert_null(kept_find(k, 0));
    assert_null(kept_find(k, 3));
    kept_settled(k, 1);
    assert_null(kept_find(k, 1));
    kept_settled(k, 2);
    assert_true(kept_empty(k));
}

static void test_answers_in_any_order(void **state)
{
    kept_t *k = *state;
    for (uint64_t seq = 1; seq <= 4; seq++)
        add_frame(k, seq);
    while (send_one(k) != 0)
        ;
    kept_settled(k, 3);
    kept_settled(k, 1);
    kept_again(k);
    assert_int_equal(send_one(k), 2);
    assert_int_equal(send_one(k), 4);
    assert_int_equal(send_one(k), 0);
    kept_settled(k, 4);
    kept_settled(k, 2);
    assert_true(kept_empty(k));
    add_frame(k, 5);
    assert_int_equal(send_one(k), 5);
}

static void test_settled_while_it_was_to_be_sent_again(void **state)
{
    kept_t *k = *state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        add_frame(k, seq);
    while (send_one(k) != 0)
        ;
    kept_again(k);
    kept_settled(k, 1);
    kept_settled(k, 2);
    assert_int_equal(send_one(k), 3);
    kept_again(k);
    kept_settled(k, 3);
    assert_null(kept_unsent(k));
    assert_true(kept_empty(k));
}

static void test_the_oldest_is_sent_again_in_time(void **state)
{
    kept_t *k = *state;
    assert_true(kept_again_ms(k) == INT64_MAX);
    add_frame(k, 1);
    assert_true(kept_again_ms(k) == INT64_MAX); /* it was not sent yet */
    send_one(k);
    assert_true(kept_again_ms(k) == 1000 + KEPT_AGAIN_MS);
    kept_again(k);
    assert_true(kept_again_ms(k) == INT64_MAX);
}

static void test_room(void **state)
{
    kept_t *k = *state;
    uint64_t seq = 0;
    while (kept_room(k) > 0) {
        assert_int_equal(kept_room(k), STEPS);
        add_frame(k, ++seq);
    }
    assert_in_range(seq, KEPT_FRAMES_MAX - 2, KEPT_FRAMES_MAX);
    while (send_one(k) != 0)
        ;
    kept_settled(k, 1);
    assert_int_equal(kept_room(k), STEPS);
    /* What is promised there is room for, also beside a frame that is open. */
    add(k, ++seq);
    while (kept_room(k) > 0)
        for (uint32_t room = kept_room(k); room > 0; room--)
            add(k, ++seq);
    assert_int_equal(kept_end(k), 0);
    step_t step = {.id = {.stream = 1, .seq = 1}};
    int error = 0;
    for (int i = 0; i < 3 * STEPS && error == 0; i++)
        error = kept_add(k, &step, (kept_step_t){0});
    assert_int_equal(error, -ENOSPC);
}

static void test_long_texts_fill_a_frame_early(void **state)
{
    kept_t k;
    char text[TEXT_BYTES_MAX];
    (void)state;
    memset(text, 'x', sizeof text);
    kept_init(&k, RECORDS_MAX);
    step_t step = {.id = {.stream = 1, .seq = 1}, .bad = 1, .text = {text, sizeof text}};
    while (kept_room(&k) > 0)
        for (uint32_t room = kept_room(&k); room > 0; room--)
            assert_int_equal(kept_add(&k, &step, (kept_step_t){0}), 0);
    assert_int_equal(kept_end(&k), 0);
    const buffer_t *frame;
    while ((frame = kept_unsent(&k)) != NULL) {
        assert_true(frame->len <= FRAME_BYTES_MAX);
        kept_sent(&k, 0);
    }
    kept_done(&k);
}

/* --- legs --- */

typedef struct {
    gather_t *gather;
    roster_t *roster;
    legs_t legs;
    policies_t policies;
} legs_world_t;

static int legs_setup(void **state)
{
    static legs_world_t w;
    gather_limits_t limits = {.messages_max = 4, .policy.max_tries = 1};
    w.gather = gather_new(&limits);
    w.roster = roster_new();
    w.policies =
        (policies_t){.others = {.max_tries = 5}, .count = 1, .legs = {{"restart", {.max_tries = 3}}}};
    legs_init(&w.legs, w.gather, w.roster, &w.policies);
    *state = &w;
    return w.gather == NULL || w.roster == NULL;
}

static int legs_teardown(void **state)
{
    legs_world_t *w = *state;
    gather_destroy(&w->gather);
    roster_destroy(&w->roster);
    return 0;
}

static void test_a_name_keeps_its_number(void **state)
{
    legs_world_t *w = *state;
    assert_null(legs_name(&w->legs, 0));
    int save = legs_number(&w->legs, "save");
    w->legs.asked |= (uint8_t)(1u << save);
    int restart = legs_number(&w->legs, "restart");
    assert_true(save != restart);
    assert_int_equal(legs_number(&w->legs, "save"), save);
    assert_int_equal(legs_number(&w->legs, "restart"), restart);
    assert_string_equal(legs_name(&w->legs, (uint32_t)save), "save");
}

/* Each reason to keep a number, alone: asked for, served, a task in hand. */
static void test_a_name_brings_its_policy(void **state)
{
    legs_world_t *w = *state;
    uint32_t save = (uint32_t)legs_number(&w->legs, "save");
    assert_int_equal(roster_join(w->roster, 1, save, "k", 1), 0); /* or its number would go to the next */
    uint32_t restart = (uint32_t)legs_number(&w->legs, "restart");
    assert_int_equal(gather_policy_of(w->gather, save)->max_tries, 5);
    assert_int_equal(gather_policy_of(w->gather, restart)->max_tries, 3);
    w->policies.legs[0].policy.max_tries = 2;
    w->policies.others.max_tries = 7;
    legs_reload(&w->legs);
    assert_int_equal(gather_policy_of(w->gather, save)->max_tries, 7);
    assert_int_equal(gather_policy_of(w->gather, restart)->max_tries, 2);
}

static void test_numbers_in_use_are_not_given_away(void **state)
{
    legs_world_t *w = *state;
    int asked = legs_number(&w->legs, "asked");
    w->legs.asked = (uint8_t)(1u << asked);
    int served = legs_number(&w->legs, "served");
    assert_int_equal(roster_join(w->roster, 1, (uint32_t)served, "kind", 1), 0);
    int waiting = legs_number(&w->legs, "waiting");
    gather_message_t m = {.id = {1, 1}, .token = 1, .legs = (uint8_t)(1u << waiting)};
    assert_int_equal(gather_deliver(w->gather, &m, 0), 1);
    char name[8];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "x%d", i);
        int n = legs_number(&w->legs, name);
        assert_true(n >= 0 && n != asked && n != served && n != waiting);
    }
    assert_int_equal(legs_number(&w->legs, "asked"), asked);
    assert_int_equal(legs_number(&w->legs, "served"), served);
    assert_int_equal(legs_number(&w->legs, "waiting"), waiting);
}

static void test_all_numbers_in_use(void **state)
{
    legs_world_t *w = *state;
    w->legs.asked = 0;
    char name[8];
    for (int i = 0; i < LEGS_MAX; i++) {
        snprintf(name, sizeof name, "x%d", i);
        int n = legs_number(&w->legs, name);
        assert_true(n >= 0);
        w->legs.asked |= (uint8_t)(1u << n);
    }
    assert_int_equal(w->legs.asked, 255);
    assert_int_equal(legs_number(&w->legs, "more"), -ENOSPC);
    int known = legs_number(&w->legs, "x3");
    assert_true(known >= 0);
    w->legs.asked &= (uint8_t) ~(1u << known);
    assert_int_equal(legs_number(&w->legs, "more"), known);
}

int main(void)
{
#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LEGS_TEST(name) cmocka_unit_test_setup_teardown(name, legs_setup, legs_teardown)
    const struct CMUnitTest tests[] = {
        KEPT_TEST(test_frames_are_numbered_and_bounded),
        KEPT_TEST(test_answers_in_any_order),
        KEPT_TEST(test_settled_while_it_was_to_be_sent_again),
        KEPT_TEST(test_the_oldest_is_sent_again_in_time),
        KEPT_TEST(test_room),
        KEPT_TEST(test_long_texts_fill_a_frame_early),
        LEGS_TEST(test_a_name_keeps_its_number),
        LEGS_TEST(test_a_name_brings_its_policy),
        LEGS_TEST(test_numbers_in_use_are_not_given_away),
        LEGS_TEST(test_all_numbers_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

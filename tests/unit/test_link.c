#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/link.h"

static void test_greets_each_second(void **state)
{
    (void)state;
    link_t l;
    link_init(&l, 77, 5000);
    assert_true(l.session == 77);
    assert_int_equal(l.state, LINK_GREETING);
    assert_true(link_next_ms(&l) == 5000);
    assert_int_equal(link_tick(&l, 5000), LINK_SEND_HELLO);
    assert_int_equal(link_tick(&l, 5000), LINK_NOTHING);
    assert_true(link_next_ms(&l) == 6000);
    assert_int_equal(link_tick(&l, 5999), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 6000), LINK_SEND_HELLO);
}

static void test_a_greeting_that_nobody_answers_is_lost_too(void **state)
{
    (void)state;
    link_t l;
    link_init(&l, 77, 0);
    for (int round = 0; round < 3; round++) {
        const int64_t from_ms = round * DEAD_MS;
        for (int64_t now_ms = from_ms; now_ms < from_ms + DEAD_MS; now_ms += 1000)
            assert_int_equal(link_tick(&l, now_ms), LINK_SEND_HELLO);
        assert_true(link_next_ms(&l) == from_ms + DEAD_MS);
        assert_int_equal(link_tick(&l, from_ms + DEAD_MS), LINK_LOST);
        assert_int_equal(l.state, LINK_GREETING);
    }
}

static void test_a_greeting_is_not_lost_while_anything_is_heard_or_nothing_can_be_sent(void **state)
{
    (void)state;
    link_t l;
    link_init(&l, 77, 0);
    for (int64_t now_ms = 0; now_ms < 20000; now_ms += 1000) {
        assert_int_equal(link_tick(&l, now_ms), LINK_SEND_HELLO);
        if (now_ms % 2000 == 0)
            link_heard(&l, now_ms);
        else
            link_refused(&l, now_ms, 1000);
    }
    /* Who is refused for long is not silent. */
    link_refused(&l, 20000, 2 * DEAD_MS);
    assert_int_equal(link_tick(&l, 20000 + DEAD_MS), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 20000 + 2 * DEAD_MS), LINK_SEND_HELLO);
}

static void up(link_t *l, uint64_t server_session, int64_t now_ms)
{
    link_init(l, 77, now_ms);
    assert_int_equal(link_tick(l, now_ms), LINK_SEND_HELLO);
    link_said(l, now_ms);
    assert_false(link_welcome(l, server_session, now_ms));
    assert_int_equal(l->state, LINK_UP);
    assert_int_equal(link_tick(l, now_ms), LINK_NOTHING);
}

static void test_ping_after_a_second_of_own_silence(void **state)
{
    (void)state;
    link_t l;
    up(&l, 9, 0);
    assert_true(link_next_ms(&l) == 1000);
    assert_int_equal(link_tick(&l, 999), LINK_NOTHING);
    link_heard(&l, 999); /* what they say does not put it off */
    assert_int_equal(link_tick(&l, 1000), LINK_SEND_PING);
    assert_int_equal(link_tick(&l, 1000), LINK_NOTHING);
    link_said(&l, 1500); /* any frame does */
    assert_int_equal(link_tick(&l, 2499), LINK_NOTHING);
    assert_true(link_next_ms(&l) == 2500);
    assert_int_equal(link_tick(&l, 2500), LINK_SEND_PING);
}

static void test_lost_after_three_seconds(void **state)
{
    (void)state;
    link_t l;
    up(&l, 9, 0);
    link_heard(&l, 500);
    for (int64_t now_ms = 1000; now_ms < 3500; now_ms += 100) {
        link_said(&l, now_ms); /* our own frames are no life sign of theirs */
        assert_int_equal(link_tick(&l, now_ms), LINK_NOTHING);
    }
    assert_true(link_next_ms(&l) == 3500);
    assert_int_equal(link_tick(&l, 3500), LINK_LOST);
    assert_int_equal(l.state, LINK_GREETING);
    assert_true(link_next_ms(&l) == 3500);
    assert_int_equal(link_tick(&l, 3500), LINK_SEND_HELLO); /* at once, and LOST only once */
    assert_int_equal(link_tick(&l, 3500), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 4500), LINK_SEND_HELLO);
    /* The same process was only away. */
    assert_false(link_welcome(&l, 9, 4600));
    assert_int_equal(l.state, LINK_UP);
    assert_int_equal(link_tick(&l, 4600), LINK_NOTHING);
}

static void test_another_server_process_is_told(void **state)
{
    (void)state;
    link_t l;
    up(&l, 9, 0);
    assert_false(link_welcome(&l, 9, 10));
    assert_true(link_welcome(&l, 10, 20)); /* also while UP */
    assert_true(l.server_session == 10);
    assert_int_equal(link_tick(&l, 3020), LINK_LOST);
    assert_true(link_welcome(&l, 11, 3100));
    assert_false(link_welcome(&l, 11, 3200));
}

static void test_who_greets_once(void **state)
{
    (void)state;
    link_t l;
    up(&l, 9, 0);
    link_who(&l, 100);
    assert_int_equal(l.state, LINK_GREETING);
    assert_true(l.session == 77);
    assert_int_equal(link_tick(&l, 100), LINK_SEND_HELLO);
    link_who(&l, 101); /* the answer to a second frame that was under way */
    assert_int_equal(link_tick(&l, 101), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 1100), LINK_SEND_HELLO);
    assert_false(link_welcome(&l, 9, 1101));
}

static void test_refused_waits(void **state)
{
    (void)state;
    link_t l;
    link_init(&l, 77, 0);
    assert_int_equal(link_tick(&l, 0), LINK_SEND_HELLO);
    link_refused(&l, 10, 5000);
    assert_true(link_next_ms(&l) == 5010);
    link_who(&l, 20);
    assert_int_equal(link_tick(&l, 5009), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 5010), LINK_SEND_HELLO);
    assert_int_equal(link_tick(&l, 6010), LINK_SEND_HELLO);
    /* A session that is up can be refused too, and then does not count as lost. */
    up(&l, 9, 10000);
    link_refused(&l, 10010, 5000);
    assert_int_equal(l.state, LINK_GREETING);
    assert_int_equal(link_tick(&l, 13500), LINK_NOTHING);
    assert_int_equal(link_tick(&l, 15010), LINK_SEND_HELLO);
}

static void test_a_new_connection_is_greeted_at_once(void **state)
{
    (void)state;
    link_t l;
    up(&l, 9, 0);
    link_anew(&l, 100);
    assert_int_equal(l.state, LINK_GREETING);
    assert_true(link_next_ms(&l) == 100);
    assert_int_equal(link_tick(&l, 100), LINK_SEND_HELLO);
    assert_int_equal(link_tick(&l, 100), LINK_NOTHING);
    /* Again over the next one, whether the last HELLO was answered or not. */
    link_anew(&l, 200);
    assert_int_equal(link_tick(&l, 200), LINK_SEND_HELLO);
    assert_false(link_welcome(&l, 9, 210));
    assert_int_equal(link_tick(&l, 210), LINK_NOTHING);
    /* It is what a wait for somebody to be there was for. */
    link_wait(&l, 300, 1000);
    assert_int_equal(link_tick(&l, 400), LINK_NOTHING);
    link_anew(&l, 400);
    assert_int_equal(link_tick(&l, 400), LINK_SEND_HELLO);
}

static void test_who_refused_is_not_greeted_earlier_over_a_new_connection(void **state)
{
    (void)state;
    link_t l;
    link_init(&l, 77, 0);
    assert_int_equal(link_tick(&l, 0), LINK_SEND_HELLO);
    link_refused(&l, 10, 5000);
    for (int64_t now_ms = 100; now_ms <= 5000; now_ms += 100) {
        link_anew(&l, now_ms);
        assert_int_equal(link_tick(&l, now_ms), LINK_NOTHING);
    }
    assert_true(link_next_ms(&l) == 5010);
    assert_int_equal(link_tick(&l, 5010), LINK_SEND_HELLO);
    link_anew(&l, 5020);
    assert_int_equal(link_tick(&l, 5020), LINK_SEND_HELLO);
    /* What was said before the session was up is over. */
    link_refused(&l, 6000, 5000);
    assert_false(link_welcome(&l, 9, 6010));
    link_anew(&l, 6020);
    assert_int_equal(link_tick(&l, 6020), LINK_SEND_HELLO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greets_each_second),
        cmocka_unit_test(test_a_greeting_that_nobody_answers_is_lost_too),
        cmocka_unit_test(test_a_greeting_is_not_lost_while_anything_is_heard_or_nothing_can_be_sent),
        cmocka_unit_test(test_ping_after_a_second_of_own_silence),
        cmocka_unit_test(test_lost_after_three_seconds),
        cmocka_unit_test(test_another_server_process_is_told),
        cmocka_unit_test(test_who_greets_once),
        cmocka_unit_test(test_refused_waits),
        cmocka_unit_test(test_a_new_connection_is_greeted_at_once),
        cmocka_unit_test(test_who_refused_is_not_greeted_earlier_over_a_new_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

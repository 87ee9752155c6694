#include "cli/summary.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[1024];

static const char *write_summary(const summary_t *s)
{
    FILE *f = fmemopen(text, sizeof(text), "w");
    summary_write(s, f);
    fclose(f);
    return text;
}

static void all_went_well(void **state)
{
    (void)state;
    const summary_t s = {.counts = {1000, 1000, 0, 1000, 1000}, .seconds = 2, .data_dir = "d"};
    assert_string_equal(write_summary(&s), "1000 published, 1000 saved, 1000 restarted, 1000 acked, 0 dead\n"
                                           "2.00 s, 500 messages/s\n");
}

static void what_stays_and_what_was_there_is_told(void **state)
{
    (void)state;
    const summary_t s = {.counts = {.published = 10, .acked = 11, .dead = 1, .saved = 12, .restarted = 11},
                         .leftover = 5,
                         .backlog = 3,
                         .unpublished = 90,
                         .seconds = 4,
                         .data_dir = "d"};
    assert_string_equal(write_summary(&s),
                        "10 published, 12 saved, 11 restarted, 11 acked, 1 dead\n"
                        "4.00 s, 2.8 messages/s\n"
                        "90 of the load were not published\n"
                        "5 messages of an earlier run were there already\n"
                        "1 dead letter kept in d/outbox.db; see: mandrill dead list --data d\n"
                        "3 messages not finished: kept in d/outbox.db, the next run over it goes on\n");
}

static void what_a_stop_did(void **state)
{
    (void)state;
    summary_t s = {.counts = {.published = 9, .acked = 6},
                   .stopped = true,
                   .at_work = 5,
                   .finished = 4,
                   .released = 1,
                   .backlog = 3,
                   .data_dir = "d"};
    assert_string_equal(write_summary(&s),
                        "9 published, 0 saved, 0 restarted, 6 acked, 0 dead\n"
                        "stopped with 5 messages at work: 4 finished, 1 released\n"
                        "3 messages not finished: kept in d/outbox.db, the next run over it goes on\n");
    s.at_work = 1;
    s.finished = s.released = 0;
    s.left = 1;
    assert_non_null(strstr(write_summary(&s),
                           "stopped with 1 message at work: 0 finished, 0 released, 1 left as they were\n"));
}

static void no_time_is_no_rate(void **state)
{
    (void)state;
    const summary_t s = {.leftover = 1, .data_dir = "d"};
    assert_string_equal(write_summary(&s), "0 published, 0 saved, 0 restarted, 0 acked, 0 dead\n"
                                           "1 message of an earlier run was there already\n");
}

/* --- tally */

static void one_life_is_taken_as_it_is(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){10, 2, 1, 3, 4}, &(stock_t){7, 0});
    assert_int_equal(t.leftover, 0);
    tally_heard(&t, &(counts_t){20, 18, 2, 20, 18}, &(stock_t){0, 0});
    counts_t sum = tally_sum(&t);
    assert_true(sum.published == 20 && sum.acked == 18 && sum.dead == 2);
    assert_true(sum.saved == 20 && sum.restarted == 18);
    assert_int_equal(t.stock.backlog, 0);
}

static void what_was_there_before_is_known_from_the_first_word(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    /* 5 were there; since then 10 came, 3 were acked and 1 died. */
    tally_heard(&t, &(counts_t){.published = 10, .acked = 3, .dead = 1}, &(stock_t){11, 0});
    assert_int_equal(t.leftover, 5);
    /* It stays as it was. */
    tally_heard(&t, &(counts_t){.published = 10, .acked = 14, .dead = 1}, &(stock_t){0, 0});
    assert_int_equal(t.leftover, 5);
}

static void lives_are_added_up(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){50, 40, 1, 45, 41}, &(stock_t){9, 0});
    tally_publisher_gone(&t);
    counts_t sum = tally_sum(&t);
    assert_int_equal(sum.published, 50);
    tally_heard(&t, &(counts_t){50, 58, 0, 54, 57}, &(stock_t){1, 0});
    sum = tally_sum(&t);
    assert_true(sum.published == 100 && sum.acked == 98 && sum.dead == 1 && sum.saved == 99 &&
                sum.restarted == 98);
    assert_int_equal(t.leftover, 0);
}

static void a_finished_load_makes_good_what_a_crash_hid(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){50, 40, 0, 45, 41}, &(stock_t){15, 0});
    assert_int_equal(t.leftover, 5);
    /* It published 55, acked 48 and then crashed. */
    tally_publisher_gone(&t);
    tally_heard(&t, &(counts_t){45, 55, 2, 50, 50}, &(stock_t){0, 0});
    tally_settle(&t, 100);
    counts_t sum = tally_sum(&t);
    assert_int_equal(sum.published, 100);
    assert_int_equal(sum.acked, 103); /* 100 and 5 from before, less 2 dead */
    assert_int_equal(sum.dead, 2);
    assert_int_equal(sum.saved, 103);
    assert_int_equal(sum.restarted, 103);
}

static void the_dead_of_before_are_not_of_this_run(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){.published = 50, .acked = 30, .dead = 1}, &(stock_t){19, 7});
    assert_int_equal(tally_sum(&t).dead, 1);
    /* Two more died before it crashed, which nobody heard. */
    tally_publisher_gone(&t);
    assert_int_equal(tally_sum(&t).dead, 1);
    tally_heard(&t, &(counts_t){.published = 50, .acked = 65, .dead = 1}, &(stock_t){0, 10});
    assert_int_equal(tally_sum(&t).dead, 4);
    tally_settle(&t, 100);
    assert_int_equal(tally_sum(&t).acked, 96);
}

static void what_nobody_heard_shows_in_what_is_left(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){.published = 3, .acked = 2}, &(stock_t){1, 0});
    /* 30000 more came, and then it crashed. The next one is drained after 500. */
    tally_publisher_gone(&t);
    tally_heard(&t, &(counts_t){.published = 1, .acked = 500, .saved = 400}, &(stock_t){29502, 0});
    tally_settle(&t, 0);
    counts_t sum = tally_sum(&t);
    assert_int_equal(sum.published, 30004);
    assert_int_equal(sum.acked, 502);
    assert_int_equal(sum.saved, 502);
}

static void clients_publish_too(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){60, 55, 0, 55, 55}, &(stock_t){5, 0});
    tally_publisher_gone(&t);
    tally_heard(&t, &(counts_t){50, 55, 0, 55, 55}, &(stock_t){0, 0});
    tally_settle(&t, 100); /* and 10 of a client */
    assert_int_equal(tally_sum(&t).published, 110);
    assert_int_equal(tally_sum(&t).acked, 110);
}

static void settling_changes_nothing_when_all_was_heard(void **state)
{
    (void)state;
    tally_t t;
    tally_init(&t);
    tally_heard(&t, &(counts_t){100, 99, 1, 100, 99}, &(stock_t){0, 0});
    tally_settle(&t, 100);
    counts_t sum = tally_sum(&t);
    assert_true(sum.published == 100 && sum.acked == 99 && sum.dead == 1 && sum.saved == 100 &&
                sum.restarted == 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_went_well),
        cmocka_unit_test(what_stays_and_what_was_there_is_told),
        cmocka_unit_test(what_a_stop_did),
        cmocka_unit_test(no_time_is_no_rate),
        cmocka_unit_test(one_life_is_taken_as_it_is),
        cmocka_unit_test(what_was_there_before_is_known_from_the_first_word),
        cmocka_unit_test(lives_are_added_up),
        cmocka_unit_test(a_finished_load_makes_good_what_a_crash_hid),
        cmocka_unit_test(the_dead_of_before_are_not_of_this_run),
        cmocka_unit_test(what_nobody_heard_shows_in_what_is_left),
        cmocka_unit_test(clients_publish_too),
        cmocka_unit_test(settling_changes_nothing_when_all_was_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

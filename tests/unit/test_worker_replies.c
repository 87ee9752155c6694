#include "workers/replies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static replies_t r;
static result_record_t got[RECORDS_MAX];

static int setup(void **state)
{
    (void)state;
    replies_init(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    replies_done(&r);
    return 0;
}

static void add(uint64_t ref)
{
    const result_record_t result = {.ref = ref, .try_no = 1, .outcome = OUTCOME_OK, .text = {"", 0}};
    assert_int_equal(replies_add(&r, &result), 0);
}

/* One frame of the refs first .. first+n-1, ready to be sent. */
static void add_frame(uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        add(first + i);
    replies_close(&r);
}

/* The next frame to be sent has this number and so many results from this ref on. */
static void expect_unsent(uint64_t no, uint64_t first, int n)
{
    const buffer_t *frame = replies_unsent(&r);
    uint64_t got_no;
    assert_non_null(frame);
    assert_int_equal(proto_command(frame->data, frame->len, NULL), CMD_RESULTS);
    assert_int_equal(decode_results(frame->data, frame->len, &got_no, got), n);
    assert_int_equal(got_no, no);
    for (int i = 0; i < n; i++)
        assert_int_equal(got[i].ref, first + (uint64_t)i);
}

static void nothing_is_sent_of_nothing(void **state)
{
    (void)state;
    replies_close(&r);
    assert_null(replies_unsent(&r));
    replies_seen(&r, 99);
    replies_again(&r);
    replies_forget(&r);
    uint64_t ref;
    assert_int_equal(replies_refs(&r, &ref, 1), 0);
}

static void a_frame_is_sent_when_it_is_closed(void **state)
{
    (void)state;
    add(7);
    assert_null(replies_unsent(&r));
    add(8);
    replies_close(&r);
    expect_unsent(1, 7, 2);
    replies_sent(&r);
    assert_null(replies_unsent(&r));
    add_frame(9, 1);
    expect_unsent(2, 9, 1);
}

static void a_full_frame_closes_itself(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RECORDS_MAX; i++) {
        assert_null(replies_unsent(&r));
        add(i);
    }
    expect_unsent(1, 0, RECORDS_MAX);
    add(RECORDS_MAX);
    replies_close(&r);
    replies_sent(&r);
    expect_unsent(2, RECORDS_MAX, 1);
}

static void outcome_and_text_go_along(void **state)
{
    (void)state;
    const result_record_t result = {
        .ref = 5, .try_no = 3, .outcome = OUTCOME_TRANSIENT, .ms = 250, .text = {"time-out", 8}};
    assert_int_equal(replies_add(&r, &result), 0);
    replies_close(&r);
    expect_unsent(1, 5, 1);
    assert_int_equal(got[0].try_no, 3);
    assert_int_equal(got[0].outcome, OUTCOME_TRANSIENT);
    assert_int_equal(got[0].ms, 250);
    assert_int_equal(got[0].text.len, 8);
    assert_memory_equal(got[0].text.bytes, "time-out", 8);
}

static void what_is_seen_goes_and_the_rest_is_sent_again(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++) { /* more than the ring begins with */
        add_frame(i * 10, 2);
        replies_sent(&r);
    }
    replies_seen(&r, 17);
    replies_again(&r);
    expect_unsent(18, 170, 2);
    replies_sent(&r);
    expect_unsent(19, 180, 2);
    replies_sent(&r);
    expect_unsent(20, 190, 2);
    replies_sent(&r);
    assert_null(replies_unsent(&r));
    /* An older number says nothing new; a number from the future takes all that was sent. */
    replies_seen(&r, 3);
    assert_int_equal(r.count, 3);
    replies_seen(&r, UINT64_MAX);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.kept, 0);
    assert_int_equal(r.kept_bytes, 0);
}

/* Nobody can have seen what was not sent in this session; the number may be of one that was. */
static void what_is_not_sent_cannot_be_seen(void **state)
{
    (void)state;
    add_frame(1, 1);
    replies_seen(&r, 1);
    expect_unsent(1, 1, 1);
}

static void refs_of_all_that_is_kept_are_listed(void **state)
{
    (void)state;
    uint64_t refs[8];
    add_frame(10, 2);
    replies_sent(&r);
    add_frame(20, 2);
    add(30); /* still under construction: its task counts as held until it is closed */
    assert_int_equal(replies_refs(&r, refs, 8), 4);
    assert_int_equal(refs[0], 10);
    assert_int_equal(refs[3], 21);
    assert_int_equal(replies_refs(&r, refs, 3), 3);
    replies_close(&r);
    assert_int_equal(replies_refs(&r, refs, 8), 5);
}

static void another_consumer_begins_at_one(void **state)
{
    (void)state;
    add_frame(1, 3);
    replies_sent(&r);
    add(4); /* under construction */
    replies_forget(&r);
    assert_null(replies_unsent(&r));
    assert_int_equal(r.kept, 0);
    add_frame(5, 1);
    expect_unsent(1, 5, 1);
}

static void too_many_kept_results_drop_the_oldest(void **state)
{
    (void)state;
    const uint32_t frames = REPLIES_KEPT_MAX / RECORDS_MAX;
    for (uint32_t i = 0; i < frames; i++)
        add_frame((uint64_t)i * RECORDS_MAX, RECORDS_MAX);
    assert_int_equal(r.dropped, 0);
    add_frame((uint64_t)frames * RECORDS_MAX, 1);
    assert_int_equal(r.dropped, RECORDS_MAX);
    assert_true(r.kept <= REPLIES_KEPT_MAX);
    expect_unsent(2, RECORDS_MAX, RECORDS_MAX);
}

static void too_many_kept_bytes_drop_the_oldest(void **state)
{
    (void)state;
    char text[TEXT_BYTES_MAX];
    memset(text, 'x', sizeof text);
    const result_record_t result = {
        .ref = 1, .try_no = 1, .outcome = OUTCOME_PERMANENT, .text = {text, sizeof text}};
    for (uint32_t i = 0; i < 2 * REPLIES_BYTES_MAX / TEXT_BYTES_MAX; i++)
        assert_int_equal(replies_add(&r, &result), 0);
    replies_close(&r);
    assert_true(r.dropped > 0);
    assert_true(r.kept_bytes <= REPLIES_BYTES_MAX);
    assert_true(r.kept_bytes > REPLIES_BYTES_MAX / 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_sent_of_nothing),
        TEST(a_frame_is_sent_when_it_is_closed),
        TEST(a_full_frame_closes_itself),
        TEST(outcome_and_text_go_along),
        TEST(what_is_seen_goes_and_the_rest_is_sent_again),
        TEST(what_is_not_sent_cannot_be_seen),
        TEST(refs_of_all_that_is_kept_are_listed),
        TEST(another_consumer_begins_at_one),
        TEST(too_many_kept_results_drop_the_oldest),
        TEST(too_many_kept_bytes_drop_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

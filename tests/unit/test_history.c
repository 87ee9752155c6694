/* Histories: nothing twice, never too long, and what they say of tries and reasons. */
#include "common/core/history.h"
#include "tests/unit/event_fixture.h"

#include <errno.h>

static int add(buffer_t *history, event_t e)
{
    buffer_t b;
    buffer_init(&b);
    event_write(&b, &e);
    int r = history_add(history, b.data, b.len);
    buffer_done(&b);
    return r;
}

static event_t nth(const buffer_t *history, int n)
{
    return nth_event(history->data, history->len, n);
}

static const char *reason(const buffer_t *history, uint8_t bad, bool exhausted)
{
    static char text[REASON_BYTES_MAX + 1];
    text[history_reason(history->data, history->len, bad, exhausted, 6, text)] = '\0';
    return text;
}

static void test_events_are_kept_once(void **state)
{
    (void)state;
    buffer_t h;
    buffer_init(&h);
    assert_int_equal(add(&h, a_try(0, 1, HOW_TRANSIENT, "no")), 1);
    assert_int_equal(add(&h, a_try(1, 1, HOW_TRANSIENT, "no")), 1);
    assert_int_equal(add(&h, a_try(0, 1, HOW_TRANSIENT, "no")), 0);
    assert_int_equal(add(&h, a_try(0, 1, HOW_TRANSIENT, "yes")), 1);
    assert_int_equal(add(&h, a_try(0, 1, HOW_TRANSIENT, "on")), 1);
    assert_int_equal(add(&h, a_try(0, 1, HOW_TRANSIENT, "on")), 0);
    assert_int_equal(events_count(h.data, h.len), 4);
    assert_int_equal(nth(&h, 1).bit, 1);
    assert_int_equal(history_add(&h, h.data, 0), 0);
    buffer_done(&h);
}

static void test_what_is_no_event_changes_nothing(void **state)
{
    (void)state;
    buffer_t h;
    buffer_init(&h);
    assert_int_equal(add(&h, a_try(0, 1, HOW_LOST, "")), 1);
    size_t len = h.len;
    assert_int_equal(history_add(&h, "\x97\x00", 2), -EPROTO);
    assert_int_equal(history_add(&h, "x", 1), -EPROTO);
    assert_int_equal(h.len, len);
    buffer_done(&h);
}

static void test_the_oldest_are_told_as_one(void **state)
{
    enum { TRIES = 200 };
    (void)state;
    buffer_t h;
    buffer_init(&h);
    for (uint32_t no = 1; no <= TRIES; no++) {
        assert_int_equal(add(&h, a_try(0, no, HOW_TRANSIENT, "the host did not come back within 30 seconds")),
                         1);
        assert_true(h.len <= HISTORY_BYTES_MAX);
        int n = events_count(h.data, h.len);
        assert_true(n > 0);
        event_t first = nth(&h, 0), last = nth(&h, n - 1);
        assert_int_equal(last.no, no);
        if (first.how == HOW_OMITTED) {
            assert_int_equal(first.bit, EVENT_MESSAGE);
            assert_int_equal(first.since_ms, 1001);
            assert_int_equal(first.no + (uint32_t)n - 1, no); /* nothing is missing unsaid */
            assert_int_equal(nth(&h, 1).no, first.no + 1);
        } else {
            assert_int_equal(n, no);
        }
    }
    assert_int_equal(nth(&h, 0).how, HOW_OMITTED);
    assert_true(h.len > HISTORY_BYTES_MAX / 2);
    buffer_done(&h);
}

/* Whatever the sizes, the limit holds and the newest is there. */
static void test_large_events(void **state)
{
    (void)state;
    static char text[TEXT_BYTES_MAX];
    memset(text, 'x', sizeof text);
    buffer_t h, many;
    buffer_init(&h);
    for (uint32_t no = 1; no <= 50; no++) {
        event_t e = a_try(3, no, HOW_TIMEOUT, "");
        e.text = (text_t){text, (no * 337) % (TEXT_BYTES_MAX + 1)};
        assert_int_equal(add(&h, e), 1);
        assert_true(h.len <= HISTORY_BYTES_MAX);
        assert_int_equal(nth(&h, events_count(h.data, h.len) - 1).no, no);
    }
    /* More at once than there is room for. */
    buffer_init(&many);
    for (uint32_t no = 51; no <= 51 + STEP_EVENTS_MAX; no++) {
        event_t e = a_try(3, no, HOW_TIMEOUT, "");
        e.text = (text_t){text, TEXT_BYTES_MAX};
        event_write(&many, &e);
    }
    assert_int_equal(history_add(&h, many.data, many.len), STEP_EVENTS_MAX + 1);
    assert_true(h.len <= HISTORY_BYTES_MAX);
    int n = events_count(h.data, h.len);
    assert_int_equal(nth(&h, n - 1).no, 51 + STEP_EVENTS_MAX);
    assert_int_equal(nth(&h, 0).no + (uint32_t)n - 1, 51 + STEP_EVENTS_MAX);
    buffer_done(&many);
    buffer_done(&h);
}

static void test_tries(void **state)
{
    (void)state;
    buffer_t h;
    uint8_t tries[LEGS_MAX] = {0, 9};
    buffer_init(&h);
    add(&h, a_try(0, 2, HOW_TRANSIENT, ""));
    add(&h, a_try(0, 1, HOW_LOST, ""));
    add(&h, a_try(1, 3, HOW_TIMEOUT, ""));
    add(&h, a_try(2, 4, HOW_OK, ""));
    add(&h, a_try(3, 5, HOW_PERMANENT, ""));
    add(&h, a_try(7, TRIES_MAX, HOW_TIMEOUT, ""));
    add(&h,
        (event_t){.bit = EVENT_MESSAGE, .no = 7, .how = HOW_LEASE_LOST, .label = {"", 0}, .text = {"", 0}});
    history_tries(h.data, h.len, tries);
    const uint8_t expected[LEGS_MAX] = {2, 9, 0, 0, 0, 0, 0, TRIES_MAX};
    assert_memory_equal(tries, expected, LEGS_MAX);
    buffer_done(&h);
}

static void test_reasons(void **state)
{
    (void)state;
    buffer_t h;
    buffer_init(&h);
    assert_string_equal(reason(&h, 1, false), "permanent");
    assert_string_equal(reason(&h, 0, true), "deliveries: 6 leases lost");
    add(&h, a_try(0, 1, HOW_TRANSIENT, "busy"));
    add(&h, a_try(1, 1, HOW_PERMANENT, "no such host"));
    add(&h, a_try(0, 2, HOW_TIMEOUT, ""));
    assert_string_equal(reason(&h, 1, false), "tries exhausted");
    assert_string_equal(reason(&h, 2, false), "permanent: no such host");
    assert_string_equal(reason(&h, 3, true), "deliveries: 6 leases lost: no such host");
    add(&h, a_try(1, 2, HOW_OK, "after all"));
    assert_string_equal(reason(&h, 2, false), "permanent: no such host");
    add(&h, a_try(0, 3, HOW_LOST, "killed"));
    assert_string_equal(reason(&h, 3, false), "tries exhausted: killed");
    buffer_done(&h);
}

static void test_a_long_reason_is_cut_between_characters(void **state)
{
    (void)state;
    static char text[TEXT_BYTES_MAX + 1];
    buffer_t h;
    buffer_init(&h);
    for (int i = 0; i < TEXT_BYTES_MAX; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    add(&h, a_try(0, 1, HOW_PERMANENT, text));
    const char *r = reason(&h, 1, false);
    assert_int_equal(strncmp(r, "permanent: \xc3\xa4", 13), 0);
    assert_int_equal(strlen(r), REASON_BYTES_MAX - 1); /* "permanent: " leaves room for an odd number */
    assert_int_equal((uint8_t)r[strlen(r) - 1], 0xa4);
    buffer_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_kept_once),
        cmocka_unit_test(test_what_is_no_event_changes_nothing),
        cmocka_unit_test(test_the_oldest_are_told_as_one),
        cmocka_unit_test(test_large_events),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_a_long_reason_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

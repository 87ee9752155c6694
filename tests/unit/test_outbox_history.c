/* What is kept of failures: histories and tries, dead letters and their way back, delays in order. */
#include "tests/unit/event_fixture.h"
#include "tests/unit/outbox_sql.h"

enum { SAVE = 1, RESTART = 2, BOTH = 3 };

static int try_history(outbox_t *o, uint64_t id, event_t e, bool counts)
{
    buffer_t b;
    buffer_init(&b);
    event_write(&b, &e);
    assert_int_equal(outbox_begin(o), 0);
    int r = outbox_history(o, id, b.data, b.len, counts);
    if (r < 0)
        outbox_rollback(o);
    else
        assert_int_equal(outbox_commit(o), 0);
    buffer_done(&b);
    return r;
}

static void history(outbox_t *o, uint64_t id, event_t e)
{
    assert_true(try_history(o, id, e, true) >= 0);
}

static void bury(outbox_t *o, uint64_t id, uint8_t bad, int64_t wall_ms)
{
    change_one(o, &(delivery_change_t){.id = id, .kind = CHANGE_BURY, .bad = bad}, wall_ms);
}

typedef struct {
    uint64_t ids[32];
    char history[512], reason[256];
    outbox_letter_t last; /* without what it points to */
    size_t count, stop_at;
} letters_t;

static bool see_letter(void *arg, const outbox_letter_t *l)
{
    letters_t *s = arg;
    s->ids[s->count++] = l->id;
    s->last = *l;
    snprintf(s->history, sizeof s->history, "%s", history_text(l->events, l->events_len));
    snprintf(s->reason, sizeof s->reason, "%.*s", (int)l->reason.len, l->reason.bytes);
    return s->count != s->stop_at;
}

static letters_t letters(outbox_t *o, uint64_t after, uint64_t up_to, size_t max)
{
    letters_t s = {.count = 0};
    assert_int_equal(outbox_letters(o, after, up_to, max, see_letter, &s), 0);
    return s;
}

static letters_t letter(outbox_t *o, uint64_t id)
{
    letters_t s = letters(o, id - 1, id, 10);
    assert_int_equal(s.count, 1);
    return s;
}

static void tries_are_counted_and_kept_once(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 2);
    outbox_row_t row;
    history(o, first, a_try(1, 2, HOW_TRANSIENT, "no route"));
    history(o, first, a_try(1, 2, HOW_TRANSIENT, "no route"));
    history(o, first, a_try(1, 1, HOW_LOST, ""));
    assert_int_equal(try_history(o, first, a_try(1, 7, HOW_TIMEOUT, ""), false) >= 0, 1);
    assert_int_equal(try_history(o, first + 5, a_try(1, 7, HOW_TIMEOUT, ""), true), -ENOENT);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.tries[0], 0);
    assert_int_equal(row.tries[1], 2);
    assert_int_equal(row.done, 0);
    assert_int_equal(row.deliveries, 0);
    /* What else is noted on the message leaves them alone. */
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_MARK, .done = SAVE, .deliveries = 1}, 0);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.tries[1], 2);
    assert_int_equal(row.done, SAVE);
    seen_t s = scan_all(o);
    assert_int_equal(s.rows[0].tries[1], 2);
    assert_int_equal(s.rows[1].tries[1], 0);
    bury(o, first, RESTART, 9);
    assert_string_equal(letter(o, first).history, "1.2 TRANSIENT no route; 1.1 LOST; 1.7 TIMEOUT");
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_history(o, first, "nonsense", 8, true), -EPROTO);
    outbox_rollback(o);
    outbox_close(&o, true);
}

static void what_is_undone_is_not_kept(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 2);
    buffer_t b;
    outbox_row_t row;
    buffer_init(&b);
    event_t e = a_try(0, 1, HOW_TRANSIENT, "");
    event_write(&b, &e);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_history(o, first, b.data, b.len, true), 0);
    assert_int_equal(outbox_change(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_BURY}, 0), 0);
    outbox_rollback(o);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.tries[0], 0);
    assert_int_equal(outbox_dead(o), 0);
    assert_int_equal(outbox_died(o), 0);
    buffer_done(&b);
    outbox_close(&o, true);
}

static void a_dead_letter_has_everything(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 3);
    history(o, first, a_try(1, 1, HOW_PERMANENT, "no such host"));
    change_one(
        o,
        &(delivery_change_t){.id = first, .kind = CHANGE_BURY, .done = SAVE, .bad = RESTART, .deliveries = 1},
        777);
    /* Of the second nothing was known. */
    change_one(o,
               &(delivery_change_t){.id = first + 1, .kind = CHANGE_BURY, .deliveries = 6, .exhausted = true},
               778);
    history(o, first, a_try(0, 4, HOW_OK, "")); /* late: a fact */
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states"), 0);
    o = open_outbox(f);
    letters_t s = letter(o, first);
    assert_string_equal(s.history, "1.1 PERMANENT no such host; 0.4 OK");
    assert_string_equal(s.reason, "permanent: no such host");
    assert_int_equal(s.last.legs, BOTH);
    assert_int_equal(s.last.done, SAVE);
    assert_int_equal(s.last.bad, RESTART);
    assert_int_equal(s.last.deliveries, 1);
    assert_int_equal(s.last.died_ms, 777);
    assert_int_equal(s.last.body_len, 4);
    s = letter(o, first + 1);
    assert_string_equal(s.history, "");
    assert_string_equal(s.reason, "deliveries: 6 leases lost");
    assert_int_equal(s.last.died_ms, 778);
    outbox_close(&o, true);
}

static void letters_come_in_order(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 10);
    for (unsigned i = 0; i < 10; i += 2)
        bury(o, first + i, SAVE, 0);
    letters_t s = letters(o, 0, UINT64_MAX, 100);
    assert_int_equal(s.count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(s.ids[i], first + 2 * i);
    s = letters(o, first, first + 6, 2);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.ids[0], first + 2);
    assert_int_equal(letters(o, first, first + 6, 9).count, 3);
    s = (letters_t){.stop_at = 1};
    assert_int_equal(outbox_letters(o, 0, UINT64_MAX, 100, see_letter, &s), 0);
    assert_int_equal(s.count, 1);
    outbox_close(&o, true);
}

static void a_redriven_letter_is_a_message_again(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 2);
    outbox_row_t row;
    history(o, first, a_try(1, 5, HOW_TRANSIENT, "no route"));
    change_one(
        o,
        &(delivery_change_t){.id = first, .kind = CHANGE_BURY, .done = SAVE, .bad = RESTART, .deliveries = 3},
        0);
    assert_int_equal(redrive(o, first + 1, 5000), -ENOENT); /* it lives */
    assert_int_equal(redrive(o, first, 5000), 0);
    assert_int_equal(outbox_living(o), 2);
    assert_int_equal(outbox_dead(o), 0);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_living(o), 2);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_false(row.dead);
    assert_int_equal(row.done, SAVE);
    assert_int_equal(row.bad, 0);
    assert_int_equal(row.deliveries, 0);
    assert_int_equal(row.tries[1], 0);
    assert_int_equal(row.body_len, 4);
    assert_int_equal(row.not_before_ms, 5000);
    assert_int_equal(outbox_wait_ms(&row, 0), 1);
    /* It dies again, with all of it; and goes for good. */
    history(o, first, a_try(1, 1, HOW_TRANSIENT, "no route yet"));
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.tries[1], 1);
    bury(o, first, RESTART, 0);
    letters_t s = letter(o, first);
    assert_string_equal(s.history, "1.5 TRANSIENT no route; 8.0 REDRIVEN; 1.1 TRANSIENT no route yet");
    assert_string_equal(s.reason, "tries exhausted: no route yet");
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_DELETE}, 0);
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states"), 0);
    assert_int_equal(ask_sql(f->path, "SELECT rows * 100 + dead * 10 + states FROM meta"), 100);
}

static void purged_letters_are_gone(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 3);
    bury(o, first, SAVE, 0);
    bury(o, first + 1, SAVE, 0);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_purge(o, first), 0);
    assert_int_equal(outbox_purge(o, first), -ENOENT);
    assert_int_equal(outbox_purge(o, first + 2), -ENOENT);
    outbox_rollback(o);
    assert_int_equal(outbox_dead(o), 2);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_purge(o, first), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(outbox_dead(o), 1);
    assert_int_equal(outbox_living(o), 1);
    assert_int_equal(letters(o, 0, UINT64_MAX, 9).count, 1);
    outbox_close(&o, true);
}

/* Old dead letters that go do not make up for new ones. */
static void deaths_of_this_start_are_counted(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t old = insert_messages(o, 4);
    for (unsigned i = 0; i < 4; i++)
        bury(o, old + i, SAVE, 0);
    assert_int_equal(outbox_died(o), 4);
    outbox_close(&o, true);
    o = open_outbox(f);
    assert_int_equal(outbox_died(o), 0);
    uint64_t first = insert_messages(o, 4);
    for (unsigned i = 0; i < 4; i++)
        bury(o, first + i, SAVE, 0);
    assert_int_equal(outbox_died(o), 4);
    change_one(o, &(delivery_change_t){.id = old, .kind = CHANGE_DELETE}, 0); /* done late */
    assert_int_equal(redrive(o, old + 1, 0), 0);
    assert_int_equal(outbox_died(o), 4);
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_DELETE}, 0);
    assert_int_equal(outbox_died(o), 3);
    assert_int_equal(redrive(o, first + 1, 0), 0);
    assert_int_equal(outbox_died(o), 2);
    bury(o, first + 1, SAVE, 0);
    assert_int_equal(outbox_died(o), 3);
    /* Purged is not done. */
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_purge(o, first + 2), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(outbox_died(o), 3);
    outbox_close(&o, true);
}

static void delays_end_in_order(void **state)
{
    static const int64_t waits[] = {500, 300, 0, 100, 300, 900};
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 6);
    int64_t next_ms = 0;
    assert_int_equal(outbox_next_due(o, 0, 0, &next_ms), -ENOENT);
    for (unsigned i = 0; i < 6; i++)
        change_one(o, &(delivery_change_t){.id = first + i, .kind = CHANGE_MARK, .wait_ms = waits[i]}, 10000);
    seen_t s = {.count = 0};
    assert_int_equal(outbox_due(o, 0, 0, 10500, 100, see, &s), 0);
    static const unsigned expected[] = {3, 1, 4, 0};
    assert_int_equal(s.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(s.ids[i], first + expected[i]);
    assert_int_equal(s.rows[0].legs, BOTH);
    assert_null(s.rows[0].body);
    /* Between equals the id decides. */
    s = (seen_t){.count = 0};
    assert_int_equal(outbox_due(o, 10300, first + 1, 10500, 100, see, &s), 0);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.ids[0], first + 4);
    s = (seen_t){.count = 0};
    assert_int_equal(outbox_due(o, 10100, first + 3, 20000, 1, see, &s), 0);
    assert_int_equal(s.count, 1);
    assert_int_equal(outbox_next_due(o, 10500, first, &next_ms), 0);
    assert_int_equal(next_ms, 10900);
    assert_int_equal(outbox_next_due(o, 10900, first + 5, &next_ms), -ENOENT);
    outbox_close(&o, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tries_are_counted_and_kept_once),      TEST(what_is_undone_is_not_kept),
        TEST(a_dead_letter_has_everything),         TEST(letters_come_in_order),
        TEST(a_redriven_letter_is_a_message_again), TEST(purged_letters_are_gone),
        TEST(deaths_of_this_start_are_counted),     TEST(delays_end_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

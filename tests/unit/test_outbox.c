/* Rounds: what a commit makes true and a rollback undoes, and what can be asked afterwards. */
#include "tests/unit/outbox_sql.h"

static void insert_is_true_after_commit(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t id;
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_insert(o, 3, "abc", 3, &id), 0);
    assert_int_equal(id, TEST_EPOCH(1, 1));
    assert_int_equal(outbox_insert(o, 1, "", 0, &id), 0);
    assert_int_equal(id, TEST_EPOCH(1, 2));
    assert_int_equal(rows_of(o), 0);
    outbox_rollback(o);
    assert_int_equal(scan_all(o).count, 0);

    /* Ids of a round that was undone are given again: nobody has seen them. */
    assert_int_equal(insert_messages(o, 2), TEST_EPOCH(1, 1));
    assert_int_equal(rows_of(o), 2);
    outbox_row_t row;
    assert_int_equal(outbox_find(o, TEST_EPOCH(1, 2), &row), 0);
    assert_int_equal(row.legs, 3);
    assert_int_equal(row.done, 0);
    assert_int_equal(row.deliveries, 0);
    assert_int_equal(row.not_before_ms, 0);
    assert_false(row.dead);
    assert_int_equal(row.body_len, 4);
    assert_int_equal(*(const uint8_t *)row.body, 1);
    assert_int_equal(outbox_find(o, TEST_EPOCH(1, 3), &row), -ENOENT);
    outbox_close(&o, true);
}

/* More than goes into one statement, by rows and by bytes: some of it is written before the commit. */
static void a_large_round_is_undone_and_written_whole(void **state)
{
    enum { ROWS = 10000, LARGE = 60000 };
    static uint8_t body[LARGE];
    outbox_t *o = open_outbox(*state);
    for (int undone = 1; undone >= 0; undone--) {
        assert_int_equal(outbox_begin(o), 0);
        for (uint32_t i = 0; i < ROWS; i++) {
            uint64_t id;
            memcpy(body, &i, sizeof i);
            assert_int_equal(outbox_insert(o, 3, body, i % 100 == 7 ? LARGE : i % 100, &id), 0);
            assert_int_equal(id, TEST_EPOCH(1, i + 1));
        }
        if (undone)
            outbox_rollback(o);
        else
            assert_int_equal(outbox_commit(o), 0);
        assert_int_equal(rows_of(o), undone ? 0 : ROWS);
        assert_int_equal(scan_all(o).count, undone ? 0 : ROWS);
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        outbox_row_t row;
        assert_int_equal(outbox_find(o, TEST_EPOCH(1, i + 1), &row), 0);
        assert_int_equal(row.body_len, i % 100 == 7 ? LARGE : i % 100);
        if (row.body_len >= sizeof i)
            assert_memory_equal(row.body, &i, sizeof i);
    }
    outbox_close(&o, true);
}

static void rows_outlive_the_process(void **state)
{
    outbox_t *o = open_outbox(*state);
    insert_messages(o, 1000);
    outbox_close(&o, false);
    o = open_outbox(*state);
    assert_int_equal(rows_of(o), 1000);
    assert_int_equal(scan_all(o).count, 1000);
    outbox_close(&o, true);
}

static void scan_goes_in_order_and_stops(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 10);
    seen_t s = {.count = 0};
    assert_int_equal(outbox_scan(o, first, first + 5, 3, see, &s), 0);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.ids[0], first + 1); /* above `after` */
    assert_int_equal(s.ids[2], first + 3);
    s = (seen_t){.count = 0};
    assert_int_equal(outbox_scan(o, first + 3, first + 5, 100, see, &s), 0);
    assert_int_equal(s.count, 2); /* up_to is included */
    s = (seen_t){.stop_at = 4};
    assert_int_equal(outbox_scan(o, 0, UINT64_MAX, 100, see, &s), 0);
    assert_int_equal(s.count, 4);
    outbox_close(&o, true);
}

/* Deletions in any order, with holes, twice in one round. */
static void deletes(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t first = insert_messages(o, 20);
    static const unsigned which[] = {7, 3, 4, 19, 5, 0, 3, 12};
    assert_int_equal(outbox_begin(o), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(
            outbox_change(o, &(delivery_change_t){.id = first + which[i], .kind = CHANGE_DELETE}, 0), 0);
    outbox_rollback(o);
    assert_int_equal(rows_of(o), 20);
    assert_int_equal(outbox_begin(o), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(
            outbox_change(o, &(delivery_change_t){.id = first + which[i], .kind = CHANGE_DELETE}, 0), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(rows_of(o), 13);
    seen_t s = scan_all(o);
    assert_int_equal(s.count, 13);
    static const unsigned left[] = {1, 2, 6, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18};
    for (size_t i = 0; i < 13; i++)
        assert_int_equal(s.ids[i], first + left[i]);
    /* One that is not there is no error: the row is gone, as it should be. */
    change_one(o, &(delivery_change_t){.id = first + 3, .kind = CHANGE_DELETE}, 0);
    assert_int_equal(rows_of(o), 13);
    outbox_close(&o, true);
}

static void states_are_sparse_and_go_with_their_message(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 3);
    outbox_row_t row;
    change_one(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_MARK, .done = 1, .deliveries = 2}, 0);
    assert_int_equal(outbox_find(o, first + 1, &row), 0);
    assert_int_equal(row.done, 1);
    assert_int_equal(row.bad, 0);
    assert_int_equal(row.deliveries, 2);
    change_one(
        o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_MARK, .done = 1, .bad = 2, .deliveries = 3},
        0);
    outbox_close(&o, true);

    o = open_outbox(f);
    seen_t s = scan_all(o);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.rows[0].done, 0);
    assert_int_equal(s.rows[1].done, 1);
    assert_int_equal(s.rows[1].bad, 2);
    assert_int_equal(s.rows[1].deliveries, 3);
    assert_int_equal(s.rows[2].deliveries, 0);
    change_one(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_DELETE}, 0);
    assert_int_equal(outbox_find(o, first + 1, &row), -ENOENT);
    outbox_close(&o, true);
    /* Its state went too, and the count that spares deletions a look into `states` is 0 again. */
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states"), 0);
    assert_int_equal(ask_sql(f->path, "SELECT states FROM meta"), 0);
    assert_int_equal(ask_sql(f->path, "SELECT rows FROM meta"), 2);
}

static void delays_never_grow(void **state)
{
    enum { NOW_MS = 1000000, EARLIER_MS = 1000 };
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 2);
    outbox_row_t row;
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_MARK, .wait_ms = 5000}, NOW_MS);
    change_one(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_MARK, .wait_ms = 0}, NOW_MS);
    outbox_close(&o, true);
    o = open_outbox(f);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(outbox_wait_ms(&row, NOW_MS), 5000);
    assert_int_equal(outbox_wait_ms(&row, EARLIER_MS), 5000); /* the wall clock went back */
    assert_int_equal(outbox_wait_ms(&row, NOW_MS + 4000), 1000);
    assert_int_equal(outbox_wait_ms(&row, NOW_MS + 6000), 0);
    assert_int_equal(outbox_find(o, first + 1, &row), 0);
    assert_int_equal(outbox_wait_ms(&row, EARLIER_MS), 0);
    outbox_close(&o, true);
}

static void dead_letters(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 4);
    outbox_row_t row;
    outbox_gauges_t g;
    change_one(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_MARK, .done = 1}, 0);
    change_one(
        o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_BURY, .done = 1, .bad = 2, .deliveries = 1},
        9);
    outbox_close(&o, false);

    o = open_outbox(f);
    outbox_gauges(o, &g);
    assert_int_equal(g.rows, 4);
    assert_int_equal(g.dead, 1);
    assert_int_equal(scan_all(o).count, 3); /* not among them */
    assert_int_equal(outbox_find(o, first + 1, &row), 0);
    assert_true(row.dead);
    assert_int_equal(row.legs, 3);
    assert_int_equal(row.done, 1);
    assert_int_equal(row.bad, 2);
    assert_int_equal(row.deliveries, 1);
    assert_int_equal(row.not_before_ms, 0);
    assert_int_equal(*(const uint8_t *)row.body, 1);
    /* A late leg is noted on it, and the last one takes it away, together with a living neighbour. */
    change_one(o, &(delivery_change_t){.id = first + 1, .kind = CHANGE_MARK, .done = 1, .bad = 0}, 0);
    assert_int_equal(outbox_find(o, first + 1, &row), 0);
    assert_true(row.dead);
    assert_int_equal(row.bad, 0);
    assert_int_equal(outbox_begin(o), 0);
    for (uint64_t id = first; id < first + 3; id++)
        assert_int_equal(outbox_change(o, &(delivery_change_t){.id = id, .kind = CHANGE_DELETE}, 0), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_gauges(o, &g);
    assert_int_equal(g.rows, 1);
    assert_int_equal(g.dead, 0);
    assert_int_equal(outbox_find(o, first + 1, &row), -ENOENT);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_change(o, &(delivery_change_t){.id = first, .kind = CHANGE_BURY}, 0), -ENOENT);
    outbox_rollback(o);
    outbox_close(&o, true);
}

static void clients_are_remembered(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t number = 1, first_id = 1;
    uint32_t stored = 1;
    assert_int_equal(outbox_client(o, 77, &number, &first_id, &stored), -ENOENT);
    assert_int_equal(number, 1); /* untouched */
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_client_set(o, 77, 1, 500, 3, 0), 0);
    assert_int_equal(outbox_client(o, 77, &number, &first_id, &stored), 0); /* within the round already */
    assert_int_equal(outbox_client_set(o, INT64_MAX, 9, 0, 0, 0), 0);
    outbox_rollback(o);
    assert_int_equal(outbox_client(o, 77, &number, &first_id, &stored), -ENOENT);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_client_set(o, 77, 1, 500, 3, 0), 0);
    assert_int_equal(outbox_client_set(o, 77, 2, 503, 4, 0), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_client(o, 77, &number, &first_id, &stored), 0);
    assert_int_equal(number, 2);
    assert_int_equal(first_id, 503);
    assert_int_equal(stored, 4);
    outbox_close(&o, true);
}

/* Forgotten: those that are old, when there are many, the oldest first; never one that is not a day old. */
static void old_clients_are_forgotten(void **state)
{
    enum { KEPT = 10000, OLD = 50, HOUR_MS = 3600000 };
    outbox_t *o = open_outbox(*state);
    int64_t now_ms = INT64_C(1000) * HOUR_MS;
    uint64_t number, first_id;
    uint32_t stored;
    assert_int_equal(outbox_begin(o), 0);
    for (uint64_t s = 1; s <= OLD; s++)
        assert_int_equal(outbox_client_set(o, s, 1, 0, 0, now_ms - INT64_C(25) * HOUR_MS), 0);
    for (uint64_t s = OLD + 1; s <= KEPT; s++)
        assert_int_equal(outbox_client_set(o, s, 1, 0, 0, now_ms - INT64_C(23) * HOUR_MS), 0);
    assert_int_equal(outbox_client_set(o, 2, 2, 0, 0, now_ms), 0); /* an old one, back again */
    assert_int_equal(outbox_client(o, 1, &number, &first_id, &stored), 0);
    assert_int_equal(outbox_client_set(o, KEPT + 1, 1, 0, 0, now_ms), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(outbox_client(o, 1, &number, &first_id, &stored), -ENOENT);
    assert_int_equal(outbox_client(o, OLD, &number, &first_id, &stored), -ENOENT);
    assert_int_equal(outbox_client(o, 2, &number, &first_id, &stored), 0);
    assert_int_equal(outbox_client(o, OLD + 1, &number, &first_id, &stored), 0);
    assert_int_equal(outbox_begin(o), 0);
    for (uint64_t s = KEPT + 2; s <= KEPT + 100; s++)
        assert_int_equal(outbox_client_set(o, s, 1, 0, 0, now_ms), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(outbox_client(o, OLD + 1, &number, &first_id, &stored), 0);
    outbox_close(&o, true);
}

static void loads_have_positions(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t position = 7;
    assert_int_equal(outbox_load(o, "nightly", &position), -ENOENT);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_load_set(o, "nightly", 10), 0);
    outbox_rollback(o);
    assert_int_equal(outbox_load(o, "nightly", &position), -ENOENT);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_load_set(o, "nightly", 10), 0);
    assert_int_equal(outbox_load_set(o, "nightly", 20), 0);
    assert_int_equal(outbox_load_set(o, "it's", 1), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_load(o, "nightly", &position), 0);
    assert_int_equal(position, 20);
    assert_int_equal(outbox_load(o, "it's", &position), 0);
    assert_int_equal(position, 1);
    outbox_close(&o, true);
}

static void gauges(void **state)
{
    outbox_t *o = open_outbox(*state);
    outbox_gauges_t g;
    buffer_t body;
    char why[WHY_BYTES];
    uint64_t id;
    outbox_gauges(o, &g);
    assert_int_equal(g.rows, 0);
    assert_int_equal(g.oldest_ms, 0);
    int64_t empty = g.bytes;
    assert_true(empty > 0);
    assert_int_equal(outbox_begin(o), 0);
    for (int64_t i = 0; i < 1000; i++) {
        buffer_init(&body);
        assert_int_equal(body_make("web-1", 5, "example.net", 5000 + i, 100, &body, why), 0);
        assert_int_equal(outbox_insert(o, 3, body.data, body.len, &id), 0);
        buffer_done(&body);
    }
    assert_int_equal(outbox_commit(o), 0);
    outbox_gauges(o, &g);
    assert_int_equal(g.oldest_ms, 5000);
    assert_true(g.bytes > empty + 100000);
    /* The oldest dies: a dead letter does not count as waiting. */
    change_one(o, &(delivery_change_t){.id = TEST_EPOCH(1, 1), .kind = CHANGE_BURY}, 0);
    outbox_gauges(o, &g);
    assert_int_equal(g.oldest_ms, 5001);
    assert_int_equal(outbox_begin(o), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(
            outbox_change(o, &(delivery_change_t){.id = TEST_EPOCH(1, i), .kind = CHANGE_DELETE}, 0), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_gauges(o, &g);
    assert_int_equal(g.rows, 0);
    assert_true(g.bytes < empty + 20000); /* freed pages do not count, though the file stays */
    outbox_close(&o, true);
}

static void room_ends_at_outbox_max(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = NULL;
    static char body[10000];
    uint64_t id;
    assert_int_equal(outbox_open(&o, f->path, test_legs, 2, 1000000, f->why), 0);
    assert_true(outbox_has_room(o));
    uint32_t n = 0;
    for (; n < 200 && outbox_has_room(o); n++) {
        assert_int_equal(outbox_begin(o), 0);
        assert_int_equal(outbox_insert(o, 3, body, sizeof body, &id), 0);
        assert_int_equal(outbox_commit(o), 0);
    }
    assert_in_range(n, 70, 100);
    for (uint32_t i = 1; i <= n / 2; i++)
        change_one(o, &(delivery_change_t){.id = TEST_EPOCH(1, i), .kind = CHANGE_DELETE}, 0);
    assert_true(outbox_has_room(o));
    outbox_close(&o, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(insert_is_true_after_commit),
        TEST(a_large_round_is_undone_and_written_whole),
        TEST(rows_outlive_the_process),
        TEST(scan_goes_in_order_and_stops),
        TEST(deletes),
        TEST(states_are_sparse_and_go_with_their_message),
        TEST(delays_never_grow),
        TEST(dead_letters),
        TEST(clients_are_remembered),
        TEST(old_clients_are_forgotten),
        TEST(loads_have_positions),
        TEST(gauges),
        TEST(room_ends_at_outbox_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

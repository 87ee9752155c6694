/* Notes on disk: one for each leg, undone with their round, with a dead letter until it is redriven; and how
 * an outbox of the format before them becomes one with them. */
#include "common/core/notes.h"
#include "tests/unit/outbox_sql.h"

enum { SAVE = 1, RESTART = 2, BOTH = 3, TOKEN = 77 };

static int try_note(outbox_t *o, uint64_t id, uint8_t bit, const char *text, uint64_t token)
{
    const note_t note = {.bit = bit, .bytes = text, .len = (uint32_t)strlen(text)};
    assert_int_equal(outbox_begin(o), 0);
    int r = outbox_note(o, id, &note, token);
    if (r < 0)
        outbox_rollback(o);
    else
        assert_int_equal(outbox_commit(o), 0);
    return r;
}

static void note(outbox_t *o, uint64_t id, uint8_t bit, const char *text)
{
    assert_int_equal(try_note(o, id, bit, text, TOKEN), 0);
}

/* What the row's legs have, "0:a 1:b ". */
static const char *row_notes(const outbox_row_t *row, uint8_t legs)
{
    static char text[512];
    buffer_t b;
    reader_t r;
    note_t n;
    buffer_init(&b);
    notes_of(row->notes, row->notes_len, legs, &b);
    reader_init(&r, b.data, b.len);
    text[0] = '\0';
    while (note_read(&r, &n))
        snprintf(text + strlen(text), sizeof text - strlen(text), "%u:%.*s ", n.bit, (int)n.len,
                 (const char *)n.bytes);
    buffer_done(&b);
    return text;
}

static const char *notes(outbox_t *o, uint64_t id)
{
    outbox_row_t row;
    assert_int_equal(outbox_find(o, id, &row), 0);
    assert_int_equal(row.body_len, 4); /* both are there */
    return row_notes(&row, 255);
}

static void notes_are_kept_by_leg(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 3);
    outbox_row_t row;
    note(o, first, 1, "intent");
    note(o, first, 0, "save");
    assert_int_equal(try_note(o, first, 1, "other", TOKEN + 1), 0);
    assert_string_equal(notes(o, first), "0:save 1:other ");
    assert_string_equal(notes(o, first + 1), "");
    assert_int_equal(try_note(o, first + 9, 1, "intent", TOKEN), -ENOENT);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.noted, TOKEN + 1);
    assert_int_equal(row.done | row.bad | row.deliveries, 0);
    seen_t s = scan_all(o);
    assert_true(s.rows[0].notes_len > 0);
    assert_int_equal(s.rows[1].notes_len, 0);
    /* What else is noted on the message leaves them alone, and the other way round. */
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_MARK, .done = SAVE, .deliveries = 2}, 0);
    note(o, first, 0, "");
    assert_string_equal(notes(o, first), "1:other ");
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.done, SAVE);
    assert_int_equal(row.deliveries, 2);
    note(o, first, 1, "");
    assert_string_equal(notes(o, first), "");
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states WHERE notes IS NULL"), 1);
    assert_int_equal(ask_sql(f->path, "SELECT states FROM meta"), 1);
}

static void what_is_undone_is_not_kept(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 1);
    note(o, first, 1, "intent");
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_note(o, first, &(note_t){.bit = 1}, TOKEN), 0);
    outbox_rollback(o);
    assert_string_equal(notes(o, first), "1:intent ");
    /* A round of nothing else counts its row. */
    uint64_t other = insert_messages(o, 1);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_note(o, other, &(note_t){.bit = 1, .bytes = "x", .len = 1}, TOKEN), 0);
    outbox_rollback(o);
    assert_string_equal(notes(o, other), "");
    note(o, other, 1, "x");
    change_one(o, &(delivery_change_t){.id = first, .kind = CHANGE_DELETE}, 0);
    change_one(o, &(delivery_change_t){.id = other, .kind = CHANGE_DELETE}, 0);
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "SELECT rows * 10 + states FROM meta"), 0);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states"), 0);
}

static void a_dead_letter_keeps_them_until_it_is_redriven(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 2);
    outbox_row_t row;
    note(o, first, 1, "intent");
    for (unsigned i = 0; i < 2; i++) {
        const delivery_change_t c = {.id = first + i, .kind = CHANGE_BURY, .done = SAVE, .bad = RESTART};
        change_one(o, &c, 9);
    }
    outbox_close(&o, false);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM dead WHERE notes IS NOT NULL"), 1);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM states"), 0);
    o = open_outbox(f);
    assert_int_equal(redrive(o, first, 5000), 0);
    assert_string_equal(notes(o, first), "");
    assert_int_equal(outbox_find(o, first, &row), 0);
    assert_int_equal(row.noted, 0);
    outbox_close(&o, true);
}

static int resolve(outbox_t *o, uint64_t id, uint8_t legs, outbox_resolved_t *ret)
{
    assert_int_equal(outbox_begin(o), 0);
    int r = outbox_resolve(o, id, legs, ret);
    assert_int_equal(outbox_commit(o), 0);
    return r;
}

static void bad_legs_are_done_after_all(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t first = insert_messages(o, 4);
    outbox_resolved_t resolved;
    outbox_row_t row;
    const delivery_change_t deaths[] = {
        {.id = first, .kind = CHANGE_BURY, .done = SAVE, .bad = RESTART},
        {.id = first + 1, .kind = CHANGE_BURY, .bad = BOTH},
        {.id = first + 2, .kind = CHANGE_BURY, .bad = RESTART, .deliveries = 5, .exhausted = true},
    };
    for (unsigned i = 0; i < 3; i++)
        change_one(o, &deaths[i], 9);
    assert_int_equal(outbox_died(o), 3);
    assert_int_equal(resolve(o, first + 3, 255, &resolved), -ENOENT); /* it lives */
    assert_int_equal(resolve(o, first + 9, 255, &resolved), -ENOENT);
    assert_int_equal(resolve(o, first, SAVE, &resolved), -ENOENT); /* that one is done */
    assert_int_equal(resolve(o, first, 255, &resolved), 0);
    assert_int_equal(resolved.done, RESTART);
    assert_true(resolved.gone);
    assert_int_equal(resolve(o, first, 255, &resolved), -ENOENT);
    assert_int_equal(outbox_find(o, first, &row), -ENOENT);
    assert_int_equal(outbox_dead(o), 2);
    assert_int_equal(outbox_died(o), 2);
    /* One of two; the other keeps it here. */
    assert_int_equal(resolve(o, first + 1, RESTART, &resolved), 0);
    assert_int_equal(resolved.done, RESTART);
    assert_false(resolved.gone);
    assert_int_equal(resolve(o, first + 1, RESTART, &resolved), -ENOENT);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_find(o, first + 1, &row), 0);
    assert_true(row.dead);
    assert_int_equal(row.done, RESTART);
    assert_int_equal(row.bad, SAVE);
    assert_int_equal(resolve(o, first + 1, 255, &resolved), 0);
    assert_true(resolved.gone);
    /* A leg that nobody has begun is not done by it. */
    assert_int_equal(resolve(o, first + 2, 255, &resolved), 0);
    assert_false(resolved.gone);
    assert_int_equal(outbox_find(o, first + 2, &row), 0);
    assert_int_equal(row.bad, 0);
    assert_int_equal(row.deliveries, 5);
    assert_int_equal(outbox_dead(o), 1);
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "SELECT rows * 10 + dead FROM meta"), 11);
}

/* As the format before notes had it. */
static void make_format_2(const fixture_t *f)
{
    run_sql(f->path,
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;"
            "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), epoch INTEGER NOT NULL,"
            " dispatched_to INTEGER NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL,"
            " states INTEGER NOT NULL, clients INTEGER NOT NULL);"
            "INSERT INTO meta VALUES(1, 1, 0, 2, 1, 1, 0);"
            "CREATE TABLE streams(epoch INTEGER PRIMARY KEY, stream INTEGER NOT NULL);"
            "INSERT INTO streams VALUES(1, 4711);"
            "CREATE TABLE legs(bit INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
            "INSERT INTO legs VALUES(0, 'save'), (1, 'restart');"
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, legs INTEGER NOT NULL, body BLOB NOT NULL);"
            "INSERT INTO messages VALUES((1 << 40) + 1, 3, x'01020304'), ((1 << 40) + 2, 3, x'01020304');"
            "CREATE TABLE states(id INTEGER PRIMARY KEY, done INTEGER NOT NULL, bad INTEGER NOT NULL,"
            " deliveries INTEGER NOT NULL, not_before_ms INTEGER NOT NULL, delay_ms INTEGER NOT NULL,"
            " tries INTEGER NOT NULL, history BLOB);"
            "INSERT INTO states VALUES((1 << 40) + 1, 1, 0, 2, 0, 0, 3 << 8, NULL);"
            "CREATE INDEX states_due ON states(not_before_ms) WHERE not_before_ms > 0;"
            "CREATE TABLE dead(id INTEGER PRIMARY KEY, legs INTEGER NOT NULL, done INTEGER NOT NULL,"
            " bad INTEGER NOT NULL, deliveries INTEGER NOT NULL, died_ms INTEGER NOT NULL, epoch INTEGER NOT "
            "NULL,"
            " reason TEXT NOT NULL, history BLOB, body BLOB NOT NULL);"
            "INSERT INTO dead VALUES((1 << 40) + 3, 3, 1, 2, 0, 9, 1, 'permanent: no', NULL, x'01020304');"
            "CREATE TABLE clients(session INTEGER PRIMARY KEY, number INTEGER NOT NULL,"
            " first_id INTEGER NOT NULL, stored INTEGER NOT NULL, at_h INTEGER NOT NULL);"
            "CREATE INDEX clients_at ON clients(at_h);"
            "CREATE TABLE loads(id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;"
            "PRAGMA application_id = 0x4d44524c; PRAGMA user_version = 2;");
}

static void an_outbox_without_notes_becomes_one_with_them(void **state)
{
    fixture_t *f = *state;
    outbox_t *o;
    outbox_row_t row;
    outbox_resolved_t resolved;
    make_format_2(f);
    /* A look leaves it as it is. */
    assert_int_equal(outbox_open(&o, f->path, NULL, 0, TEST_MAX, f->why), 0);
    assert_int_equal(rows_of(o), 3);
    assert_int_equal(outbox_find(o, TEST_EPOCH(1, 1), &row), 0);
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "PRAGMA user_version"), 2);
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM pragma_table_info('states')"), 8);

    for (int start = 0; start < 2; start++) {
        o = open_outbox(f);
        assert_int_equal(outbox_epoch(o), 2 + start);
        assert_int_equal(outbox_find(o, TEST_EPOCH(1, 1), &row), 0);
        assert_int_equal(row.done, SAVE);
        assert_int_equal(row.deliveries, 2);
        assert_int_equal(row.tries[1], 3);
        assert_int_equal(row.noted, start == 0 ? 0 : TOKEN);
        if (start == 0)
            assert_string_equal(notes(o, TEST_EPOCH(1, 1)), "");
        note(o, TEST_EPOCH(1, 1), 1, "intent");
        note(o, TEST_EPOCH(1, 2), 0, "new");
        outbox_close(&o, start == 0);
        assert_int_equal(ask_sql(f->path, "PRAGMA user_version"), 3);
    }
    o = open_outbox(f);
    assert_string_equal(notes(o, TEST_EPOCH(1, 1)), "1:intent ");
    change_one(o, &(delivery_change_t){.id = TEST_EPOCH(1, 1), .kind = CHANGE_BURY, .bad = RESTART}, 9);
    assert_int_equal(redrive(o, TEST_EPOCH(1, 1), 5000), 0);
    assert_int_equal(redrive(o, TEST_EPOCH(1, 3), 5000), 0);
    assert_int_equal(outbox_dead(o), 0);
    assert_int_equal(resolve(o, TEST_EPOCH(1, 3), 255, &resolved), -ENOENT);
    outbox_close(&o, true);
    /* The same tables as of a new one. */
    static const char columns[] =
        "SELECT group_concat(m.name || c.cid || c.name || c.type || c.\"notnull\")"
        " FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'";
    char raised[8192];
    snprintf(raised, sizeof raised, "%s", ask_text(f->path, columns));
    assert_true(strlen(raised) > 500);
    unlink(f->path);
    o = open_outbox(f);
    outbox_close(&o, true);
    assert_string_equal(ask_text(f->path, columns), raised);
}

/* One whose columns are there already is none that a program of ours has left. */
static void what_only_says_that_it_is_older_is_refused(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    outbox_close(&o, true);
    run_sql(f->path, "PRAGMA user_version = 2");
    assert_true(outbox_open(&o, f->path, test_legs, 2, TEST_MAX, f->why) < 0);
    assert_non_null(strstr(f->why, f->path));
    run_sql(f->path, "PRAGMA user_version = 3");
    o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 2);
    outbox_close(&o, true);
}

static void damaged_notes_are_told(void **state)
{
    static const char *const values[] = {"x'c1'", "'text'", "zeroblob(70000)", "4711", "x'9201c40161ff'"};
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t id = insert_messages(o, 1);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char sql[160];
        note(o, id, 1, "intent");
        outbox_close(&o, true);
        snprintf(sql, sizeof sql, "UPDATE states SET notes = %s, noted = 'x'", values[i]);
        run_sql(f->path, sql);
        o = open_outbox(f);
        outbox_row_t row;
        assert_int_equal(outbox_find(o, id, &row), 0);
        assert_int_equal(row.noted, 0);
        assert_string_equal(row_notes(&row, RESTART), i == 4 ? "1:a " : "1:damaged in the outbox ");
        assert_string_equal(row_notes(&row, SAVE), "0:damaged in the outbox ");
        note(o, id, 1, "new");
        assert_int_equal(outbox_find(o, id, &row), 0);
        assert_string_equal(row_notes(&row, BOTH), "0:damaged in the outbox 1:new ");
        note(o, id, 0, "");
    }
    outbox_close(&o, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(notes_are_kept_by_leg),
        TEST(what_is_undone_is_not_kept),
        TEST(a_dead_letter_keeps_them_until_it_is_redriven),
        TEST(bad_legs_are_done_after_all),
        TEST(an_outbox_without_notes_becomes_one_with_them),
        TEST(what_only_says_that_it_is_older_is_refused),
        TEST(damaged_notes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rows of a program as a table of SQLite's: all of them, in order, or an error; nothing left in the file. */
#include "common/runtime/sqlite_rows.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 3000, PATH_BYTES = 64 };

typedef struct {
    char path[PATH_BYTES];
    sqlite3 *db;
    sqlite_rows_t rows;
    uint32_t asked;    /* for the next row */
    uint32_t fails_at; /* the row that cannot be made; UINT32_MAX: none */
    uint32_t step;     /* keys are multiples of it, modulo MODULUS */
} world_t;

#define MODULUS 1000003u

static unsigned journals; /* that statements opened for themselves */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static int count_journals(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret)
{
    journals += (flags & SQLITE_OPEN_SUBJOURNAL) != 0;
    return real_open(vfs, name, file, flags, ret);
}

static int row(void *arg, uint32_t n)
{
    world_t *w = arg;
    assert_int_equal(n, w->asked++);
    return n == w->fails_at ? SQLITE_NOMEM : SQLITE_OK;
}

static int64_t key(const world_t *w, uint32_t n)
{
    return (int64_t)((uint64_t)n * w->step % MODULUS);
}

static void column(void *arg, uint32_t n, int column, sqlite3_context *ret)
{
    const world_t *w = arg;
    if (column == 0)
        sqlite3_result_int64(ret, key(w, n));
    else
        sqlite3_result_text(ret,
                            "a row of a hundred bytes and more, so that a page holds few of them: "
                            "-----------------------------------------------",
                            -1, SQLITE_STATIC);
}

static void run(world_t *w, const char *sql, int expected)
{
    w->asked = 0;
    assert_int_equal(sqlite3_exec(w->db, sql, NULL, NULL, NULL), expected);
}

static int64_t ask(world_t *w, const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(w->db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    const int64_t is = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return is;
}

static int set_up(void **state)
{
    static world_t w;
    w = (world_t){.path = "/tmp/test_sqlite_rows.XXXXXX", .fails_at = UINT32_MAX, .step = 1};
    const int fd = mkstemp(w.path);
    if (fd < 0 || close(fd) != 0 || sqlite3_open(w.path, &w.db) != SQLITE_OK)
        return -1;
    w.rows = (sqlite_rows_t){.columns = "id, text", .row = row, .column = column, .arg = &w};
    run(&w, "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
        SQLITE_OK);
    *state = &w;
    return sqlite_rows_add(w.db, "fresh", &w.rows) == SQLITE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    world_t *w = *state;
    sqlite3_close(w->db);
    return unlink(w->path);
}

static void every_row_is_written_once(void **state)
{
    world_t *w = *state;
    run(w, "INSERT INTO t SELECT * FROM fresh", SQLITE_OK);
    assert_int_equal(sqlite3_changes(w->db), 0); /* none are there */
    for (uint32_t n = 1; n <= MANY; n += MANY - 1) {
        w->rows.count = n;
        run(w, "DELETE FROM t; INSERT INTO t SELECT * FROM fresh", SQLITE_OK);
        assert_int_equal(sqlite3_changes(w->db), n);
        assert_int_equal(w->asked, n);
        assert_int_equal(ask(w, "SELECT count(*) FROM t"), n);
        assert_int_equal(ask(w, "SELECT max(id) FROM t"), n - 1);
    }
    w->rows.count++;
    run(w, "INSERT INTO t SELECT * FROM fresh WHERE true ON CONFLICT(id) DO NOTHING", SQLITE_OK);
    assert_int_equal(sqlite3_changes(w->db), 1);
}

static void a_row_that_cannot_be_made_ends_the_statement(void **state)
{
    world_t *w = *state;
    w->rows.count = MANY;
    for (w->fails_at = 0; w->fails_at < MANY; w->fails_at += MANY / 2) {
        run(w, "BEGIN; INSERT OR FAIL INTO t SELECT * FROM fresh", SQLITE_NOMEM);
        assert_int_equal(w->asked, w->fails_at + 1);
        if (!sqlite3_get_autocommit(w->db)) /* SQLite may have done it */
            run(w, "ROLLBACK", SQLITE_OK);
        assert_int_equal(ask(w, "SELECT count(*) FROM t"), 0);
    }
}

static void the_file_knows_nothing_of_it(void **state)
{
    world_t *w = *state;
    w->rows.count = 1;
    run(w, "INSERT INTO t SELECT * FROM fresh", SQLITE_OK);
    assert_int_equal(ask(w, "SELECT count(*) FROM sqlite_schema"), 1);
    run(w, "INSERT INTO fresh VALUES(1, '')", SQLITE_ERROR); /* it is there to be read */
}

/* Rows that go anywhere in a large table: so many pages make a journal of the statement's a file. */
static void with_or_fail_there_is_no_journal(void **state)
{
    world_t *w = *state;
    w->rows.count = 20 * MANY;
    w->step = 7919;
    run(w, "INSERT INTO t SELECT * FROM fresh", SQLITE_OK);
    w->rows.count = MANY;
    w->step = 104729;
    journals = 0;
    run(w, "BEGIN; INSERT OR FAIL INTO t SELECT * FROM fresh WHERE true ON CONFLICT(id) DO NOTHING",
        SQLITE_OK);
    assert_true(sqlite3_changes(w->db) > MANY / 2);
    assert_int_equal(journals, 0);
    w->step = 15485863 % MODULUS;
    run(w, "INSERT INTO t SELECT * FROM fresh WHERE true ON CONFLICT(id) DO NOTHING", SQLITE_OK);
    assert_true(journals > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_row_is_written_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_made_ends_the_statement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_knows_nothing_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_or_fail_there_is_no_journal, set_up, tear_down),
    };
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    real_open = vfs->xOpen;
    vfs->xOpen = count_journals;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

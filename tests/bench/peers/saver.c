#include "tests/bench/peers/saver.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

enum {
    STREAM = 1, /* Mandrill's key has two parts, so has this one */
    /* As in save-sqlite: SQLite's 1000 would let a quarter less through. */
    CHECKPOINT_PAGES = 4000,
};

struct saver {
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit;
};

static int fail(const saver_t *s, const char *doing)
{
    log_error("SQLite: %s: %s", doing, s->db ? sqlite3_errmsg(s->db) : "no memory");
    return -EIO;
}

void saver_close(saver_t **s)
{
    if (*s) {
        sqlite3_finalize((*s)->begin);
        sqlite3_finalize((*s)->insert);
        sqlite3_finalize((*s)->commit);
        sqlite3_close((*s)->db);
    }
    free(*s);
    *s = NULL;
}

static int one_value(saver_t *s, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return fail(s, sql);
    const int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : fail(s, sql);
}

static int prepare(saver_t *s)
{
    static const char setup[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF;"
        "PRAGMA journal_size_limit=67108864;"
        "CREATE TABLE messages(stream INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB"
        " NOT NULL, PRIMARY KEY(stream, seq)) STRICT, WITHOUT ROWID";
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&s->begin, "BEGIN IMMEDIATE"},
        {&s->insert, "INSERT INTO messages(stream, seq, body) VALUES(?1, ?2, ?3)"
                     " ON CONFLICT(stream, seq) DO NOTHING"},
        {&s->commit, "COMMIT"},
    };
    int64_t synchronous = 0;
    if (sqlite3_exec(s->db, setup, NULL, NULL, NULL) != SQLITE_OK)
        return fail(s, "cannot make the table");
    int r = one_value(s, "PRAGMA synchronous", &synchronous);
    if (r == 0 && synchronous != 2)
        r = fail(s, "synchronous cannot be made FULL");
    sqlite3_wal_autocheckpoint(s->db, CHECKPOINT_PAGES);
    for (size_t i = 0; r == 0 && i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (sqlite3_prepare_v3(s->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                               statements[i].statement, NULL) != SQLITE_OK)
            r = fail(s, "cannot prepare");
    }
    return r;
}

int saver_open(saver_t **ret, const char *path)
{
    saver_t *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    int r =
        sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    r = r == SQLITE_OK ? prepare(s) : fail(s, "cannot open");
    if (r < 0) {
        saver_close(&s);
        return r;
    }
    *ret = s;
    return 0;
}

static int run(saver_t *s, sqlite3_stmt *statement)
{
    const int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? 0 : fail(s, sqlite3_sql(statement));
}

int saver_begin(saver_t *s)
{
    return run(s, s->begin);
}

int saver_add(saver_t *s, uint64_t number, const void *body, size_t len)
{
    sqlite3_bind_int64(s->insert, 1, STREAM);
    sqlite3_bind_int64(s->insert, 2, (int64_t)number);
    sqlite3_bind_blob(s->insert, 3, body, (int)len, SQLITE_STATIC);
    return run(s, s->insert);
}

int saver_commit(saver_t *s)
{
    return run(s, s->commit);
}

int saver_rows(const char *path, uint64_t *ret)
{
    saver_t s = {0};
    int64_t rows = 0;
    int r = sqlite3_open_v2(path, &s.db, SQLITE_OPEN_READWRITE, NULL);
    r = r == SQLITE_OK ? one_value(&s, "SELECT count(*) FROM messages", &rows) : fail(&s, "cannot open");
    sqlite3_close(s.db);
    if (r == 0)
        *ret = (uint64_t)rows;
    return r;
}

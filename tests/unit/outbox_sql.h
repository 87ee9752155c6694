/* Looks into an outbox's file behind its back, while it is closed. */
#ifndef MANDRILL_TEST_OUTBOX_SQL_H
#define MANDRILL_TEST_OUTBOX_SQL_H

#include "tests/unit/outbox_fixture.h"
#include <sqlite3.h>

static inline void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

/* The one value of a query as text, "" for NULL. */
static inline const char *ask_text(const char *path, const char *sql)
{
    static char text[8192];
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    const char *value = (const char *)sqlite3_column_text(st, 0);
    snprintf(text, sizeof text, "%s", value ? value : "");
    sqlite3_finalize(st);
    sqlite3_close(db);
    return text;
}

static inline long long ask_sql(const char *path, const char *sql)
{
    return atoll(ask_text(path, sql));
}

#endif

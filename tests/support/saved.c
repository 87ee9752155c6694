#include "tests/support/saved.h"

#include "tests/support/wait.h"
#include <sqlite3.h>
#include <stdio.h>

enum { BUSY_MS = 10000 };

static bool first_value(const char *path, const char *sql, const char *parameter, int64_t *number, char *text,
                        int size)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *query = NULL;
    bool found = false;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(db, BUSY_MS) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK) {
        if (parameter != NULL)
            sqlite3_bind_text(query, 1, parameter, -1, SQLITE_STATIC);
        found = sqlite3_step(query) == SQLITE_ROW;
        if (found && number != NULL)
            *number = sqlite3_column_int64(query, 0);
        if (found && text != NULL)
            snprintf(text, (size_t)size, "%s", (const char *)sqlite3_column_text(query, 0));
    }
    sqlite3_finalize(query);
    sqlite3_close(db);
    return found;
}

int64_t saved_number(const char *path, const char *sql, const char *parameter)
{
    int64_t number = -1;

    first_value(path, sql, parameter, &number, NULL, 0);
    return number;
}

bool saved_text(const char *path, const char *sql, const char *parameter, char *text, int size)
{
    return first_value(path, sql, parameter, NULL, text, size);
}

int64_t saved_rows(const char *path)
{
    int64_t n = saved_number(path, "SELECT count(*) FROM messages", NULL);

    return n < 0 ? 0 : n;
}

int64_t saved_rows_of(const char *path, const char *host)
{
    int64_t n = saved_number(path, "SELECT count(*) FROM messages WHERE host = ?", host);

    return n < 0 ? 0 : n;
}

void database_change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", path, why);
    sqlite3_close(db);
}

/* The negative control: SQLite with commits that come late. Linked into a program with --wrap, COMMIT answers
 * at once that all is well and is carried out only when the next transaction begins. So between an answer and
 * the next transaction nothing is on disk, for as long as a test likes, and a kill -9 there loses what was
 * promised. The program's own sources are the ones that are delivered. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

/* The linker's names for --wrap. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_sqlite3_step(sqlite3_stmt *statement);
int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *arg,
                        char **ret_why);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *arg,
                        char **ret_why);
int __wrap_sqlite3_get_autocommit(sqlite3 *db);
int __real_sqlite3_get_autocommit(sqlite3 *db);

static bool owed;

static bool is(const char *sql, const char *word, size_t len)
{
    return sql != NULL && strncasecmp(sql, word, len) == 0;
}

/* True when the call has been answered here. */
static bool answered(sqlite3 *db, const char *sql)
{
    if (is(sql, "COMMIT", 6) && !owed) {
        owed = true;
        return true;
    }
    if (owed && is(sql, "BEGIN", 5)) {
        owed = false;
        __real_sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    return false;
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    return answered(sqlite3_db_handle(statement), sqlite3_sql(statement)) ? SQLITE_DONE
                                                                          : __real_sqlite3_step(statement);
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*each)(void *, int, char **, char **), void *arg,
                        char **ret_why)
{
    return answered(db, sql) ? SQLITE_OK : __real_sqlite3_exec(db, sql, each, arg, ret_why);
}

int __wrap_sqlite3_get_autocommit(sqlite3 *db)
{
    return owed ? 1 : __real_sqlite3_get_autocommit(db);
}
/* NOLINTEND(bugprone-reserved-identifier) */

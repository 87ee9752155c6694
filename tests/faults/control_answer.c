/* A negative control: a COMMIT that failed is taken for one that did not. Linked in front of SQLite by
 * --wrap. */
#include <sqlite3.h>
#include <stddef.h>
#include <strings.h>

/* The linker's names for --wrap. NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    const char *sql = sqlite3_sql(statement);
    const int rc = __real_sqlite3_step(statement);

    return sql != NULL && strncasecmp(sql, "COMMIT", 6) == 0 ? SQLITE_DONE : rc;
}
/* NOLINTEND(bugprone-reserved-identifier) */

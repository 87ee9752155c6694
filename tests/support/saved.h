/* Readers of saved.db, through a connection of their own that only reads. A file that does not exist (yet),
 * or has no table, holds 0 rows. */
#ifndef MANDRILL_TEST_SAVED_H
#define MANDRILL_TEST_SAVED_H

#include <stdbool.h>
#include <stdint.h>

int64_t saved_rows(const char *path);
int64_t saved_rows_of(const char *path, const char *host);
/* The first column of the first row of a query with at most one text parameter; -1 when there is none. */
int64_t saved_number(const char *path, const char *sql, const char *parameter);
/* The first column of the first row as text, in `text`; false when there is none. */
bool saved_text(const char *path, const char *sql, const char *parameter, char *text, int size);
/* Runs statements on a database file, which nobody else has open: to damage it. */
void database_change(const char *path, const char *sql);

#endif

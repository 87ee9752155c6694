/* Rows that a program has in memory as a table that SQLite reads, so that one statement writes all of them:
 *
 *     INSERT INTO messages SELECT * FROM rows
 *
 * Beside a statement for each row that costs half: nothing is begun, bound and reset a thousand times, and
 * the cursor stays at the end of the table's tree, where the next row goes.
 *
 * The table exists in its connection only and is in no schema. With `OR FAIL` such a statement keeps no
 * journal of its own, which SQLite would put into a temporary file when it is large: one that fails has
 * written the rows before, and whoever runs it rolls back its transaction.
 *
 * Ownership: a source and what it points to stay with the caller and outlive the connection. */
#ifndef MANDRILL_SQLITE_ROWS_H
#define MANDRILL_SQLITE_ROWS_H

#include <sqlite3.h>
#include <stdint.h>

typedef struct {
    const char *columns; /* names, with commas between */
    /* Row n comes next, once each, in order: SQLITE_OK, or the error that ends the statement. May be NULL. */
    int (*row)(void *arg, uint32_t n);
    /* Gives a column of row n by a sqlite3_result_*(). */
    void (*column)(void *arg, uint32_t n, int column, sqlite3_context *ret);
    void *arg;
    uint32_t count; /* rows there are, as the statement begins */
} sqlite_rows_t;

/* As a table of that name. What SQLite says. */
int sqlite_rows_add(sqlite3 *db, const char *name, sqlite_rows_t *source);

#endif

/* An eponymous virtual table (sqlite.org/vtab.html): read from its first row to its last, and nothing else.
 */
#include "common/runtime/sqlite_rows.h"

#include <stdlib.h>

typedef struct {
    sqlite3_vtab base;
    const sqlite_rows_t *source;
} table_t;

typedef struct {
    sqlite3_vtab_cursor base;
    uint32_t at, count;
} cursor_t;

static const sqlite_rows_t *source_of(const sqlite3_vtab_cursor *c)
{
    return ((const table_t *)c->pVtab)->source;
}

static int on_connect(sqlite3 *db, void *source, int argc, const char *const *argv, sqlite3_vtab **ret,
                      char **why)
{
    (void)argc, (void)argv, (void)why;
    char *sql = sqlite3_mprintf("CREATE TABLE x(%s)", ((const sqlite_rows_t *)source)->columns);
    table_t *table = calloc(1, sizeof *table);
    int rc = sql == NULL || table == NULL ? SQLITE_NOMEM : sqlite3_declare_vtab(db, sql);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) {
        free(table);
        return rc;
    }
    table->source = source;
    *ret = &table->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

/* There is one way to read it. */
static int on_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 1;
    return SQLITE_OK;
}

static int on_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    (void)table;
    cursor_t *c = calloc(1, sizeof *c);
    if (c == NULL)
        return SQLITE_NOMEM;
    *ret = &c->base;
    return SQLITE_OK;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int go_to(sqlite3_vtab_cursor *cursor, uint32_t n)
{
    cursor_t *c = (cursor_t *)cursor;
    const sqlite_rows_t *source = source_of(cursor);
    c->at = n;
    return n < c->count && source->row != NULL ? source->row(source->arg, n) : SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *cursor, int index, const char *text, int argc, sqlite3_value **argv)
{
    (void)index, (void)text, (void)argc, (void)argv;
    ((cursor_t *)cursor)->count = source_of(cursor)->count;
    return go_to(cursor, 0);
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
    return go_to(cursor, ((cursor_t *)cursor)->at + 1);
}

static int on_eof(sqlite3_vtab_cursor *cursor)
{
    const cursor_t *c = (const cursor_t *)cursor;
    return c->at >= c->count;
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ret, int column)
{
    const sqlite_rows_t *source = source_of(cursor);
    source->column(source->arg, ((const cursor_t *)cursor)->at, column, ret);
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret)
{
    *ret = ((const cursor_t *)cursor)->at;
    return SQLITE_OK;
}

int sqlite_rows_add(sqlite3 *db, const char *name, sqlite_rows_t *source)
{
    /* No xCreate: the table is there without CREATE VIRTUAL TABLE, which would write it into the file. */
    static const sqlite3_module module = {.xConnect = on_connect,
                                          .xBestIndex = on_best_index,
                                          .xDisconnect = on_disconnect,
                                          .xOpen = on_open,
                                          .xClose = on_close,
                                          .xFilter = on_filter,
                                          .xNext = on_next,
                                          .xEof = on_eof,
                                          .xColumn = on_column,
                                          .xRowid = on_rowid};
    return sqlite3_create_module(db, name, &module, source);
}

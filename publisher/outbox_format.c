/* What kind of file it is, and how one of an older format becomes one of this. */
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <stdio.h>

/* Format 1, with histories in lines of text, was never in a release. */
enum { OLDEST_FORMAT = 2 };

/* Ours, or still empty; nothing is written to a file that is neither. */
int outbox_format_check(outbox_t *o, bool *ret_empty)
{
    int64_t application = 0, version = 0, tables = 0;
    int r = outbox_ask(o, "PRAGMA application_id", &application);
    if (r == 0)
        r = outbox_ask(o, "PRAGMA user_version", &version);
    if (r == 0)
        r = outbox_ask(o, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0) {
        *ret_empty = true;
        o->format = OUTBOX_VERSION;
        return 0;
    }
    *ret_empty = false;
    if (application != OUTBOX_APPLICATION_ID) {
        snprintf(o->why, sizeof o->why, "%.120s is a database, but no outbox", o->path);
        return -EINVAL;
    }
    if (version < OLDEST_FORMAT || version > OUTBOX_VERSION) {
        snprintf(o->why, sizeof o->why, "%.100s has format %lld, this program knows formats %d to %d",
                 o->path, (long long)version, OLDEST_FORMAT, OUTBOX_VERSION);
        return -EINVAL;
    }
    o->format = (int)version;
    return 0;
}

/* By format, what makes the next one of it. */
static const char *const raise_sql[OUTBOX_VERSION] = {
    [2] = "ALTER TABLE states ADD COLUMN notes BLOB;"
          "ALTER TABLE states ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE dead ADD COLUMN notes BLOB;",
};

int outbox_format_raise(outbox_t *o)
{
    char sql[64];
    if (o->format == OUTBOX_VERSION)
        return 0;
    int r = outbox_exec(o, "BEGIN");
    for (int format = o->format; r == 0 && format < OUTBOX_VERSION; format++)
        r = outbox_exec(o, raise_sql[format]);
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", OUTBOX_VERSION);
    /* A look leaves the file as it is: what it needs is undone when it closes. */
    if (r == 0 && !o->look)
        r = outbox_exec(o, sql);
    if (r == 0)
        o->format = OUTBOX_VERSION;
    return r;
}

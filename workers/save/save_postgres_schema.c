#include "workers/save/save_postgres_schema.h"
#include "common/runtime/config.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

/* Step n leads from version n to n + 1. */
static const char *const steps[] = {
    "CREATE TABLE mandrill_messages("
    "  stream bigint NOT NULL, seq bigint NOT NULL,"
    "  instance text NOT NULL, host text NOT NULL,"
    "  published_at timestamptz NOT NULL, saved_at timestamptz NOT NULL,"
    "  attributes jsonb," /* NULL: none */
    "  PRIMARY KEY(stream, seq))",
};
enum { VERSION = sizeof steps / sizeof steps[0], SQL_BYTES = 128 };

/* The key of the lock is a number of ours: "MDSV" and 1. */
#define LOCK_SCHEMA "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1296323414, 1)"

static int fail(session_fault_t *f, const char *text)
{
    *f = (session_fault_t){.settled = true};
    snprintf(f->text, sizeof f->text, "%s", text);
    return -EIO;
}

/* The first column of the first row as a number, -1: none or NULL. */
static int ask_number(schema_ask_t *ask, void *arg, const char *sql, int64_t *ret)
{
    PGresult *r = ask(arg, sql);
    int64_t number = -1;
    if (r == NULL)
        return -EIO;
    if (PQntuples(r) > 0 && !PQgetisnull(r, 0, 0) && config_parse_int(PQgetvalue(r, 0, 0), &number) != 0)
        number = -1;
    PQclear(r);
    *ret = number;
    return 0;
}

static int run(schema_ask_t *ask, void *arg, const char *sql)
{
    int64_t ignored;
    return ask_number(ask, arg, sql, &ignored);
}

/* *ret_version is 0 when there is nothing yet. To look into pg_class makes the server look at what others
 * have committed: to_regclass() alone would tell from what it remembers of a look before the lock. */
static int read_version(schema_ask_t *ask, void *arg, session_fault_t *fault, int64_t *ret_version)
{
    char text[WHY_BYTES];
    int64_t there;
    int error = ask_number(
        ask, arg, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('mandrill_schema')", &there);
    if (error != 0 || there == 0) {
        *ret_version = 0;
        return error;
    }
    error = ask_number(ask, arg, "SELECT version FROM mandrill_schema", ret_version);
    if (error != 0)
        return error;
    if (*ret_version < 1)
        return fail(fault, "the table mandrill_schema does not say which version the tables have");
    if (*ret_version <= VERSION)
        return 0;
    snprintf(text, sizeof text, "the tables have version %lld, this program knows versions up to %d",
             (long long)*ret_version, VERSION);
    return fail(fault, text);
}

static int migrate(schema_ask_t *ask, void *arg, session_fault_t *fault)
{
    char sql[SQL_BYTES];
    int64_t version;
    int error = run(ask, arg, LOCK_SCHEMA);
    /* Somebody else may have been first. */
    if (error == 0)
        error = read_version(ask, arg, fault, &version);
    if (error == 0 && version == 0)
        error = run(ask, arg,
                    "CREATE TABLE mandrill_schema(version integer NOT NULL);"
                    "INSERT INTO mandrill_schema VALUES(0)");
    for (; error == 0 && version < VERSION; version++) {
        error = run(ask, arg, steps[version]);
        snprintf(sql, sizeof sql, "UPDATE mandrill_schema SET version = %lld", (long long)version + 1);
        if (error == 0)
            error = run(ask, arg, sql);
    }
    /* What has failed ends with the session, lock and all. */
    return error == 0 ? run(ask, arg, "COMMIT") : error;
}

int schema_settle(schema_ask_t *ask, void *arg, session_fault_t *fault)
{
    int64_t version;
    const int error = read_version(ask, arg, fault, &version);
    if (error != 0 || version == VERSION)
        return error;
    return migrate(ask, arg, fault);
}

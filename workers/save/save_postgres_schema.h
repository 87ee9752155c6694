/* The tables of save-postgres and their version. Any number of workers may start at the same moment: one
 * makes or changes the tables, under an advisory lock of the database, and the others wait. Who finds the
 * version that it knows takes no lock and needs no right but to read that.
 *
 * To change the tables: append a step; steps that were released stay as they are. */
#ifndef MANDRILL_SAVE_POSTGRES_SCHEMA_H
#define MANDRILL_SAVE_POSTGRES_SCHEMA_H

#include "workers/save/save_postgres_session.h"

/* A batch of rows as arrays. unnest() in the select list makes one row of all of them in step, and costs a
 * tenth less than in FROM. */
#define SCHEMA_INSERT                                                                                        \
    "INSERT INTO mandrill_messages(stream, seq, instance, host, published_at, saved_at, attributes)"         \
    " SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::text[]),"            \
    " unnest($5::timestamptz[]), unnest($6::timestamptz[]), unnest($7::text[])::jsonb"
/* The same where some may be there already. */
#define SCHEMA_UPSERT SCHEMA_INSERT " ON CONFLICT(stream, seq) DO NOTHING"
/* Which of these keys are not there, from 1 on. */
#define SCHEMA_MISSING                                                                                       \
    "SELECT k.at FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS k(stream, seq, at)"              \
    " WHERE NOT EXISTS (SELECT FROM mandrill_messages AS m WHERE m.stream = k.stream AND m.seq = k.seq)"     \
    " ORDER BY k.at"

/* Runs statements: the last result, the caller's to clear, or NULL when the fault has been noted. */
typedef struct pg_result *schema_ask_t(void *arg, const char *sql);

/* 0, or -EIO with the fault. */
int schema_settle(schema_ask_t *ask, void *arg, session_fault_t *fault);

#endif

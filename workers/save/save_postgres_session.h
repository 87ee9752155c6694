/* Sessions with PostgreSQL, ready to save: connected, checked, the tables there, statements prepared. Each is
 * opened by a thread of its own, for names are looked up by a call that blocks, servers take their time, and
 * a schema that others are changing is waited for.
 *
 * Ownership: the options' texts are the caller's and stay. A session that was taken is the caller's. */
#ifndef MANDRILL_SAVE_POSTGRES_SESSION_H
#define MANDRILL_SAVE_POSTGRES_SESSION_H

#include "common/core/message.h"

struct pg_conn; /* libpq's */
struct pg_result;

/* Names of the prepared statements. */
#define SESSION_BEGIN    "mandrill_begin"
#define SESSION_INSERT   "mandrill_insert"
#define SESSION_UPSERT   "mandrill_upsert"
#define SESSION_MISSING  "mandrill_missing"
#define SESSION_COMMIT   "mandrill_commit"
#define SESSION_ROLLBACK "mandrill_rollback"

typedef struct {
    const char *conninfo;      /* a string or URI of libpq's; "": what its PG* variables say */
    const char *password_file; /* or NULL */
} session_options_t;

/* 0; -ERANGE for a conninfo that libpq does not read; -errno for a password file that cannot be read; with
 * `why`, which holds nothing of the conninfo, for there may be a password in it. */
int session_check(const session_options_t *o, char *why);

/* What went wrong with a server or a session. */
typedef struct {
    char state[6];        /* the SQLSTATE; "": the server has not said anything */
    char text[WHY_BYTES]; /* for people */
    bool settled;         /* stays wrong until somebody changes a setting or a right */
    bool constraint;      /* one with a name was violated */
} session_fault_t;

/* Whether an SQLSTATE begins with one of these. */
bool sql_state_is_in(const char *state, const char *const *classes, size_t n);

/* Of a result that is an error, or of a connection; the text without line feeds. */
void session_fault_of_result(session_fault_t *f, const struct pg_result *result);
void session_fault_of_connection(session_fault_t *f, const struct pg_conn *db);

typedef struct session_opener session_opener_t;

/* 0 or -errno. */
int session_opener_new(session_opener_t **ret, const session_options_t *o);
/* Can be read from when it has ended. */
int session_opener_fd(const session_opener_t *o);
/* 1: *ret is the session, non-blocking and in pipeline mode; 0: still at work; -EIO with what went wrong. But
 * for 0 it is gone afterwards. `remark`: what people should know of the server, "" when nothing. */
int session_opener_take(session_opener_t **o, struct pg_conn **ret, char *remark, session_fault_t *ret_fault);
/* Stops it and waits for no name server. */
void session_opener_destroy(session_opener_t **o);

#endif

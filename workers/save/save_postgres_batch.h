/* One batch of tasks on its way through a session: normally one transaction of one statement. A row that the
 * database does not take must not take the others along: then the batch is halved until that row is alone,
 * and grows again. Whether the row is to blame shows when others get in after it.
 *
 * Ownership: the tasks stay the caller's until each has its result. */
#ifndef MANDRILL_SAVE_POSTGRES_BATCH_H
#define MANDRILL_SAVE_POSTGRES_BATCH_H

#include "workers/save/row.h"
#include "workers/save/save_postgres_blame.h"

typedef struct {
    const worker_task_t **order; /* the batch, by id */
    uint32_t room, count;
    uint32_t given;      /* what count was at first */
    uint32_t from, to;   /* the transaction under way; before `from` all have their results, but for */
    uint32_t aside;      /* the first ones: not taken, and nobody knows why */
    uint32_t inserted;   /* rows that were new in it */
    uint32_t sent;       /* rows of it that are on their way */
    uint32_t unanswered; /* statements */
    uint32_t rows_max;   /* of the next transaction */
    uint32_t rows_limit; /* of the first one of a batch: what the server has time for */
    uint64_t
        first_aside;   /* inserts when the first row was set aside that may be to blame; UINT64_MAX: none */
    bool got_in;       /* at least one row of the batch */
    bool looking;      /* it was committed, but which of its rows are there? */
    bool closed;       /* COMMIT is on its way, too */
    bool committed;    /* and has been answered */
    bool failed;       /* see fault */
    bool rolling_back; /* a transaction that failed */
    bool broken;       /* it could not even be begun */
    int64_t now_ms;
    int64_t upsert_until_ms; /* rows may be there already: one was */
    int64_t saved_ms;        /* what the rows say */
    int64_t due_ms;          /* then the server has taken too long */
    buffer_t json;
    buffer_t columns[7]; /* of one statement */
    session_fault_t fault;
    char last_state[6]; /* of the last fault that was no row's */
    suspects_t suspects;
} save_batch_t;

void save_batch_init(save_batch_t *b);
void save_batch_done(save_batch_t *b);
bool save_batch_at_work(const save_batch_t *b);
/* 0, or -ENOMEM when there is no memory for it, and nothing was begun. */
int save_batch_begin(save_batch_t *b, struct pg_conn *db, const worker_task_t *tasks, uint32_t n,
                     int64_t now_ms);
/* Does what can be done without waiting. 0; 1: something was committed; -EIO: the session is of no use any
 * more, b->fault says why. */
int save_batch_go_on(save_batch_t *b, struct pg_conn *db, int64_t now_ms, worker_sink_t *sink);
/* Whether more is to be sent. */
bool save_batch_writes(const save_batch_t *b, struct pg_conn *db);
/* The session is gone: all that is not known to be committed is BLOCKED. */
void save_batch_give_back(save_batch_t *b, int64_t wait_ms, const char *why, worker_sink_t *sink);

#endif

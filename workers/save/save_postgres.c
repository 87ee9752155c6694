/* save-postgres: one row for each message, in a PostgreSQL database, by any number of workers.
 *
 * A batch is one transaction, sent in one go (libpq's pipeline mode) while the loop turns; results are given
 * when COMMIT has been answered. When that answer is lost the batch comes again: whoever finds its row adds
 * none.
 *
 * Whatever is wrong with the server costs no message anything: its tasks are BLOCKED and the window is 0
 * until there is a session again. Only a row that the database refuses for what it holds has failed. */
#include "common/core/backoff.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "workers/save/save_postgres_batch.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Between two attempts, longer each time until something is committed. */
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 2000,
    /* When somebody has to do something first. Servers count wrong passwords. */
    RETRY_SETTLED_MS = 5000,
    /* What tasks are told to wait: with more they would leave the consumer. */
    BLOCKED_MS_MAX = 1000,
};

typedef struct {
    session_options_t options;
    session_opener_t *opener; /* at work on a session */
    PGconn *db;               /* NULL: away */
    save_batch_t batch;
    int64_t retry_ms;  /* when to try again, without an opener */
    uint32_t failures; /* since something was committed */
    uint64_t random;
    char why[WHY_BYTES]; /* it is away */
} save_t;

static const config_option_t options[] = {
    {.name = "postgres",
     .type = CONFIG_TEXT,
     .argument = "CONNINFO",
     .help = "save-postgres: where messages are saved, as libpq has it: postgresql://USER@HOST/DATABASE or "
             "\"host=HOST dbname=DATABASE\"; what it leaves out the PG* variables say",
     .secret = true},
    {.name = "postgres-password-file",
     .type = CONFIG_TEXT,
     .argument = "PATH",
     .help = "save-postgres: a file with the password in its first line, read at each connection"},
};

static void save_close(void **self)
{
    save_t *s = *self;
    if (s == NULL)
        return;
    session_opener_destroy(&s->opener);
    PQfinish(s->db);
    save_batch_done(&s->batch);
    free(s);
    *self = NULL;
}

/* A server that is not there yet is waited for: programs start in any order. */
static int save_open(void **ret_self, const config_t *config, bool check, char *why)
{
    save_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    const char *conninfo = config_text(config, "postgres");
    s->options = (session_options_t){.conninfo = conninfo != NULL ? conninfo : "",
                                     .password_file = config_text(config, "postgres-password-file")};
    s->random = clock_random_id();
    save_batch_init(&s->batch);
    void *self = s;
    int error = session_check(&s->options, why);
    if (error == 0 && !check) {
        error = session_opener_new(&s->opener, &s->options);
        if (error != 0)
            snprintf(why, WHY_BYTES, "cannot start a thread: %s", strerror(-error));
    }
    if (error != 0) {
        save_close(&self);
        return error;
    }
    snprintf(s->why, sizeof s->why, "not connected yet");
    *ret_self = self;
    return 0;
}

/* --- the session --- */

/* How long nothing will be taken; more than 0. */
static int away_ms(const save_t *s, int64_t now_ms)
{
    const int64_t left_ms = s->opener == NULL ? s->retry_ms - now_ms : BLOCKED_MS_MAX;
    return left_ms < 1 ? 1 : left_ms > BLOCKED_MS_MAX ? BLOCKED_MS_MAX : (int)left_ms;
}

/* There is no session, or this one is of no use any more. What it had may be committed or not. */
static void lose(save_t *s, const session_fault_t *fault, int64_t now_ms, worker_sink_t *sink)
{
    static const backoff_t backoff = {RETRY_MS_MIN, 2, RETRY_MS_MAX};
    char text[WHY_BYTES + 16];
    PQfinish(s->db);
    s->db = NULL;
    const int64_t wait_ms = backoff_ms(&backoff, ++s->failures, random_next(&s->random));
    s->retry_ms = now_ms + (fault->settled           ? RETRY_SETTLED_MS
                            : wait_ms > RETRY_MS_MIN ? wait_ms
                                                     : RETRY_MS_MIN);
    snprintf(s->why, sizeof s->why, "%s", fault->text);
    log_limited(fault->settled ? LOG_ERROR : LOG_WARN,
                "PostgreSQL: %s%s%s%s; nothing is saved until that is over", s->why,
                fault->state[0] != '\0' ? " (SQLSTATE " : "", fault->state,
                fault->state[0] != '\0' ? ")" : "");
    snprintf(text, sizeof text, "PostgreSQL: %.*s", WHY_BYTES - 1, s->why);
    save_batch_give_back(&s->batch, away_ms(s, now_ms), text, sink);
}

static void take_session(save_t *s, int64_t now_ms, worker_sink_t *sink)
{
    session_fault_t fault = {0};
    char remark[WHY_BYTES];
    const int result = session_opener_take(&s->opener, &s->db, remark, &fault);
    if (result < 0)
        lose(s, &fault, now_ms, sink);
    if (result <= 0)
        return;
    const char *host = PQhost(s->db);
    log_info("connected to PostgreSQL at %s, database %s, as %s", host != NULL ? host : "?", PQdb(s->db),
             PQuser(s->db));
    if (remark[0] != '\0')
        log_warn("PostgreSQL: %s", remark);
}

static void look_for_session(save_t *s, int64_t now_ms, worker_sink_t *sink)
{
    session_fault_t fault = {0};
    if (s->opener != NULL)
        take_session(s, now_ms, sink);
    if (s->opener != NULL || s->db != NULL || now_ms < s->retry_ms)
        return;
    const int error = session_opener_new(&s->opener, &s->options);
    if (error == 0)
        return;
    snprintf(fault.text, sizeof fault.text, "cannot start a thread: %s", strerror(-error));
    lose(s, &fault, now_ms, sink);
}

/* --- the kind --- */

static int save_go_on(void *self, int64_t now_ms, worker_sink_t *sink)
{
    save_t *s = self;
    if (s->db == NULL)
        look_for_session(s, now_ms, sink);
    if (s->db != NULL) {
        const int result = save_batch_go_on(&s->batch, s->db, now_ms, sink);
        if (result > 0)
            s->failures = 0;
        if (result < 0)
            lose(s, &s->batch.fault, now_ms, sink);
    }
    return s->db != NULL ? 0 : away_ms(s, now_ms);
}

static int save_batch(void *self, const worker_task_t *tasks, uint32_t n, worker_sink_t *sink)
{
    save_t *s = self;
    char text[WHY_BYTES + 16];
    const int64_t now_ms = clock_ms();
    if (s->db != NULL && save_batch_begin(&s->batch, s->db, tasks, n, now_ms) == 0)
        return 0;
    const int wait_ms = s->db != NULL ? BLOCKED_MS_MAX : away_ms(s, now_ms);
    snprintf(text, sizeof text, "PostgreSQL: %s", s->db != NULL ? "no memory for a batch" : s->why);
    for (uint32_t i = 0; i < n; i++)
        save_row_blocked(&tasks[i], wait_ms, text, sink);
    return wait_ms;
}

static void save_await(const void *self, worker_wait_t *ret)
{
    const save_t *s = self;
    *ret = (worker_wait_t){.fd = -1, .due_ms = INT64_MAX};
    if (s->db != NULL) {
        ret->fd = PQsocket(s->db);
        ret->writes = save_batch_writes(&s->batch, s->db);
        ret->due_ms = save_batch_at_work(&s->batch) ? s->batch.due_ms : INT64_MAX;
    } else if (s->opener != NULL) {
        ret->fd = session_opener_fd(s->opener);
    } else {
        ret->due_ms = s->retry_ms;
    }
}

const worker_kind_t save_postgres = {
    .name = "save-postgres",
    .leg = "save",
    .summary = "saves each message as one row in PostgreSQL",
    .executor = EXECUTOR_BATCH,
    .slots = SAVE_BATCH,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = save_open,
    .close = save_close,
    .run_batch = save_batch,
    .go_on = save_go_on,
    .await = save_await,
};

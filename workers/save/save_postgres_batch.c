#include "workers/save/save_postgres_batch.h"
#include "common/runtime/clock.h"
#include "common/runtime/config.h"
#include "common/runtime/log.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 7,
    /* Of one statement. libpq keeps what is not sent yet: this bounds it. */
    STATEMENT_BYTES = 1 << 20,
    STATEMENT_ROWS = 4096,
    /* Rows that are there already come in swarms, after somebody has died. */
    UPSERT_MS = 60000,
    ANSWER_MS = 30000, /* when tasks have no limit of their own */
    ASIDE_MS = 1000,   /* until a row that nobody knows the fault of comes again */
    FORMAT_BINARY = 1,
    /* Of PostgreSQL's binary arrays. */
    ARRAY_HEADER = 20,
    ARRAY_COUNT_AT = 12,
    ARRAY_NULLS_AT = 4,
};

/* Types of their elements: of pg_type.dat, the same in every version. */
enum { OID_INT8 = 20, OID_TEXT = 25, OID_TIMESTAMPTZ = 1184 };
enum { STREAM, SEQ, INSTANCE, HOST, PUBLISHED_AT, SAVED_AT, ATTRIBUTES };
static const uint32_t element_types[COLUMNS] = {OID_INT8,        OID_INT8,        OID_TEXT, OID_TEXT,
                                                OID_TIMESTAMPTZ, OID_TIMESTAMPTZ, OID_TEXT};

/* A timestamp counts microseconds from 2000 on; its calendar ends in the year 294276, and what lies behind
 * that is "infinity". */
#define EPOCH_MS     INT64_C(946684800000)
#define TIME_END_MS  (INT64_C(9223371331200000) + EPOCH_MS)
#define TIME_FOREVER INT64_MAX

void save_batch_init(save_batch_t *b)
{
    *b = (save_batch_t){.rows_limit = UINT32_MAX};
    buffer_init(&b->json);
    for (int i = 0; i < COLUMNS; i++)
        buffer_init(&b->columns[i]);
}

void save_batch_done(save_batch_t *b)
{
    free(b->order);
    buffer_done(&b->json);
    for (int i = 0; i < COLUMNS; i++)
        buffer_done(&b->columns[i]);
}

bool save_batch_at_work(const save_batch_t *b)
{
    return b->from < b->count || b->looking;
}

/* ON CONFLICT costs the server a third more for each row, and next to no row is there already: it is left out
 * until one was. */
static bool upserts(const save_batch_t *b)
{
    return b->now_ms < b->upsert_until_ms;
}

/* --- rows as arrays --- */

static void put_32(buffer_t *out, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buffer_append(out, bytes, sizeof bytes);
}

static void put_number(buffer_t *out, int64_t v)
{
    put_32(out, sizeof v);
    put_32(out, (uint32_t)((uint64_t)v >> 32));
    put_32(out, (uint32_t)v);
}

static void put_text(buffer_t *out, const char *text, size_t len)
{
    put_32(out, (uint32_t)len);
    buffer_append(out, text, len);
}

static void put_time(buffer_t *out, int64_t ms)
{
    put_number(out, ms < TIME_END_MS ? (ms - EPOCH_MS) * 1000 : TIME_FOREVER);
}

static void put_null(buffer_t *out)
{
    const uint32_t some = 1;
    out->data[ARRAY_NULLS_AT + 3] = (uint8_t)some;
    put_32(out, UINT32_MAX);
}

/* One dimension, no NULLs so far, elements from 1 on; how many is filled in at the end. */
static void begin_arrays(save_batch_t *b)
{
    for (int i = 0; i < COLUMNS; i++) {
        buffer_clear(&b->columns[i]);
        put_32(&b->columns[i], 1);
        put_32(&b->columns[i], 0);
        put_32(&b->columns[i], element_types[i]);
        put_32(&b->columns[i], 0);
        put_32(&b->columns[i], 1);
    }
}

/* jsonb has no U+0000: the character that stands for what cannot be shown takes its place. JSON writes the
 * first as \u0000, and a backslash of its own as two. */
static void replace_nul(char *json, size_t len)
{
    for (char *at = memchr(json, '\\', len); at != NULL;) {
        const size_t left = len - (size_t)(at - json);
        if (left >= 6 && memcmp(at, "\\u0000", 6) == 0)
            memcpy(at + 2, "fffd", 4);
        at = left > 2 ? memchr(at + 2, '\\', left - 2) : NULL;
    }
}

/* False: no memory. */
static bool put_row(save_batch_t *b, const worker_task_t *task)
{
    buffer_t *c = b->columns;
    save_row_t row;
    if (save_row_make(&row, task, b->saved_ms, &b->json) != 0)
        return false;
    put_number(&c[STREAM], row.stream);
    put_number(&c[SEQ], row.seq);
    put_text(&c[INSTANCE], row.instance, row.instance_len);
    put_text(&c[HOST], row.host, row.host_len);
    put_time(&c[PUBLISHED_AT], row.published_ms);
    put_time(&c[SAVED_AT], row.saved_ms);
    if (row.attributes == NULL) {
        put_null(&c[ATTRIBUTES]);
    } else {
        replace_nul((char *)b->json.data, b->json.len);
        put_text(&c[ATTRIBUTES], row.attributes, row.attributes_len);
    }
    return true;
}

/* --- sending --- */

static bool send_statement(save_batch_t *b, PGconn *db, const char *name)
{
    b->unanswered++;
    return PQsendQueryPrepared(db, name, 0, NULL, NULL, NULL, FORMAT_BINARY) == 1;
}

static bool send_arrays(save_batch_t *b, PGconn *db, const char *statement, int columns, uint32_t rows)
{
    static const int formats[COLUMNS] = {FORMAT_BINARY, FORMAT_BINARY, FORMAT_BINARY, FORMAT_BINARY,
                                         FORMAT_BINARY, FORMAT_BINARY, FORMAT_BINARY};
    const char *values[COLUMNS];
    int lengths[COLUMNS];
    for (int i = 0; i < columns; i++) {
        buffer_t *c = &b->columns[i];
        if (c->failed)
            return false;
        for (int byte = 0; byte < 4; byte++)
            c->data[ARRAY_COUNT_AT + byte] = (uint8_t)(rows >> (24 - 8 * byte));
        values[i] = (const char *)c->data;
        lengths[i] = (int)c->len;
    }
    b->unanswered++;
    return PQsendQueryPrepared(db, statement, columns, values, lengths, formats, FORMAT_BINARY) == 1;
}

/* As many rows as one statement takes. */
static bool send_rows(save_batch_t *b, PGconn *db)
{
    uint32_t rows = 0;
    begin_arrays(b);
    for (size_t bytes = 0; b->sent + rows < b->to && rows < STATEMENT_ROWS && bytes < STATEMENT_BYTES;
         rows++) {
        if (!put_row(b, b->order[b->sent + rows]))
            return false;
        bytes = b->columns[HOST].len + b->columns[ATTRIBUTES].len;
    }
    b->sent += rows;
    return send_arrays(b, db, upserts(b) ? SESSION_UPSERT : SESSION_INSERT, COLUMNS, rows);
}

/* What can be sent now. A statement is made when the one before it is gone, and one in a turn, for those with
 * large bodies take their time. */
static bool send_more(save_batch_t *b, PGconn *db)
{
    const int unsent = PQflush(db);
    if (unsent != 0 || b->closed)
        return unsent >= 0;
    /* What comes behind a failed statement is not even read. */
    if (b->sent < b->to && !b->failed && !send_rows(b, db))
        return false;
    if (b->sent == b->to || b->failed) {
        if (!send_statement(b, db, SESSION_COMMIT) || !PQpipelineSync(db))
            return false;
        b->closed = true;
    }
    return PQflush(db) >= 0;
}

static bool begin_transaction(save_batch_t *b, PGconn *db)
{
    const uint32_t left = b->count - b->from;
    b->to = b->from + (left < b->rows_max ? left : b->rows_max);
    b->sent = b->from;
    b->unanswered = b->inserted = 0;
    b->closed = b->committed = b->failed = b->rolling_back = b->looking = false;
    return send_statement(b, db, SESSION_BEGIN) && send_more(b, db);
}

static bool roll_back(save_batch_t *b, PGconn *db)
{
    b->rolling_back = true;
    return send_statement(b, db, SESSION_ROLLBACK) && PQpipelineSync(db) && PQflush(db) >= 0;
}

/* --- answers --- */

#define UNIQUE_VIOLATION "23505"
#define NO_ROW           "P0001" /* what a trigger would say that raises an error instead */

/* The session is of no use any more. */
static int lost(save_batch_t *b, const PGconn *db)
{
    /* What the server said before it hung up tells more. */
    if (!b->failed)
        session_fault_of_connection(&b->fault, db);
    return -EIO;
}

/* The row at `from` did not get in. It has failed when it is to blame for sure; else it is set aside until
 * more is known. */
static void judge(save_batch_t *b, bool to_blame, worker_sink_t *sink)
{
    char text[WHY_BYTES + 32], id[MESSAGE_ID_TEXT];
    const worker_task_t *task = b->order[b->from++];
    const bool of_a_row = blame_may_be_of_a_row(&b->fault);
    const uint64_t inserts = b->suspects.inserts;
    if (!to_blame && !(of_a_row && suspects_convict(&b->suspects, task->id, b->now_ms))) {
        /* Before `from` there is room. */
        b->order[b->aside++] = task;
        if (of_a_row && inserts < b->first_aside)
            b->first_aside = inserts;
        return;
    }
    message_id_format(task->id, id);
    snprintf(text, sizeof text, "PostgreSQL refuses the row: %s", b->fault.text);
    log_limited(LOG_WARN, "%s (%s)", text, id);
    worker_fail(sink, task->number, OUTCOME_PERMANENT, 0, text);
}

static void row_is_there(save_batch_t *b, worker_sink_t *sink)
{
    save_row_committed(b->order[b->from++], sink);
    b->got_in = true;
}

/* Fewer rows were inserted than sent: some were there already, or something keeps them out without an error.
 * Asks which are not there. */
static bool look_for_rows(save_batch_t *b, PGconn *db)
{
    begin_arrays(b);
    for (uint32_t i = b->from; i < b->to; i++) {
        put_number(&b->columns[STREAM], (int64_t)b->order[i]->id.stream);
        put_number(&b->columns[SEQ], (int64_t)b->order[i]->id.seq);
    }
    b->looking = true;
    return send_arrays(b, db, SESSION_MISSING, 2, b->to - b->from) && PQpipelineSync(db) && PQflush(db) >= 0;
}

/* The answer: from 1 on, which of the rows are missing. */
static void take_missing(save_batch_t *b, const PGresult *r, worker_sink_t *sink)
{
    const uint32_t first = b->from;
    const int n = PQntuples(r);
    int at = 0;
    b->fault = (session_fault_t){.state = NO_ROW,
                                 .text = "a trigger or rule kept it out: it is not there after its commit"};
    while (b->from < b->to) {
        const uint8_t *p = at < n ? (const uint8_t *)PQgetvalue(r, at, 0) : NULL;
        const uint32_t number =
            p != NULL ? (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7] : 0;
        if (number == b->from - first + 1) {
            at++;
            /* Others got in with the same statement: nothing is wrong with the table. */
            judge(b, b->inserted > 0, sink);
        } else {
            row_is_there(b, sink);
        }
    }
}

/* Every row has been tried. Those that were set aside before others got in go again; what is left waits, and
 * when it is all that there was, the table is to blame. 0 or -EIO. */
static int end_round(save_batch_t *b, worker_sink_t *sink)
{
    char text[WHY_BYTES + 64];
    const uint32_t n = b->aside;
    if (n == 0)
        return 0;
    if (b->suspects.inserts > b->first_aside) {
        b->count = n;
        b->from = b->aside = 0;
        b->rows_max = n;
        b->first_aside = UINT64_MAX;
        return 0;
    }
    if (!b->got_in && (b->given > 1 || !blame_may_be_of_a_row(&b->fault)))
        return -EIO;
    snprintf(text, sizeof text, "PostgreSQL did not take the row, which waits: %s", b->fault.text);
    log_limited(LOG_WARN, "%s (SQLSTATE %s)", text, b->fault.state);
    for (uint32_t i = 0; i < n; i++)
        save_row_blocked(b->order[i], ASIDE_MS, text, sink);
    b->aside = 0;
    return 0;
}

/* What comes next after a transaction that failed: the same again, less, or without the one row. */
static void go_on_after_fault(save_batch_t *b, worker_sink_t *sink)
{
    const bool of_a_row = blame_may_be_of_a_row(&b->fault);
    const uint32_t rows = b->to - b->from;
    if (!upserts(b) && strcmp(b->fault.state, UNIQUE_VIOLATION) == 0) {
        b->upsert_until_ms = b->now_ms + UPSERT_MS;
    } else if (!of_a_row && strcmp(b->last_state, b->fault.state) != 0) {
        /* A deadlock, say, is over when it is done again. */
        snprintf(b->last_state, sizeof b->last_state, "%s", b->fault.state);
    } else if (rows == 1) {
        judge(b, false, sink);
    } else {
        b->rows_max = rows / 2;
        /* What the server has no time for it will not have next time. */
        if (!of_a_row)
            b->rows_limit = b->rows_max;
    }
}

static int take_commit(save_batch_t *b, PGconn *db, worker_sink_t *sink)
{
    b->suspects.inserts += b->inserted > 0;
    if (b->inserted < b->to - b->from)
        return look_for_rows(b, db) ? b->inserted > 0 : lost(b, db);
    while (b->from < b->to)
        row_is_there(b, sink);
    return 1;
}

static int begin_next(save_batch_t *b, PGconn *db, worker_sink_t *sink)
{
    if (!save_batch_at_work(b) && end_round(b, sink) != 0)
        return -EIO;
    return save_batch_at_work(b) && !begin_transaction(b, db) ? lost(b, db) : 0;
}

/* A transaction has ended. 0, 1 when it was committed, or -EIO. */
static int end_transaction(save_batch_t *b, PGconn *db, worker_sink_t *sink)
{
    int result = 0;
    if (b->failed) {
        if (blame_is_of_the_server(&b->fault))
            return -EIO;
        if (!b->rolling_back && PQtransactionStatus(db) == PQTRANS_INERROR)
            return roll_back(b, db) ? 0 : lost(b, db);
        if (PQtransactionStatus(db) != PQTRANS_IDLE || b->from == b->to)
            return -EIO;
        go_on_after_fault(b, sink);
    } else if (b->unanswered != 0 || !b->committed) {
        b->fault = (session_fault_t){.text = "a transaction ended without a commit"};
        return -EIO;
    } else if (!b->looking) {
        result = take_commit(b, db, sink);
        if (result < 0 || b->looking)
            return result;
    } else {
        result = b->got_in;
    }
    b->looking = false;
    if (!b->failed) {
        b->rows_max = b->rows_max < b->count ? 2 * b->rows_max : b->rows_max;
        b->rows_limit = b->rows_limit < UINT32_MAX / 2 ? 2 * b->rows_limit : UINT32_MAX;
    }
    const int error = begin_next(b, db, sink);
    return error != 0 ? error : result;
}

/* True: that was the last one of a transaction. */
static bool take_result(save_batch_t *b, PGresult *r, worker_sink_t *sink)
{
    int64_t rows = 0;
    if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
        return true;
    b->unanswered--;
    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
        b->committed |= strcmp(PQcmdStatus(r), "COMMIT") == 0;
        if (config_parse_int(PQcmdTuples(r), &rows) == 0)
            b->inserted += (uint32_t)rows;
        return false;
    case PGRES_TUPLES_OK:
        /* A rule may make rows of an INSERT, too. */
        if (b->looking)
            take_missing(b, r, sink);
        return false;
    case PGRES_PIPELINE_ABORTED:
        return false;
    default:
        /* The first counts. */
        if (!b->failed)
            session_fault_of_result(&b->fault, r);
        b->failed = true;
        return false;
    }
}

/* One result, NULL: there is none yet. libpq gives NULL after each statement, too. */
static PGresult *next_result(PGconn *db)
{
    PGresult *r = NULL;
    for (int i = 0; i < 2 && r == NULL && !PQisBusy(db); i++)
        r = PQgetResult(db);
    return r;
}

int save_batch_go_on(save_batch_t *b, PGconn *db, int64_t now_ms, worker_sink_t *sink)
{
    int committed = 0;
    PGresult *r;
    b->now_ms = now_ms;
    if (b->broken)
        return -EIO;
    if (save_batch_at_work(b) && !send_more(b, db))
        return lost(b, db);
    const bool open = PQconsumeInput(db) == 1;
    while (save_batch_at_work(b) && (r = next_result(db)) != NULL) {
        const bool ended = take_result(b, r, sink);
        PQclear(r);
        const int result = ended ? end_transaction(b, db, sink) : 0;
        if (result < 0)
            return result;
        committed |= result;
    }
    if (!open || PQstatus(db) != CONNECTION_OK)
        return lost(b, db);
    if (save_batch_at_work(b) && now_ms >= b->due_ms) {
        b->fault = (session_fault_t){.text = "no answer from the server"};
        return -EIO;
    }
    return committed;
}

bool save_batch_writes(const save_batch_t *b, PGconn *db)
{
    return save_batch_at_work(b) && (!b->closed || PQflush(db) == 1);
}

/* --- the batch --- */

static int compare_ids(const void *a, const void *b)
{
    const message_id_t x = (*(const worker_task_t *const *)a)->id, y = (*(const worker_task_t *const *)b)->id;
    if (x.stream != y.stream)
        return x.stream < y.stream ? -1 : 1;
    return x.seq < y.seq ? -1 : x.seq > y.seq;
}

/* Workers that have the same messages insert them in the same order: so they wait for each other, and never
 * in a ring. */
static int sort(save_batch_t *b, const worker_task_t *tasks, uint32_t n)
{
    if (n > b->room) {
        const worker_task_t **order = realloc(b->order, n * sizeof(const worker_task_t *));
        if (order == NULL)
            return -ENOMEM;
        b->order = order;
        b->room = n;
    }
    bool sorted = true;
    for (uint32_t i = 0; i < n; i++) {
        b->order[i] = &tasks[i];
        sorted = sorted && (i == 0 || compare_ids(&b->order[i - 1], &b->order[i]) <= 0);
    }
    if (!sorted)
        qsort(b->order, n, sizeof(const worker_task_t *), compare_ids);
    return 0;
}

int save_batch_begin(save_batch_t *b, PGconn *db, const worker_task_t *tasks, uint32_t n, int64_t now_ms)
{
    if (sort(b, tasks, n) != 0)
        return -ENOMEM;
    b->now_ms = now_ms;
    b->count = b->given = n;
    b->from = b->aside = 0;
    b->first_aside = UINT64_MAX;
    b->got_in = b->looking = false;
    b->rows_max = n < b->rows_limit ? n : b->rows_limit;
    b->saved_ms = clock_wall_ms();
    b->fault = (session_fault_t){0};
    b->broken = false;
    /* Not a moment longer than any of its tasks may take: what they wait for here counts as a try there. */
    b->due_ms = now_ms + ANSWER_MS;
    for (uint32_t i = 0; i < n; i++)
        b->due_ms = tasks[i].deadline_ms < b->due_ms ? tasks[i].deadline_ms : b->due_ms;
    if (begin_transaction(b, db))
        return 0;
    lost(b, db);
    b->broken = true;
    return 0;
}

void save_batch_give_back(save_batch_t *b, int64_t wait_ms, const char *why, worker_sink_t *sink)
{
    for (uint32_t i = 0; i < b->aside; i++)
        save_row_blocked(b->order[i], wait_ms, why, sink);
    while (b->from < b->count)
        save_row_blocked(b->order[b->from++], wait_ms, why, sink);
    b->aside = 0;
    suspects_clear(&b->suspects);
    b->broken = b->failed = b->looking = false;
}

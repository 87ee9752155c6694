/* The way to a session. Straight-line code in a thread: each step waits for its answer, for the end of its
 * time or for the word to stop. */
#include "workers/save/save_postgres_session.h"
#include "common/runtime/clock.h"
#include "workers/save/save_postgres_schema.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CONNECT_MS = 30000, /* all hosts together */
    ANSWER_MS = 30000,  /* of each statement */
    STOP_MS = 500,      /* for a thread that is told to stop; one that asks for a name does not hear it */
    PASSWORD_BYTES_MAX = 1024,
    VERSION_MIN = 100000, /* PostgreSQL 10 */
    STATE_LEN = 5,
    LIMIT_SQL_BYTES = 256,
};

/* A host that does not answer, at the start or later, is given up after so long (libpq waits for the kernel,
 * which tries for minutes); what the user says of these in the conninfo counts more. */
#define HOST_SILENT_MS   "10000"
#define KEEPALIVE_IDLE_S "10"

struct session_opener {
    session_options_t options;
    pthread_t thread;
    int stop, ended; /* eventfds */
    pthread_mutex_t lock;
    unsigned holders; /* under the lock: the thread, and who started it */
    /* The thread's until it has ended. */
    PGconn *db;
    bool ready;
    char remark[WHY_BYTES];
    session_fault_t fault;
};

/* --- what went wrong --- */

bool sql_state_is_in(const char *state, const char *const *classes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(state, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

/* Who may connect, what is there, what is allowed: nothing that time mends. */
static bool is_settled(const char *state)
{
    static const char *const classes[] = {"28", "3D", "3F", "42", "F0"};
    return sql_state_is_in(state, classes, sizeof classes / sizeof classes[0]);
}

static void set_text(session_fault_t *f, const char *text)
{
    size_t len = strcspn(text, "\r\n");
    text_escape(text, len, f->text, sizeof f->text);
}

void session_fault_of_result(session_fault_t *f, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(f->state, sizeof f->state, "%s", state != NULL ? state : "");
    set_text(f, text != NULL ? text : PQresultErrorMessage(result));
    f->settled = is_settled(f->state);
    f->constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) != NULL;
}

/* libpq keeps the SQLSTATE of a connection that failed to itself, but writes it into the text when that is to
 * be verbose: "FATAL:  28P01: password authentication failed". Takes it out again. */
static void take_state(session_fault_t *f, char *text)
{
    for (char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        char *state = at + 3;
        size_t len = 0;
        while (len < STATE_LEN && (isupper((unsigned char)state[len]) || isdigit((unsigned char)state[len])))
            len++;
        if (len != STATE_LEN || strncmp(state + len, ": ", 2) != 0)
            continue;
        memcpy(f->state, state, STATE_LEN);
        f->state[STATE_LEN] = '\0';
        memmove(state, state + STATE_LEN + 2, strlen(state + STATE_LEN + 2) + 1);
        return;
    }
}

void session_fault_of_connection(session_fault_t *f, const PGconn *db)
{
    char text[4 * WHY_BYTES];
    snprintf(text, sizeof text, "%s", PQerrorMessage(db));
    f->state[0] = '\0';
    take_state(f, text);
    set_text(f, text[0] != '\0' ? text : "the connection was lost");
    f->settled = is_settled(f->state);
}

static int fail(session_opener_t *o, const char *text)
{
    o->fault = (session_fault_t){0};
    set_text(&o->fault, text);
    return -EIO;
}

/* --- waiting --- */

/* Until the descriptor is ready: 0, or -errno with the fault. */
static int wait_for(session_opener_t *o, int fd, short events, int64_t until_ms)
{
    const int64_t now_ms = clock_ms();
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = o->stop, .events = POLLIN}};
    if (now_ms >= until_ms)
        return fail(o, "no answer from the server");
    const int n = poll(fds, 2, (int)(until_ms - now_ms));
    if (fds[1].revents != 0)
        return fail(o, "stopped");
    return n < 0 && errno != EINTR ? fail(o, strerror(errno)) : 0;
}

/* The last result of what was asked, or NULL with the first fault; nothing of it is left to be read. */
static PGresult *answer(session_opener_t *o)
{
    const int64_t until_ms = clock_ms() + ANSWER_MS;
    PGresult *last = NULL;
    bool failed = false;
    for (;;) {
        while (PQisBusy(o->db)) {
            if (wait_for(o, PQsocket(o->db), POLLIN, until_ms) != 0)
                goto failed;
            if (!PQconsumeInput(o->db)) {
                session_fault_of_connection(&o->fault, o->db);
                goto failed;
            }
        }
        PGresult *next = PQgetResult(o->db);
        if (next == NULL && !failed)
            return last;
        if (next == NULL)
            goto failed;
        PQclear(last);
        last = next;
        if (PQresultStatus(last) == PGRES_FATAL_ERROR && !failed) {
            session_fault_of_result(&o->fault, last);
            failed = true;
        }
    }
failed:
    PQclear(last);
    return NULL;
}

static PGresult *ask(void *arg, const char *sql)
{
    session_opener_t *o = arg;
    if (!PQsendQuery(o->db, sql)) {
        session_fault_of_connection(&o->fault, o->db);
        return NULL;
    }
    return answer(o);
}

static int run(session_opener_t *o, const char *sql)
{
    PGresult *result = ask(o, sql);
    const int error = result != NULL ? 0 : -EIO;
    PQclear(result);
    return error;
}

/* --- the steps --- */

/* The file's first line, as libpq takes a password; read each time, so that a new one needs no restart. */
static int read_password(const char *path, char *ret, size_t size, char *why)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : -1;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        snprintf(why, WHY_BYTES, "the password file %.100s: %s", path, strerror(error));
        return -error;
    }
    ret[n] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    return 0;
}

static void keep_quiet(void *arg, const char *text)
{
    (void)arg, (void)text;
}

static int start_connecting(session_opener_t *o)
{
    char password[PASSWORD_BYTES_MAX] = "", why[WHY_BYTES];
    const char *file = o->options.password_file;
    if (file != NULL && read_password(file, password, sizeof password, why) != 0) {
        fail(o, why);
        o->fault.settled = true;
        return -EIO;
    }
    /* What stands before the conninfo (as "dbname") it may overrule. */
    const char *const keywords[] = {"tcp_user_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "application_name",
                                    "dbname",
                                    "client_encoding",
                                    file != NULL ? "password" : NULL,
                                    NULL};
    const char *const values[] = {HOST_SILENT_MS,      KEEPALIVE_IDLE_S, "5",      "3", "mandrill",
                                  o->options.conninfo, "UTF8",           password, NULL};
    o->db = PQconnectStartParams(keywords, values, 1);
    if (o->db == NULL)
        return fail(o, "no memory");
    PQsetNoticeProcessor(o->db, keep_quiet, NULL);
    PQsetErrorVerbosity(o->db, PQERRORS_VERBOSE);
    return 0;
}

static int connect_session(session_opener_t *o)
{
    const int64_t until_ms = clock_ms() + CONNECT_MS;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    int error = start_connecting(o);
    while (error == 0 && PQstatus(o->db) != CONNECTION_BAD && status != PGRES_POLLING_OK &&
           status != PGRES_POLLING_FAILED) {
        error = wait_for(o, PQsocket(o->db), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms);
        if (error == 0)
            status = PQconnectPoll(o->db);
    }
    if (error != 0)
        return error;
    PQsetErrorVerbosity(o->db, PQERRORS_DEFAULT);
    if (PQstatus(o->db) == CONNECTION_OK)
        return 0;
    session_fault_of_connection(&o->fault, o->db);
    return -EIO;
}

/* What a commit is worth here, and whether there can be one. */
static int check_server(session_opener_t *o)
{
    char text[WHY_BYTES];
    if (PQserverVersion(o->db) < VERSION_MIN) {
        snprintf(text, sizeof text, "the server has version %d, this program needs %d or newer",
                 PQserverVersion(o->db) / 10000, VERSION_MIN / 10000);
        fail(o, text);
        o->fault.settled = true;
        return -EIO;
    }
    /* Set even where it stays the same: then a reload at the server does not change it under this session. */
    PGresult *r =
        ask(o, "SELECT current_setting('server_encoding'), was, current_setting('fsync'),"
               " current_setting('transaction_read_only'),"
               " set_config('synchronous_commit', CASE was WHEN 'off' THEN 'on' ELSE was END, false)"
               " FROM (SELECT current_setting('synchronous_commit') AS was) AS s");
    if (r == NULL)
        return -EIO;
    int error = 0;
    if (strcmp(PQgetvalue(r, 0, 0), "UTF8") != 0) {
        snprintf(text, sizeof text,
                 "the database has the encoding %s, which cannot hold every message; UTF8"
                 " is needed",
                 PQgetvalue(r, 0, 0));
        error = fail(o, text);
        o->fault.settled = true;
    } else if (strcmp(PQgetvalue(r, 0, 3), "off") != 0) {
        error = fail(o, "the server takes no writes (a standby, or default_transaction_read_only)");
    } else if (strcmp(PQgetvalue(r, 0, 1), "off") == 0) {
        snprintf(o->remark, sizeof o->remark, "synchronous_commit was off; it is on for this session");
    }
    if (error == 0 && strcmp(PQgetvalue(r, 0, 2), "on") != 0)
        snprintf(o->remark, sizeof o->remark, "fsync is off at the server: a power cut loses what was saved");
    PQclear(r);
    return error;
}

/* Limits where nobody has set any: what a worker has begun that is gone must not keep its rows from others,
 * and nobody waits for such rows longer than tasks may take. Not every version knows each, nor can every
 * system keep each: a session without one is better than none. */
static int set_limits(session_opener_t *o)
{
    static const char *const limits[][2] = {
        {"lock_timeout", "10s"},
        {"client_connection_check_interval", "2s"},
        {"idle_in_transaction_session_timeout", "30s"},
        {"tcp_keepalives_idle", "10"},
        {"tcp_keepalives_interval", "5"},
        {"tcp_keepalives_count", "3"},
    };
    char sql[LIMIT_SQL_BYTES];
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        snprintf(sql, sizeof sql,
                 "SELECT set_config(name, '%s', false) FROM pg_settings WHERE name = '%s'"
                 " AND (name LIKE 'tcp%%' OR setting = '0')",
                 limits[i][1], limits[i][0]);
        o->fault = (session_fault_t){0};
        /* Refused by the server, in a session that goes on. */
        if (run(o, sql) != 0 && (o->fault.state[0] == '\0' || PQstatus(o->db) != CONNECTION_OK))
            return -EIO;
    }
    return 0;
}

static int prepare(session_opener_t *o)
{
    static const struct {
        const char *name, *sql;
    } statements[] = {
        /* Nothing else would do: what others have committed meanwhile must be seen, or a message that comes
         * again fails instead of finding its row. */
        {SESSION_BEGIN, "BEGIN ISOLATION LEVEL READ COMMITTED"},
        {SESSION_INSERT, SCHEMA_INSERT},
        {SESSION_UPSERT, SCHEMA_UPSERT},
        {SESSION_MISSING, SCHEMA_MISSING},
        {SESSION_COMMIT, "COMMIT"},
        {SESSION_ROLLBACK, "ROLLBACK"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        PGresult *result = NULL;
        if (PQsendPrepare(o->db, statements[i].name, statements[i].sql, 0, NULL))
            result = answer(o);
        else
            session_fault_of_connection(&o->fault, o->db);
        if (result == NULL)
            return -EIO;
        PQclear(result);
    }
    return 0;
}

static int settle(session_opener_t *o)
{
    int error = connect_session(o);
    if (error == 0)
        error = check_server(o);
    if (error == 0)
        error = set_limits(o);
    if (error == 0)
        error = schema_settle(ask, o, &o->fault);
    if (error == 0)
        error = prepare(o);
    if (error == 0 && (PQsetnonblocking(o->db, 1) != 0 || !PQenterPipelineMode(o->db)))
        error = fail(o, PQerrorMessage(o->db));
    return error;
}

/* --- the thread, and who started it --- */

/* The last one frees it. */
static void let_go(session_opener_t *o)
{
    pthread_mutex_lock(&o->lock);
    const bool last = --o->holders == 0;
    pthread_mutex_unlock(&o->lock);
    if (!last)
        return;
    PQfinish(o->db);
    if (o->stop >= 0)
        close(o->stop);
    if (o->ended >= 0)
        close(o->ended);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static void tell(int event)
{
    const uint64_t one = 1;
    /* Only fails when the counter is full: then it has been told. */
    (void)!write(event, &one, sizeof one);
}

static void *open_session(void *arg)
{
    session_opener_t *o = arg;
    o->ready = settle(o) == 0;
    tell(o->ended);
    let_go(o);
    return NULL;
}

int session_opener_new(session_opener_t **ret, const session_options_t *options)
{
    session_opener_t *o = calloc(1, sizeof *o);
    if (o == NULL)
        return -ENOMEM;
    o->options = *options;
    o->holders = 1;
    pthread_mutex_init(&o->lock, NULL);
    o->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    o->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = o->stop < 0 || o->ended < 0 ? -errno : 0;
    if (error == 0) {
        o->holders = 2;
        error = -pthread_create(&o->thread, NULL, open_session, o);
    }
    if (error != 0) {
        o->holders = 1;
        let_go(o);
        return error;
    }
    *ret = o;
    return 0;
}

int session_opener_fd(const session_opener_t *o)
{
    return o->ended;
}

static bool has_ended(const session_opener_t *o, int timeout_ms)
{
    struct pollfd ended = {.fd = o->ended, .events = POLLIN};
    return poll(&ended, 1, timeout_ms) > 0;
}

int session_opener_take(session_opener_t **opener, PGconn **ret, char *remark, session_fault_t *ret_fault)
{
    session_opener_t *o = *opener;
    if (!has_ended(o, 0))
        return 0;
    pthread_join(o->thread, NULL);
    const bool ready = o->ready;
    if (ready) {
        snprintf(remark, WHY_BYTES, "%s", o->remark);
        *ret = o->db;
        o->db = NULL;
    } else {
        *ret_fault = o->fault;
    }
    let_go(o);
    *opener = NULL;
    return ready ? 1 : -EIO;
}

void session_opener_destroy(session_opener_t **opener)
{
    session_opener_t *o = *opener;
    if (o == NULL)
        return;
    tell(o->stop);
    if (has_ended(o, STOP_MS))
        pthread_join(o->thread, NULL);
    else
        pthread_detach(o->thread);
    let_go(o);
    *opener = NULL;
}

/* --- before there is any --- */

/* libpq quotes in its messages what it did not understand, which may be a piece of a password. */
static void leave_out_quoted(char *text)
{
    char *first = strchr(text, '"'), *last = strrchr(text, '"');
    if (first != NULL && last > first)
        memmove(first + 1, last, strlen(last) + 1);
}

int session_check(const session_options_t *options, char *why)
{
    char *told = NULL, password[PASSWORD_BYTES_MAX], text[WHY_BYTES / 2];
    const char *conninfo = options->conninfo;
    const bool name_only = strchr(conninfo, '=') == NULL && strncmp(conninfo, "postgresql://", 13) != 0 &&
                           strncmp(conninfo, "postgres://", 11) != 0;
    /* A URI with a slash too few: the server would say the name, password and all, in its answer. */
    if (name_only && strpbrk(conninfo, "@:") != NULL) {
        snprintf(why, WHY_BYTES,
                 "--postgres is no connection string or URI of libpq's: a URI begins with postgresql://, and"
                 " the name of a database with '@' or ':' in it is given as dbname=NAME");
        return -ERANGE;
    }
    PQconninfoOption *parsed = name_only ? NULL : PQconninfoParse(conninfo, &told);
    if (!name_only && parsed == NULL) {
        if (told != NULL)
            leave_out_quoted(told);
        snprintf(text, sizeof text, "%s", told != NULL ? told : "no memory");
        text[strcspn(text, "\r\n")] = '\0';
        snprintf(why, WHY_BYTES, "--postgres is no connection string or URI of libpq's: %s", text);
        PQfreemem(told);
        return -ERANGE;
    }
    PQconninfoFree(parsed);
    if (options->password_file == NULL)
        return 0;
    return read_password(options->password_file, password, sizeof password, why);
}

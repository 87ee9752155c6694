#define _DEFAULT_SOURCE /* flock, which SQLite's own (POSIX record) locks on the same file do not disturb */
/* save-sqlite: one row for each message, in one SQLite file.
 *
 * A batch is one transaction; results are given after its commit. A message that comes again finds its row
 * and is answered OK. Durability: WAL with synchronous FULL, so a commit survives a power cut.
 *
 * One process writes a file: two writers in WAL mode can damage it. flock keeps the second away; SQLite's
 * exclusive locking mode would too, but then nobody could read the rows while the worker runs.
 *
 * After a failed fsync the kernel takes what it could not write for written: the next fsync succeeds, and the
 * log still reads as if it were on the disk. So the worker ends, and the next one writes all that it finds in
 * the log anew, into the database, before it answers anything: a message that finds its row is answered OK
 * without any write. */
#include "common/runtime/clock.h"
#include "common/runtime/folder.h"
#include "common/runtime/log.h"
#include "common/runtime/sqlite_rows.h"
#include "workers/save/row.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SCHEMA_VERSION = 1,
    APPLICATION_ID = 0x4d445356, /* "MDSV": tells this file from others of ours */
    /* How long to leave a store alone that is away, or locked by somebody. */
    AWAY_WAIT_MS = 1000,
    LOCKED_WAIT_MS = 100,
    OPEN_WAIT_MS = 5000, /* for a lock, when it is opened */
    /* A checkpoint costs two fsyncs and holds up the batch that meets it. At this size of the log it takes
     * some ms twice a second under full load, and a quarter more rows get through than at SQLite's 4 MB. */
    CHECKPOINT_BYTES = 16 * 1024 * 1024,
};

/* The limit gives back what a long reader made the log grow to. */
#define WAL_BYTES_MAX "67108864"

/* Of a new file; the same as the outbox's, for the same reason: half as many writes to the log. */
#define PAGE_BYTES "8192"

typedef struct {
    int lock; /* the file, under flock */
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit, *rollback;
    int64_t page_bytes; /* of this file, whoever made it */
    int64_t log_bytes;
    bool failed;                /* the disk: nothing is written any more */
    const worker_task_t *tasks; /* of the batch that is being saved, as rows */
    int64_t now_ms;
    save_row_t row;
    buffer_t json; /* of that row */
    sqlite_rows_t rows;
    const char *path;
    bool log_settled; /* nothing is left in the log from before the start */
} save_t;

static const config_option_t options[] = {
    {.name = "database",
     .type = CONFIG_TEXT,
     .fallback = "mandrill-data/saved.db",
     .argument = "FILE",
     .help = "save-sqlite: where messages are saved; one worker for each file"},
};

static const char schema[] = "CREATE TABLE messages("
                             "  stream INTEGER NOT NULL, seq INTEGER NOT NULL,"
                             "  instance TEXT NOT NULL, host TEXT NOT NULL,"
                             "  published_at INTEGER NOT NULL, saved_at INTEGER NOT NULL," /* ms since 1970 */
                             "  attributes TEXT," /* a JSON object; NULL: none */
                             "  PRIMARY KEY(stream, seq)) STRICT, WITHOUT ROWID";

/* --- opening --- */

static int fail(const save_t *s, int error, char *why, const char *doing)
{
    snprintf(why, WHY_BYTES, "%.80s: %.30s: %.70s", s->path, doing,
             s->db != NULL ? sqlite3_errmsg(s->db) : "no memory");
    return error;
}

static void save_close(void **self)
{
    save_t *s = *self;
    if (s == NULL)
        return;
    sqlite3_finalize(s->begin);
    sqlite3_finalize(s->insert);
    sqlite3_finalize(s->commit);
    sqlite3_finalize(s->rollback);
    /* The log is left as it is then, for the next start to judge. */
    if (s->failed)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s->db);
    /* Last: closing a descriptor of the file drops SQLite's locks on it. */
    if (s->lock >= 0)
        close(s->lock);
    buffer_done(&s->json);
    free(s);
    *self = NULL;
}

/* The folder of the default path is ours to make; one that was asked for is made too, but no tree of them. */
static int make_folder(const char *path, char *why)
{
    const int error = folder_make_for(path);
    if (error != 0)
        snprintf(why, WHY_BYTES, "%.100s: cannot make its folder: %s", path, strerror(-error));
    return error;
}

static int take_lock(save_t *s, bool check, char *why)
{
    s->lock = open(s->path, O_RDWR | O_CLOEXEC | (check ? 0 : O_CREAT), 0644);
    if (s->lock < 0 && check && errno == ENOENT)
        return 0; /* it will be made */
    if (s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        if (error == EWOULDBLOCK)
            snprintf(why, WHY_BYTES, "%.100s is in use by another save worker; one worker writes one file",
                     s->path);
        else
            snprintf(why, WHY_BYTES, "%.100s: %s", s->path, strerror(error));
        return error == EWOULDBLOCK ? -EBUSY : -error;
    }
    return 0;
}

/* The first column of the first row as text; "" when there is none. */
static int query(save_t *s, const char *sql, char *ret, size_t size)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    const unsigned char *text = rc == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    snprintf(ret, size, "%s", text != NULL ? (const char *)text : "");
    return sqlite3_finalize(statement);
}

/* A pragma that is set and read back: some are refused without an error. */
static int set_pragma(save_t *s, const char *name, const char *value, const char *expected, char *why)
{
    char sql[96], got[32] = "";
    snprintf(sql, sizeof sql, "PRAGMA %s=%s", name, value);
    int rc = query(s, sql, got, sizeof got);
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    if (rc == SQLITE_OK)
        rc = query(s, sql, got, sizeof got);
    if (rc == SQLITE_NOTADB)
        return -EINVAL;
    if (rc != SQLITE_OK)
        return fail(s, -EIO, why, sql);
    if (strcmp(got, expected) == 0)
        return 0;
    snprintf(why, WHY_BYTES, "%.100s: %s is %s and cannot be made %s", s->path, name, got, value);
    return -EINVAL;
}

/* Whose file it is: 0, 1 for one that is empty, or -EINVAL. */
static int check_owner(save_t *s, char *why)
{
    char application[16] = "", version[16] = "", tables[16] = "", ours[16];
    const int rc = query(s, "PRAGMA application_id", application, sizeof application);
    if (rc == SQLITE_NOTADB) {
        snprintf(why, WHY_BYTES, "%.100s is no SQLite database", s->path);
        return -EINVAL;
    }
    if (rc != SQLITE_OK || query(s, "PRAGMA user_version", version, sizeof version) != SQLITE_OK ||
        query(s, "SELECT count(*) FROM sqlite_master", tables, sizeof tables) != SQLITE_OK)
        return fail(s, -EIO, why, "cannot read");
    if (strcmp(tables, "0") == 0 && strcmp(application, "0") == 0 && strcmp(version, "0") == 0)
        return 1;
    snprintf(ours, sizeof ours, "%d", APPLICATION_ID);
    if (strcmp(application, ours) != 0) {
        snprintf(why, WHY_BYTES, "%.100s is a database, but not of save-sqlite", s->path);
        return -EINVAL;
    }
    snprintf(ours, sizeof ours, "%d", SCHEMA_VERSION);
    if (strcmp(version, ours) != 0) {
        snprintf(why, WHY_BYTES, "%.100s has version %s, this program needs version %s", s->path, version,
                 ours);
        return -EINVAL;
    }
    return 0;
}

static int make_schema(save_t *s, char *why)
{
    char sql[1024];
    snprintf(sql, sizeof sql, "BEGIN IMMEDIATE; %s; PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             schema, APPLICATION_ID, SCHEMA_VERSION);
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : fail(s, -EIO, why, "cannot make the table");
}

static int set_pragmas(save_t *s, char *why)
{
    static const struct {
        const char *name, *value, *expected;
    } pragmas[] = {
        {"journal_mode", "WAL", "wal"},
        {"synchronous", "FULL", "2"},
        {"secure_delete", "OFF", "0"},
        {"wal_autocheckpoint", "0", "0"}, /* SQLite's own would keep their errors to themselves */
        {"journal_size_limit", WAL_BYTES_MAX, WAL_BYTES_MAX},
    };
    char page[16] = "";
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof pragmas / sizeof pragmas[0]; i++)
        error = set_pragma(s, pragmas[i].name, pragmas[i].value, pragmas[i].expected, why);
    if (error == 0 && query(s, "PRAGMA page_size", page, sizeof page) != SQLITE_OK)
        error = fail(s, -EIO, why, "cannot read");
    s->page_bytes = atoi(page);
    return error;
}

static int note_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    save_t *s = arg;
    s->log_bytes = pages * s->page_bytes;
    return SQLITE_OK;
}

static int make_row(void *arg, uint32_t n)
{
    save_t *s = arg;
    return save_row_make(&s->row, &s->tasks[n], s->now_ms, &s->json) == 0 ? SQLITE_OK : SQLITE_NOMEM;
}

static void give_column(void *arg, uint32_t n, int column, sqlite3_context *ret)
{
    const save_row_t *row = &((const save_t *)arg)->row;
    (void)n;
    switch (column) {
    case 0:
        sqlite3_result_int64(ret, row->stream);
        break;
    case 1:
        sqlite3_result_int64(ret, row->seq);
        break;
    case 2:
        sqlite3_result_text(ret, row->instance, (int)row->instance_len, SQLITE_STATIC);
        break;
    case 3:
        sqlite3_result_text(ret, row->host, (int)row->host_len, SQLITE_STATIC);
        break;
    case 4:
        sqlite3_result_int64(ret, row->published_ms);
        break;
    case 5:
        sqlite3_result_int64(ret, row->saved_ms);
        break;
    default: /* NULL when the message has none; a copy, for the next row's are written over it */
        sqlite3_result_text(ret, row->attributes, (int)row->attributes_len, SQLITE_TRANSIENT);
        break;
    }
}

static int prepare(save_t *s, char *why)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&s->begin, "BEGIN IMMEDIATE"},
        /* WHERE tells ON CONFLICT from the ON of a join. */
        {&s->insert, "INSERT OR FAIL INTO messages SELECT * FROM batch WHERE true"
                     " ON CONFLICT(stream, seq) DO NOTHING"},
        {&s->commit, "COMMIT"},
        {&s->rollback, "ROLLBACK"},
    };
    s->rows = (sqlite_rows_t){.columns = "stream, seq, instance, host, published_at, saved_at, attributes",
                              .row = make_row,
                              .column = give_column,
                              .arg = s};
    if (sqlite_rows_add(s->db, "batch", &s->rows) != SQLITE_OK)
        return fail(s, -EIO, why, "cannot prepare");
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (sqlite3_prepare_v3(s->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                               statements[i].statement, NULL) != SQLITE_OK)
            return fail(s, -EIO, why, "cannot prepare");
    sqlite3_wal_hook(s->db, note_pages, s);
    return 0;
}

static int open_database(save_t *s, bool check, char *why)
{
    int error = check ? 0 : make_folder(s->path, why);
    if (error == 0)
        error = take_lock(s, check, why);
    if (error != 0 || s->lock < 0)
        return error;
    const int flags = check ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    /* One thread uses it; counting its memory would take a lock for each piece. */
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return fail(s, -EIO, why, "cannot open");
    sqlite3_busy_timeout(s->db, OPEN_WAIT_MS);
    const int owner = check_owner(s, why);
    if (owner < 0 || check)
        return owner < 0 ? owner : 0;
    error = owner == 1 ? set_pragma(s, "page_size", PAGE_BYTES, PAGE_BYTES, why) : 0;
    if (error == 0)
        error = set_pragmas(s, why);
    if (error == 0 && owner == 1)
        error = make_schema(s, why);
    /* From now on there are others to be answered meanwhile. */
    sqlite3_busy_timeout(s->db, 0);
    return error == 0 ? prepare(s, why) : error;
}

static int save_open(void **ret_self, const config_t *config, bool check, char *why)
{
    void *self = calloc(1, sizeof(save_t));
    save_t *s = self;
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    s->lock = -1;
    buffer_init(&s->json);
    s->path = config_text(config, "database");
    const int error = open_database(s, check, why);
    if (error != 0) {
        save_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

/* --- saving --- */

static int run(sqlite3_stmt *statement)
{
    const int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* And the log begins again: what came behind frames that the disk does not have would go with them. Whoever
 * is reading is waited for: SQLITE_BUSY. */
static int settle_log(save_t *s)
{
    const int rc = s->log_settled
                       ? SQLITE_OK
                       : sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    s->log_settled = rc == SQLITE_OK;
    return rc;
}

static int save_all(save_t *s, const worker_task_t *tasks, uint32_t n)
{
    s->tasks = tasks;
    s->rows.count = n;
    s->now_ms = clock_wall_ms();
    int rc = settle_log(s);
    if (rc == SQLITE_OK)
        rc = run(s->begin);
    if (rc == SQLITE_OK)
        rc = run(s->insert);
    return rc == SQLITE_OK ? run(s->commit) : rc;
}

static void tell_failure(save_t *s)
{
    log_error("%s: %s (SQLite %d)", s->path, sqlite3_errmsg(s->db), sqlite3_extended_errcode(s->db));
    s->failed = true;
}

/* A write that was refused as a whole, and may be possible later, is not what SQLite calls it. */
static int true_code(const save_t *s, int rc)
{
    const bool refused = sqlite3_extended_errcode(s->db) == SQLITE_IOERR_WRITE;
    const int error = refused ? sqlite3_system_errno(s->db) : 0;
    return error == EDQUOT ? SQLITE_FULL : error == EROFS ? SQLITE_READONLY : rc & 0xff;
}

typedef struct {
    int code, wait_ms;
    const char *text;
} away_t;

/* What is over some time; NULL: a failure. */
static const away_t *find_away(const save_t *s, int rc)
{
    static const away_t all[] = {
        {SQLITE_FULL, AWAY_WAIT_MS, "the disk is full"},
        {SQLITE_READONLY, AWAY_WAIT_MS, "cannot be written now"},
        {SQLITE_NOMEM, AWAY_WAIT_MS, "out of memory"},
        {SQLITE_BUSY, LOCKED_WAIT_MS, "locked by another program"},
        {SQLITE_LOCKED, LOCKED_WAIT_MS, "locked by another program"},
    };
    const int code = true_code(s, rc);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].code == code)
            return &all[i];
    return NULL;
}

/* Moves the log's pages to their places. What is away may wait: the log goes on growing until a commit finds
 * no room. */
static int checkpoint(save_t *s)
{
    const int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc == SQLITE_OK || find_away(s, rc) != NULL)
        return 0;
    tell_failure(s);
    return -EIO;
}

/* Nothing of the batch was saved. Whether it may be tried again, and after how many ms; 0: no. */
static int wait_for_store(save_t *s, int rc)
{
    const away_t *away = find_away(s, rc);
    if (away != NULL)
        log_limited(LOG_WARN, "%s: %s; nothing is saved until that is over", s->path, away->text);
    else
        tell_failure(s);
    /* Some errors have ended the transaction already. */
    if (!sqlite3_get_autocommit(s->db) && run(s->rollback) != SQLITE_OK) {
        log_error("%s: cannot roll back: %s", s->path, sqlite3_errmsg(s->db));
        return 0;
    }
    if (away == NULL)
        return 0;
    /* What the log holds goes to its place, so that the log's own room can be used again. */
    if (away->code == SQLITE_FULL && checkpoint(s) != 0)
        return 0;
    return away->wait_ms;
}

static int save_batch(void *self, const worker_task_t *tasks, uint32_t n, worker_sink_t *sink)
{
    save_t *s = self;
    const int rc = save_all(s, tasks, n);
    /* After a checkpoint that failed nothing of the batch is answered: it is saved, and comes again. */
    if (rc == SQLITE_OK && s->log_bytes >= CHECKPOINT_BYTES && checkpoint(s) != 0)
        return -EIO;
    if (rc == SQLITE_OK) {
        for (uint32_t i = 0; i < n; i++)
            save_row_committed(&tasks[i], sink);
        return 0;
    }
    const int wait_ms = wait_for_store(s, rc);
    if (wait_ms == 0)
        return -EIO;
    for (uint32_t i = 0; i < n; i++)
        save_row_blocked(&tasks[i], wait_ms, "the store takes nothing now", sink);
    return wait_ms;
}

static int save_finish(void *self)
{
    save_t *s = self;
    return s->failed ? -EIO : checkpoint(s);
}

const worker_kind_t save_sqlite = {
    .name = "save-sqlite",
    .leg = "save",
    .summary = "saves each message as one row of an SQLite file",
    .executor = EXECUTOR_BATCH,
    .slots = SAVE_BATCH,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = save_open,
    .finish = save_finish,
    .close = save_close,
    .run_batch = save_batch,
};

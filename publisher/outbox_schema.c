/* Opening an outbox: the lock, the pragmas and their read-back, the tables, the statements, a new epoch. */
#include "common/runtime/clock.h"
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* `dead` is a table of its own, so that a million dead letters cost a start, a scan and the search for the
 * oldest message nothing. A row of `states` exists only for a row of `messages`; `tries` has a byte for each
 * leg, a history is events as event_write() has them, notes are as note_write() has them, and `noted` is the
 * oldest token that has seen the last of these. clients.at_h counts hours, so that a busy client moves in
 * its index once an hour. What is new in a table stands last: outbox_format.c adds it to older ones. */
static const char tables_sql[] =
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), epoch INTEGER NOT NULL,"
    " dispatched_to INTEGER NOT NULL, rows INTEGER NOT NULL, dead INTEGER NOT NULL,"
    " states INTEGER NOT NULL, clients INTEGER NOT NULL);"
    "INSERT INTO meta VALUES(1, 0, 0, 0, 0, 0, 0);"
    "CREATE TABLE streams(epoch INTEGER PRIMARY KEY, stream INTEGER NOT NULL);"
    "CREATE TABLE legs(bit INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE messages(id INTEGER PRIMARY KEY, legs INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE states(id INTEGER PRIMARY KEY, done INTEGER NOT NULL, bad INTEGER NOT NULL,"
    " deliveries INTEGER NOT NULL, not_before_ms INTEGER NOT NULL, delay_ms INTEGER NOT NULL,"
    " tries INTEGER NOT NULL, history BLOB, notes BLOB, noted INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX states_due ON states(not_before_ms) WHERE not_before_ms > 0;"
    "CREATE TABLE dead(id INTEGER PRIMARY KEY, legs INTEGER NOT NULL, done INTEGER NOT NULL,"
    " bad INTEGER NOT NULL, deliveries INTEGER NOT NULL, died_ms INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " reason TEXT NOT NULL, history BLOB, body BLOB NOT NULL, notes BLOB);"
    "CREATE TABLE clients(session INTEGER PRIMARY KEY, number INTEGER NOT NULL,"
    " first_id INTEGER NOT NULL, stored INTEGER NOT NULL, at_h INTEGER NOT NULL);"
    "CREATE INDEX clients_at ON clients(at_h);"
    "CREATE TABLE loads(id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;";

static const char *const statements_sql[STATEMENTS] = {
    [ST_BEGIN] = "BEGIN",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_META] = "UPDATE meta SET dispatched_to = ?1, rows = ?2, dead = ?3, states = ?4, clients = ?5",
    [ST_INSERT] = "INSERT OR FAIL INTO messages SELECT * FROM fresh",
    [ST_DELETE] = "DELETE FROM messages WHERE id BETWEEN ?1 AND ?2",
    [ST_DELETE_DEAD] = "DELETE FROM dead WHERE id BETWEEN ?1 AND ?2",
    [ST_DELETE_STATES] = "DELETE FROM states WHERE id BETWEEN ?1 AND ?2",
    [ST_MARK] = "UPDATE states SET done = ?2, bad = ?3, deliveries = ?4, not_before_ms = ?5, delay_ms = ?6"
                " WHERE id = ?1",
    [ST_MARK_DEAD] = "UPDATE dead SET done = ?2, bad = ?3, deliveries = ?4 WHERE id = ?1",
    [ST_MARK_NEW] = "INSERT INTO states VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, NULL, NULL, 0)",
    [ST_BURY] = "INSERT INTO dead SELECT id, legs, ?2, ?3, ?4, ?5, ?6, ?7, ?8, body,"
                " (SELECT s.notes FROM states s WHERE s.id = ?1) FROM messages WHERE id = ?1",
    [ST_HISTORY] = "SELECT history, tries FROM states WHERE id = ?1",
    [ST_HISTORY_DEAD] = "SELECT history, 0 FROM dead WHERE id = ?1",
    [ST_HISTORY_SET] = "UPDATE states SET history = ?2, tries = ?3 WHERE id = ?1",
    [ST_HISTORY_SET_DEAD] = "UPDATE dead SET history = ?2 WHERE id = ?1",
    [ST_HISTORY_NEW] =
        "INSERT INTO states SELECT id, 0, 0, 0, 0, 0, ?3, ?2, NULL, 0 FROM messages WHERE id = ?1",
    [ST_NOTES] = "SELECT notes FROM states WHERE id = ?1",
    [ST_NOTES_SET] = "UPDATE states SET notes = ?2, noted = ?3 WHERE id = ?1",
    [ST_NOTES_NEW] =
        "INSERT INTO states SELECT id, 0, 0, 0, 0, 0, 0, NULL, ?2, ?3 FROM messages WHERE id = ?1",
    [ST_REDRIVE] = "INSERT INTO messages SELECT id, legs, body FROM dead WHERE id = ?1",
    [ST_REDRIVE_STATE] =
        "INSERT INTO states SELECT id, done, 0, 0, ?2, 1, 0, ?3, NULL, 0 FROM dead WHERE id = ?1",
    [ST_LETTERS] = "SELECT id, legs, done, bad, deliveries, died_ms, reason, history, body FROM dead"
                   " WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
    [ST_DIED] = "SELECT count(*) FROM dead WHERE id BETWEEN ?1 AND ?2 AND epoch = ?3",
    /* CROSS JOIN: in the order of the index, each message once its state is found. */
    [ST_DUE] = "SELECT m.id, m.legs, NULL, s.done, s.bad, s.deliveries, s.not_before_ms, s.delay_ms, s.tries"
               " FROM states s CROSS JOIN messages m ON m.id = s.id WHERE s.not_before_ms > 0"
               " AND (s.not_before_ms, s.id) > (?1, ?2) AND s.not_before_ms <= ?3"
               " ORDER BY s.not_before_ms, s.id LIMIT ?4",
    [ST_NEXT_DUE] =
        "SELECT not_before_ms FROM states WHERE not_before_ms > 0 AND (not_before_ms, id) > (?1, ?2)"
        " ORDER BY not_before_ms, id LIMIT 1",
    [ST_CLIENT] = "SELECT number, first_id, stored FROM clients WHERE session = ?1",
    [ST_CLIENT_SET] =
        "UPDATE clients SET number = ?2, first_id = ?3, stored = ?4, at_h = ?5 WHERE session = ?1",
    [ST_CLIENT_NEW] = "INSERT INTO clients VALUES(?1, ?2, ?3, ?4, ?5)",
    [ST_CLIENT_PURGE] = "DELETE FROM clients WHERE session IN"
                        " (SELECT session FROM clients WHERE at_h < ?1 ORDER BY at_h LIMIT ?2)",
    [ST_LOAD] = "SELECT position FROM loads WHERE id = ?1",
    [ST_LOAD_SET] = "INSERT INTO loads VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET position = ?2",
    [ST_SCAN] =
        "SELECT m.id, m.legs, m.body, s.done, s.bad, s.deliveries, s.not_before_ms, s.delay_ms, s.tries,"
        " s.notes, s.noted FROM messages m LEFT JOIN states s ON s.id = m.id"
        " WHERE m.id > ?1 AND m.id <= ?2 ORDER BY m.id LIMIT ?3",
    [ST_SCAN_FRESH] = "SELECT id, legs, body FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
    [ST_FIND] =
        "SELECT m.id, m.legs, m.body, s.done, s.bad, s.deliveries, s.not_before_ms, s.delay_ms, s.tries,"
        " s.notes, s.noted FROM messages m LEFT JOIN states s ON s.id = m.id WHERE m.id = ?1",
    [ST_FIND_DEAD] = "SELECT id, legs, body, done, bad, deliveries FROM dead WHERE id = ?1",
    [ST_OLDEST] = "SELECT body, id FROM messages ORDER BY id LIMIT 1",
    [ST_PAGES] = "PRAGMA page_count",
    [ST_PAGES_FREE] = "PRAGMA freelist_count",
};

int outbox_prepare(outbox_t *o)
{
    int r = outbox_fresh_add(o);
    if (r < 0)
        return r;
    for (int i = 0; i < STATEMENTS; i++) {
        int rc = sqlite3_prepare_v3(o->db, statements_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &o->statements[i], NULL);
        if (rc != SQLITE_OK)
            return outbox_error(o, rc, "preparing its statements");
    }
    return 0;
}

/* A setting counts when it reads back as expected: SQLite leaves a pragma that it cannot follow without a
 * word. */
static int set_pragma(outbox_t *o, const char *name, const char *value, const char *expected)
{
    char sql[96];
    sqlite3_stmt *st = NULL;

    snprintf(sql, sizeof sql, "PRAGMA %s = %s", name, value);
    int r = outbox_exec(o, sql);
    if (r < 0)
        return r;
    snprintf(sql, sizeof sql, "PRAGMA %s", name);
    int rc = sqlite3_prepare_v2(o->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        const char *is = (const char *)sqlite3_column_text(st, 0);
        if (!is || strcmp(is, expected) != 0) {
            snprintf(o->why, sizeof o->why, "%.100s: %s reads back as %.20s and not as %s", o->path, name,
                     is ? is : "nothing", expected);
            r = -EINVAL;
        }
    } else {
        r = outbox_error(o, rc, "reading a setting back");
    }
    sqlite3_finalize(st);
    return r;
}

static int create_tables(outbox_t *o)
{
    char sql[96];
    int r = outbox_exec(o, "BEGIN");
    if (r == 0)
        r = outbox_exec(o, tables_sql);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             OUTBOX_APPLICATION_ID, OUTBOX_VERSION);
    if (r == 0)
        r = outbox_exec(o, sql);
    return r;
}

static int note_frames(void *arg, sqlite3 *db, const char *schema, int frames)
{
    (void)db;
    (void)schema;
    outbox_t *o = arg;
    o->wal_bytes = frames * o->page_bytes;
    return SQLITE_OK;
}

static int set_up(outbox_t *o)
{
    char cache[16], kept[16];
    bool empty = false;

    /* Before anything reads the file: WAL opened under an exclusive lock needs no -shm, and the lock that the
       first read takes is never given back. */
    int r = set_pragma(o, "locking_mode", "EXCLUSIVE", "exclusive");
    if (r == 0)
        r = outbox_format_check(o, &empty);
    if (r < 0)
        return r;
    /* From here on the file is ours: closing may move the WAL's rows into it. */
    sqlite3_db_config(o->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (empty && o->look) {
        snprintf(o->why, sizeof o->why, "%.120s is empty", o->path);
        return -EINVAL;
    }
    if (empty) {
        char page[16];
        snprintf(page, sizeof page, "%d", PAGE_BYTES);
        r = set_pragma(o, "page_size", page, page);
        if (r == 0)
            r = set_pragma(o, "auto_vacuum", "NONE", "0");
    }
    snprintf(cache, sizeof cache, "-%d", CACHE_KIB);
    snprintf(kept, sizeof kept, "%d", WAL_BYTES_KEPT);
    const char *const pragmas[][3] = {
        {"journal_mode", "WAL", "wal"}, {"synchronous", "FULL", "2"},       {"secure_delete", "OFF", "0"},
        {"cache_size", cache, cache},   {"journal_size_limit", kept, kept}, {"wal_autocheckpoint", "0", "0"},
        {"temp_store", "MEMORY", "2"},
    };
    for (size_t i = 0; r == 0 && i < sizeof pragmas / sizeof pragmas[0]; i++)
        r = set_pragma(o, pragmas[i][0], pragmas[i][1], pragmas[i][2]);
    if (r == 0)
        r = outbox_ask(o, "PRAGMA page_size", &o->page_bytes);
    sqlite3_wal_hook(o->db, note_frames, o);
    if (r == 0 && empty)
        r = create_tables(o);
    return r;
}

static int load_meta(outbox_t *o)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(o->db, "SELECT epoch, dispatched_to, rows, dead, states, clients FROM meta",
                                -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        sqlite3_finalize(st);
        return outbox_error(o, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, "reading its counts");
    }
    o->epoch = (uint32_t)sqlite3_column_int64(st, 0);
    o->now.dispatched_to = (uint64_t)sqlite3_column_int64(st, 1);
    o->now.rows = (uint64_t)sqlite3_column_int64(st, 2);
    o->now.dead = (uint64_t)sqlite3_column_int64(st, 3);
    o->now.states = (uint64_t)sqlite3_column_int64(st, 4);
    o->now.clients = (uint64_t)sqlite3_column_int64(st, 5);
    o->committed = o->now;
    sqlite3_finalize(st);
    return 0;
}

static int load_legs(outbox_t *o, uint32_t *ret_known)
{
    sqlite3_stmt *st = NULL;
    uint32_t known = 0;
    int rc = sqlite3_prepare_v2(o->db, "SELECT bit, name FROM legs ORDER BY bit", -1, &st, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(st);
        if (rc != SQLITE_ROW)
            break;
        const char *name = (const char *)sqlite3_column_text(st, 1);
        if (known == LEGS_MAX || sqlite3_column_int64(st, 0) != known || !name) {
            rc = SQLITE_CORRUPT;
            break;
        }
        snprintf(o->names[known], sizeof o->names[known], "%s", name);
        o->names_list[known] = o->names[known];
        known++;
    }
    sqlite3_finalize(st);
    if (rc != SQLITE_DONE)
        return outbox_error(o, rc, "reading its legs");
    *ret_known = known;
    return 0;
}

/* Names get the next free bit and keep it: rows of earlier starts refer to bits. */
static int enter_legs(outbox_t *o, const char *const *legs, size_t count)
{
    uint32_t known = 0;
    int r = load_legs(o, &known);
    for (size_t i = 0; r == 0 && i < count; i++) {
        uint32_t bit = 0;
        char sql[96];
        while (bit < known && strcmp(o->names[bit], legs[i]) != 0)
            bit++;
        if (bit == known) {
            if (name_check(legs[i], strlen(legs[i])) < 0) {
                snprintf(o->why, sizeof o->why, "%.40s is no name for a leg", legs[i]);
                return -EINVAL;
            }
            if (known == LEGS_MAX) {
                snprintf(o->why, sizeof o->why, "%.80s knows %d legs already, there is no place for %s",
                         o->path, LEGS_MAX, legs[i]);
                return -EINVAL;
            }
            snprintf(o->names[bit], sizeof o->names[bit], "%s", legs[i]);
            o->names_list[bit] = o->names[bit];
            known++;
            snprintf(sql, sizeof sql, "INSERT INTO legs VALUES(%u, '%s')", bit, o->names[bit]);
            r = outbox_exec(o, sql);
        }
        o->legs |= (uint8_t)(1u << bit);
    }
    return r;
}

int outbox_streams_load(outbox_t *o)
{
    int64_t count = 0;
    sqlite3_stmt *st = NULL;
    int r = outbox_ask(o, "SELECT count(*) FROM streams", &count);
    if (r < 0)
        return r;
    o->streams = calloc((size_t)count + 1, sizeof *o->streams);
    if (!o->streams || index_init(&o->streams_index, (uint32_t)count) < 0)
        return outbox_error(o, SQLITE_NOMEM, "reading its streams");
    int rc = sqlite3_prepare_v2(o->db, "SELECT epoch, stream FROM streams ORDER BY epoch", -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW && o->streams_count < count) {
        outbox_stream_t *s = &o->streams[o->streams_count];
        s->epoch = (uint32_t)sqlite3_column_int64(st, 0);
        s->stream = (uint64_t)sqlite3_column_int64(st, 1);
        rc = index_put(&o->streams_index, index_mix(s->stream, 0), o->streams_count++) < 0 ? SQLITE_NOMEM
                                                                                           : SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : outbox_error(o, rc, "reading its streams");
}

/* A stream is known as long as a message or the last confirm of a client refers to it. */
static const char purge_streams_sql[] = "DELETE FROM streams WHERE"
                                        " NOT EXISTS(SELECT 1 FROM messages m WHERE m.id BETWEEN "
                                        "streams.epoch << 40 AND ((streams.epoch + 1) << 40) - 1)"
                                        " AND NOT EXISTS(SELECT 1 FROM dead d WHERE d.id BETWEEN "
                                        "streams.epoch << 40 AND ((streams.epoch + 1) << 40) - 1)"
                                        " AND epoch NOT IN (SELECT first_id >> 40 FROM clients)";

static int new_epoch(outbox_t *o, const char *const *legs, size_t legs_count)
{
    char sql[128];
    if (o->epoch >= EPOCH_MAX) {
        snprintf(o->why, sizeof o->why, "%.100s was opened %u times: it has no epoch left", o->path,
                 EPOCH_MAX);
        return -EINVAL;
    }
    uint64_t stream = clock_random_id();
    uint32_t epoch = o->epoch + 1;
    int r = outbox_exec(o, "BEGIN");
    if (r == 0)
        r = enter_legs(o, legs, legs_count);
    if (r == 0)
        r = outbox_exec(o, purge_streams_sql);
    snprintf(sql, sizeof sql, "INSERT INTO streams VALUES(%u, %lld); UPDATE meta SET epoch = %u; COMMIT",
             epoch, (long long)stream, epoch);
    if (r == 0)
        r = outbox_exec(o, sql);
    if (r == 0)
        o->epoch = epoch;
    return r;
}

static int open_database(outbox_t *o)
{
    /* One thread uses the library here: it need not lock its every allocation. Refused when something in the
       process has used it before, which is as well. */
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (o->look ? 0 : SQLITE_OPEN_CREATE);
    int rc = sqlite3_open_v2(o->path, &o->db, flags, NULL);
    if (rc != SQLITE_OK)
        return outbox_error(o, rc, "opening it");
    sqlite3_db_config(o->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_busy_timeout(o->db, LOCK_WAIT_MS);
    return 0;
}

/* The file with mode 0600 before SQLite makes it readable for all: bodies are other people's. */
static int make_file(outbox_t *o)
{
    int fd = open(o->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    else if (errno != EEXIST) {
        int e = errno;
        snprintf(o->why, sizeof o->why, "%.120s: %s", o->path, strerror(e));
        return -e;
    }
    return 0;
}

static int open_epoch(outbox_t *o, const char *const *legs, size_t legs_count)
{
    uint32_t known;
    int r = set_up(o);
    /* After a failed fsync the log reads as if it were on the disk, and it is not: what would be committed
       behind such frames a power cut takes along. So all that is found in it is written anew. */
    if (r == 0 && !o->look)
        r = outbox_settle_log(o);
    if (r == 0)
        r = outbox_format_raise(o);
    if (r == 0)
        r = load_meta(o);
    if (r == 0)
        r = o->look ? load_legs(o, &known) : new_epoch(o, legs, legs_count);
    if (r < 0 && !sqlite3_get_autocommit(o->db))
        sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static int open_all(outbox_t *o, const char *const *legs, size_t legs_count)
{
    int r = o->look ? 0 : make_file(o);
    if (r == 0)
        r = open_database(o);
    if (r == 0)
        r = open_epoch(o, legs, legs_count);
    if (r == -ENOSPC) {
        /* The reserve of an earlier start is enough to begin with. */
        outbox_reserve_free(o);
        r = open_epoch(o, legs, legs_count);
    }
    if (r == 0)
        r = outbox_streams_load(o);
    if (r == 0)
        r = outbox_prepare(o);
    return r;
}

int outbox_open(outbox_t **ret, const char *path, const char *const *legs, size_t legs_count,
                int64_t max_bytes, char *why)
{
    outbox_t *o = calloc(1, sizeof *o);
    if (!o) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    o->look = legs_count == 0;
    o->bytes_max = max_bytes;
    buffer_init(&o->fresh_bodies);
    buffer_init(&o->row);
    buffer_init(&o->history);
    buffer_init(&o->notes);
    o->path = strdup(path);
    o->reserve_path = o->path ? sqlite3_mprintf("%s.reserve", path) : NULL;
    int r = o->reserve_path ? open_all(o, legs, legs_count) : outbox_error(o, SQLITE_NOMEM, "opening it");
    if (r == 0 && !o->look)
        outbox_reserve_make(o);
    if (r < 0) {
        snprintf(why, WHY_BYTES, "%s", o->why);
        outbox_close(&o, false);
        return r;
    }
    *ret = o;
    return 0;
}

int outbox_finish(outbox_t *o, bool clean)
{
    if (o->look || o->failed < 0 || !o->statements[ST_META])
        return 0;
    if (clean && outbox_begin(o) == 0) {
        o->now.dispatched_to = 0;
        o->dirty = true;
        outbox_commit(o);
    }
    if (o->failed == 0)
        outbox_checkpoint(o);
    return o->failed;
}

void outbox_close(outbox_t **ref, bool clean)
{
    outbox_t *o = ref ? *ref : NULL;
    if (!o)
        return;
    *ref = NULL;
    if (clean)
        outbox_finish(o, true);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(o->statements[i]);
    /* After EIO the WAL is left as it is, for the next start to judge. */
    if (o->db && o->failed < 0)
        sqlite3_db_config(o->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(o->db);
    if (o->streams)
        index_done(&o->streams_index);
    free(o->streams);
    free(o->deletes);
    free(o->fresh);
    buffer_done(&o->fresh_bodies);
    buffer_done(&o->row);
    buffer_done(&o->history);
    buffer_done(&o->notes);
    sqlite3_free(o->reserve_path);
    free(o->path);
    free(o);
}

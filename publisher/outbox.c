/* The outbox's rounds: begin, writes, commit or nothing. */
#include "common/runtime/clock.h"
#include "publisher/outbox_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ENOSPC and its likes: there is no room now, what was written is as it was. The same from fsync is EIO: the
 * pages that did not get out are marked clean. */
static bool no_room(int rc, int system_errno)
{
    if (rc == SQLITE_FULL)
        return true;
    return rc == SQLITE_IOERR_WRITE &&
           (system_errno == EDQUOT || system_errno == EFBIG || system_errno == ENOSPC);
}

static int errno_of(int rc, int system_errno)
{
    if (no_room(rc, system_errno))
        return -ENOSPC;
    if (rc == SQLITE_IOERR_NOMEM)
        return -ENOMEM;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOTADB:
        return -EINVAL;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return system_errno > 0 ? -system_errno : -EACCES;
    default:
        return -EIO;
    }
}

/* A header whose write version is above 2 makes SQLite take a file that we may write for one to read only. */
static bool refuses_writes(const outbox_t *o, int rc)
{
    return (rc & 0xff) == SQLITE_READONLY && access(o->path, W_OK) == 0;
}

int outbox_error(outbox_t *o, int rc, const char *what)
{
    int full = o->db && rc != SQLITE_NOMEM && rc != SQLITE_CORRUPT ? sqlite3_extended_errcode(o->db) : rc;
    /* sqlite3_system_errno() is not set by a failing commit. */
    int system_errno = (full & 0xff) == SQLITE_IOERR || (full & 0xff) == SQLITE_CANTOPEN ? errno : 0;
    int r = errno_of(full, system_errno);

    if (refuses_writes(o, full)) {
        snprintf(o->why, sizeof o->why, "%.80s: damaged, or written by a newer SQLite: it may only be read",
                 o->path);
        return -EINVAL;
    }
    switch (r) {
    case -EBUSY:
        snprintf(o->why, sizeof o->why, "%.120s is in use by another process", o->path);
        break;
    case -EINVAL:
        snprintf(o->why, sizeof o->why, "%.120s is not a database", o->path);
        break;
    case -ENOSPC:
        snprintf(o->why, sizeof o->why, "%.80s: no space left on the disk (%s)", o->path, what);
        break;
    case -EIO:
        snprintf(o->why, sizeof o->why, "%.80s: %s: %.40s%s%.30s", o->path, what, sqlite3_errstr(full),
                 system_errno ? ", " : "", system_errno ? strerror(system_errno) : "");
        break;
    default:
        snprintf(o->why, sizeof o->why, "%.80s: %s: %.60s", o->path ? o->path : "outbox", what, strerror(-r));
        break;
    }
    if (r == -EIO)
        o->failed = r;
    if (r == -ENOSPC)
        outbox_disk_full(o);
    return r;
}

int outbox_run(outbox_t *o, statement_t which, const char *what)
{
    errno = 0;
    int rc = sqlite3_step(o->statements[which]);
    sqlite3_reset(o->statements[which]);
    return rc == SQLITE_DONE ? 0 : outbox_error(o, rc, what);
}

int outbox_exec(outbox_t *o, const char *sql)
{
    errno = 0;
    int rc = sqlite3_exec(o->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : outbox_error(o, rc, "setting it up");
}

int outbox_ask(outbox_t *o, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(o->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : outbox_error(o, rc, "reading it");
}

void outbox_bind(outbox_t *o, statement_t which, const uint64_t *values, int n)
{
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(o->statements[which], i + 1, (sqlite3_int64)values[i]);
}

int outbox_begin(outbox_t *o)
{
    int r = o->failed < 0 ? o->failed : o->settled ? 0 : outbox_settle_log(o);
    return r < 0 ? r : outbox_run(o, ST_BEGIN, "beginning a round");
}

static int delete_later(outbox_t *o, uint64_t id)
{
    if (o->deletes_count == o->deletes_cap) {
        uint32_t cap = o->deletes_cap ? o->deletes_cap * 2 : RECORDS_MAX;
        uint64_t *grown = realloc(o->deletes, cap * sizeof *grown);
        if (!grown)
            return outbox_error(o, SQLITE_NOMEM, "deleting messages");
        o->deletes = grown;
        o->deletes_cap = cap;
    }
    o->deletes[o->deletes_count++] = id;
    o->dirty = true;
    return 0;
}

static int mark(outbox_t *o, const delivery_change_t *c, int64_t wall_ms)
{
    uint64_t values[] = {c->id,
                         c->done,
                         c->bad,
                         c->deliveries,
                         (uint64_t)(c->wait_ms > 0 ? wall_ms + c->wait_ms : 0),
                         (uint64_t)c->wait_ms};
    int r = 0;

    if (o->now.states > 0) {
        outbox_bind(o, ST_MARK, values, 6);
        r = outbox_run(o, ST_MARK, "noting a delivery");
        if (r < 0 || sqlite3_changes(o->db) > 0)
            return r;
    }
    if (o->now.dead > 0) {
        outbox_bind(o, ST_MARK_DEAD, values, 4);
        r = outbox_run(o, ST_MARK_DEAD, "noting a delivery");
        if (r < 0 || sqlite3_changes(o->db) > 0)
            return r;
    }
    outbox_bind(o, ST_MARK_NEW, values, 6);
    r = outbox_run(o, ST_MARK_NEW, "noting a delivery");
    if (r == 0) {
        o->now.states++;
        o->dirty = true;
    }
    return r;
}

int outbox_delete_run(outbox_t *o, statement_t which, uint64_t first, uint64_t last, uint64_t *count)
{
    outbox_bind(o, which, (uint64_t[]){first, last}, 2);
    int r = outbox_run(o, which, "deleting messages");
    if (r == 0)
        *count -= (uint64_t)sqlite3_changes(o->db);
    return r;
}

int outbox_change(outbox_t *o, const delivery_change_t *c, int64_t wall_ms)
{
    switch (c->kind) {
    case CHANGE_DELETE:
        return delete_later(o, c->id);
    case CHANGE_MARK:
        return mark(o, c, wall_ms);
    case CHANGE_BURY:
        return outbox_bury(o, c, wall_ms);
    }
    assert(!"a kind of change that nobody knows");
    return -EINVAL;
}

int outbox_dispatch(outbox_t *o, uint64_t id)
{
    if (id > o->now.dispatched_to) {
        o->now.dispatched_to = id;
        o->dirty = true;
    }
    return 0;
}

static int purge_clients(outbox_t *o, int64_t wall_h)
{
    enum { AT_ONCE = 100 };
    if (o->now.clients <= CLIENTS_KEPT)
        return 0;
    outbox_bind(o, ST_CLIENT_PURGE, (uint64_t[]){(uint64_t)(wall_h - CLIENT_KEPT_HOURS), AT_ONCE}, 2);
    int r = outbox_run(o, ST_CLIENT_PURGE, "forgetting old clients");
    if (r == 0)
        o->now.clients -= (uint64_t)sqlite3_changes(o->db);
    return r;
}

int outbox_client_set(outbox_t *o, uint64_t session, uint64_t number, uint64_t first_id, uint32_t stored,
                      int64_t wall_ms)
{
    int64_t wall_h = wall_ms / 3600000;
    uint64_t values[] = {session, number, first_id, stored, (uint64_t)wall_h};

    outbox_bind(o, ST_CLIENT_SET, values, 5);
    int r = outbox_run(o, ST_CLIENT_SET, "noting a client");
    if (r < 0)
        return r;
    o->dirty = true;
    if (sqlite3_changes(o->db) > 0)
        return 0;
    outbox_bind(o, ST_CLIENT_NEW, values, 5);
    r = outbox_run(o, ST_CLIENT_NEW, "noting a client");
    if (r < 0)
        return r;
    o->now.clients++;
    return purge_clients(o, wall_h);
}

int outbox_load_set(outbox_t *o, const char *load_id, uint64_t position)
{
    sqlite3_stmt *st = o->statements[ST_LOAD_SET];
    sqlite3_bind_text(st, 1, load_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)position);
    return outbox_run(o, ST_LOAD_SET, "noting a load's position");
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int delete_all(outbox_t *o)
{
    bool sorted = true;
    for (uint32_t i = 1; i < o->deletes_count && sorted; i++)
        sorted = o->deletes[i - 1] <= o->deletes[i];
    if (!sorted)
        qsort(o->deletes, o->deletes_count, sizeof *o->deletes, compare_ids);

    for (uint32_t i = 0, end; i < o->deletes_count; i = end) {
        uint64_t first = o->deletes[i], last = first, rows = o->now.rows;
        for (end = i + 1; end < o->deletes_count && o->deletes[end] <= last + 1; end++)
            last = o->deletes[end];
        int r = outbox_delete_run(o, ST_DELETE, first, last, &o->now.rows);
        if (r == 0 && o->now.dead > 0 && rows - o->now.rows < last - first + 1)
            r = outbox_delete_dead(o, first, last);
        if (r == 0 && o->now.states > 0)
            r = outbox_delete_run(o, ST_DELETE_STATES, first, last, &o->now.states);
        if (r < 0)
            return r;
    }
    o->deletes_count = 0;
    return 0;
}

static int write_and_commit(outbox_t *o)
{
    int r = outbox_fresh_write(o);
    if (r == 0)
        r = delete_all(o);
    if (r == 0 && o->dirty) {
        outbox_bind(
            o, ST_META,
            (uint64_t[]){o->now.dispatched_to, o->now.rows, o->now.dead, o->now.states, o->now.clients}, 5);
        r = outbox_run(o, ST_META, "writing its counts");
    }
    return r < 0 ? r : outbox_run(o, ST_COMMIT, "committing a round");
}

int outbox_commit(outbox_t *o)
{
    int r = o->failed < 0 ? o->failed : write_and_commit(o);
    if (r < 0) {
        outbox_rollback(o);
        /* The reserve is free now. What the WAL holds goes first, and its place is there for the next round.
         */
        if (r == -ENOSPC && outbox_checkpoint(o) == -EIO)
            r = -EIO;
        return r;
    }
    o->committed = o->now;
    o->dirty = false;
    o->bytes_known = false;
    o->commit_ms = clock_ms();
    /* Without the whole reserve each round's pages go to their places at once: the WAL does not grow. */
    if (o->wal_bytes >= CHECKPOINT_BYTES || (o->reserve_bytes < RESERVE_BYTES && o->wal_bytes > 0))
        r = outbox_checkpoint(o);
    return r;
}

void outbox_rollback(outbox_t *o)
{
    /* SQLite may have rolled back by itself when the disk was full. */
    if (!sqlite3_get_autocommit(o->db)) {
        sqlite3_step(o->statements[ST_ROLLBACK]);
        sqlite3_reset(o->statements[ST_ROLLBACK]);
    }
    o->now = o->committed;
    o->dirty = false;
    o->deletes_count = 0;
    outbox_fresh_forget(o);
    o->bytes_known = false;
}

/* How full the outbox and its disk are, and what is done about it: gauges, the reserve, checkpoints. */
#include "common/runtime/clock.h"
#include "publisher/outbox_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int checkpoint(outbox_t *o, int mode)
{
    int rc = sqlite3_wal_checkpoint_v2(o->db, NULL, mode, NULL, NULL);
    if (rc != SQLITE_OK)
        return outbox_error(o, rc, "moving rows from the WAL");
    o->wal_bytes = 0;
    return 0;
}

int outbox_checkpoint(outbox_t *o)
{
    int r = checkpoint(o, SQLITE_CHECKPOINT_PASSIVE);
    /* Nothing is lost and the WAL goes on growing: the reserve was freed just now. */
    return r == -ENOSPC ? 0 : r;
}

int outbox_settle_log(outbox_t *o)
{
    int r = checkpoint(o, SQLITE_CHECKPOINT_TRUNCATE);
    o->settled |= r == 0;
    return r;
}

int outbox_idle(outbox_t *o)
{
    if (o->wal_bytes >= CHECKPOINT_IDLE_BYTES && o->failed == 0 && clock_ms() - o->commit_ms >= IDLE_MS)
        outbox_checkpoint(o);
    return o->failed;
}

static int allocate(const char *path, int64_t bytes)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = -posix_fallocate(fd, 0, bytes);
    close(fd);
    if (r < 0)
        unlink(path);
    return r;
}

/* As much of RESERVE_BYTES as can be had while a round's worth stays free. */
void outbox_reserve_make(outbox_t *o)
{
    struct stat st;
    struct statvfs fs;
    int64_t held = stat(o->reserve_path, &st) == 0 ? st.st_size : 0;

    if (statvfs(o->path, &fs) < 0)
        return;
    int64_t bytes = (int64_t)(fs.f_bavail * fs.f_frsize) + held - ROUND_BYTES_MAX;
    bytes = bytes < RESERVE_BYTES ? bytes - bytes % RESERVE_STEP_BYTES : RESERVE_BYTES;
    /* A file system needs some of what it has for itself. */
    while (bytes > held && allocate(o->reserve_path, bytes) < 0) {
        held = 0;
        bytes -= RESERVE_STEP_BYTES;
    }
    o->reserve_bytes = bytes > held ? bytes : held;
}

void outbox_reserve_free(outbox_t *o)
{
    /* Whoever only looks has made none, and leaves that of others alone. */
    if (!o->look || o->reserve_bytes > 0)
        unlink(o->reserve_path);
    o->reserve_bytes = 0;
}

static int64_t ask_pages(outbox_t *o, statement_t which)
{
    int64_t pages =
        sqlite3_step(o->statements[which]) == SQLITE_ROW ? sqlite3_column_int64(o->statements[which], 0) : 0;
    sqlite3_reset(o->statements[which]);
    return pages;
}

static void measure(outbox_t *o)
{
    if (o->bytes_known)
        return;
    o->bytes_free = ask_pages(o, ST_PAGES_FREE) * o->page_bytes;
    o->bytes = ask_pages(o, ST_PAGES) * o->page_bytes - o->bytes_free;
    o->bytes_known = true;
}

/* What goes into freed pages inside the file makes no file larger: they do as well as a reserve, and where an
 * outbox has filled its disk, there are many of them long before there is much beside it. */
static bool is_safe(outbox_t *o)
{
    measure(o);
    return o->reserve_bytes + o->bytes_free >= RESERVE_BYTES;
}

/* The disk was full: is there room again? What the WAL has grown to is given back to the disk first: on a
 * small one it is that without which there never is. Not in the middle of a round, which the WAL is needed
 * for. */
static void probe(outbox_t *o)
{
    int64_t now_ms = clock_ms();
    if (now_ms < o->probe_ms || o->failed < 0 || !sqlite3_get_autocommit(o->db))
        return;
    o->probe_ms = now_ms + PROBE_MS;
    outbox_settle_log(o);
    outbox_reserve_make(o);
    o->full = !is_safe(o);
}

void outbox_limit(outbox_t *o, int64_t max_bytes)
{
    o->bytes_max = max_bytes;
}

bool outbox_has_room(outbox_t *o)
{
    if (o->full)
        probe(o);
    else
        o->full = !is_safe(o);
    return o->failed == 0 && !o->full && o->bytes < o->bytes_max;
}

void outbox_disk_full(outbox_t *o)
{
    o->full = true;
    o->probe_ms = clock_ms() + PROBE_MS;
    outbox_reserve_free(o);
}

static void measure_oldest(outbox_t *o, outbox_gauges_t *ret)
{
    sqlite3_stmt *st = o->statements[ST_OLDEST];
    body_t body;
    ret->oldest_ms = 0;
    ret->oldest = 0;
    if (sqlite3_step(st) == SQLITE_ROW) {
        ret->oldest = (uint64_t)sqlite3_column_int64(st, 1);
        if (body_parse(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), &body) == 0)
            ret->oldest_ms = body.published_ms;
    }
    sqlite3_reset(st);
}

void outbox_gauges(outbox_t *o, outbox_gauges_t *ret)
{
    ret->rows = o->committed.rows + o->committed.dead;
    ret->dead = o->committed.dead;
    measure(o);
    ret->bytes = o->bytes;
    measure_oldest(o, ret);
}

uint64_t outbox_living(const outbox_t *o)
{
    return o->committed.rows;
}

uint64_t outbox_dead(const outbox_t *o)
{
    return o->committed.dead;
}

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

int outbox_checkpoint(outbox_t *o)
{
    int rc = sqlite3_wal_checkpoint_v2(o->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (rc == SQLITE_OK) {
        o->wal_frames = 0;
        return 0;
    }
    int r = outbox_error(o, rc, "moving rows from the WAL");
    /* Nothing is lost and the WAL goes on growing: the reserve was freed just now. */
    return r == -ENOSPC ? 0 : r;
}

int outbox_idle(outbox_t *o)
{
    if (o->wal_frames >= CHECKPOINT_IDLE_FRAMES && o->failed == 0 && clock_ms() - o->commit_ms >= IDLE_MS)
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
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize + (uint64_t)held;
    for (int64_t bytes = RESERVE_BYTES; bytes > held && bytes >= RESERVE_BYTES / 4; bytes /= 2)
        if (free_bytes >= (uint64_t)(bytes + ROUND_BYTES_MAX) && allocate(o->reserve_path, bytes) == 0)
            held = bytes;
    o->reserve_bytes = held;
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
    o->bytes_free = ask_pages(o, ST_PAGES_FREE) * PAGE_BYTES;
    o->bytes = ask_pages(o, ST_PAGES) * PAGE_BYTES - o->bytes_free;
    o->bytes_known = true;
}

/* What goes into freed pages inside the file makes no file larger: they do as well as a reserve, and where an
 * outbox has filled its disk, there are many of them long before there is much beside it. */
static bool is_safe(outbox_t *o)
{
    measure(o);
    return o->reserve_bytes + o->bytes_free >= RESERVE_BYTES;
}

/* The disk was full: is there room again? */
static void probe(outbox_t *o)
{
    int64_t now_ms = clock_ms();
    if (now_ms < o->probe_ms)
        return;
    o->probe_ms = now_ms + PROBE_MS;
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

static int64_t oldest_ms(outbox_t *o)
{
    sqlite3_stmt *st = o->statements[ST_OLDEST];
    body_t body;
    int64_t ms = 0;
    if (sqlite3_step(st) == SQLITE_ROW &&
        body_parse(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), &body) == 0)
        ms = body.published_ms;
    sqlite3_reset(st);
    return ms;
}

void outbox_gauges(outbox_t *o, outbox_gauges_t *ret)
{
    ret->rows = o->committed.rows + o->committed.dead;
    ret->dead = o->committed.dead;
    measure(o);
    ret->bytes = o->bytes;
    ret->oldest_ms = oldest_ms(o);
}

uint64_t outbox_living(const outbox_t *o)
{
    return o->committed.rows;
}

uint64_t outbox_dead(const outbox_t *o)
{
    return o->committed.dead;
}

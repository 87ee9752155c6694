/* Shared by the outbox's own files and nobody else: outbox.c (rounds), outbox_fresh.c (what is new in them),
 * outbox_read.c (what is asked of it), outbox_history.c, outbox_notes.c, outbox_dead.c (dead letters),
 * outbox_schema.c (opening: lock, pragmas, tables, epoch), outbox_format.c (what file it is, and of which
 * format) and outbox_space.c (how full it and its disk are). */
#ifndef MANDRILL_OUTBOX_INTERNAL_H
#define MANDRILL_OUTBOX_INTERNAL_H

#include "common/core/buffer.h"
#include "common/core/index.h"
#include "common/runtime/sqlite_rows.h"
#include "publisher/outbox.h"
#include <sqlite3.h>

/* "MDRL". A change of the tables that an older program must not touch raises the version. */
enum { OUTBOX_APPLICATION_ID = 0x4d44524c, OUTBOX_VERSION = 3 };

enum {
    /* Of a new file. Each page that a commit changed is two writes to the WAL: with half as many a message at
       full speed costs 6 % less than with 4 k (both stores). A commit of a few rows takes 3 to 15 % longer
       for it, 5 to 20 us, which cannot be told from the noise of a message's way. With 16 k copying eats the
       gain up. */
    PAGE_BYTES = 8192,
    CACHE_KIB = 16 * 1024,
    /* A checkpoint copies each page once however often the WAL holds it: 4 MB of WAL in which messages came
       and went is a few pages, and one of a growing backlog still takes but a few ms. */
    CHECKPOINT_BYTES = 4 * 1024 * 1024,
    CHECKPOINT_IDLE_BYTES = 400 * 1024,
    IDLE_MS = 100, /* since the last commit */
    WAL_BYTES_KEPT = 16 * 1024 * 1024,
    /* Enough to move all that the WAL may hold when the disk is full to the end of the file,
       CHECKPOINT_BYTES and the pages of one more round, and then to write a round of deletions. */
    RESERVE_BYTES = 12 * 1024 * 1024,
    RESERVE_STEP_BYTES = 1024 * 1024, /* where all of it cannot be had */
    PROBE_MS = 500,
    /* Of new rows that wait to be written: more than that is more than one statement. */
    FRESH_BYTES_MAX = 512 * 1024,
    FRESH_ROWS_MAX = 4096,
    CLIENTS_KEPT = 10000,
    CLIENT_KEPT_HOURS = 24,
    LOCK_WAIT_MS = 250, /* a program that is just ending still has the lock */
};
/* Row ids are positive int64: 23 bits are left for the epoch. */
#define EPOCH_MAX ((UINT32_C(1) << 23) - 1)

typedef enum {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_META,
    ST_INSERT,
    ST_DELETE,
    ST_DELETE_DEAD,
    ST_DELETE_STATES,
    ST_MARK,
    ST_MARK_DEAD,
    ST_MARK_NEW,
    ST_BURY,
    ST_HISTORY,
    ST_HISTORY_DEAD,
    ST_HISTORY_SET,
    ST_HISTORY_SET_DEAD,
    ST_HISTORY_NEW,
    ST_NOTES,
    ST_NOTES_SET,
    ST_NOTES_NEW,
    ST_REDRIVE,
    ST_REDRIVE_STATE,
    ST_LETTERS,
    ST_DIED,
    ST_DUE,
    ST_NEXT_DUE,
    ST_CLIENT,
    ST_CLIENT_SET,
    ST_CLIENT_NEW,
    ST_CLIENT_PURGE,
    ST_LOAD,
    ST_LOAD_SET,
    ST_SCAN,
    ST_SCAN_FRESH, /* no row has a state */
    ST_FIND,
    ST_FIND_DEAD,
    ST_OLDEST,
    ST_PAGES,
    ST_PAGES_FREE,
    STATEMENTS
} statement_t;

/* The row of `meta`, and the last seq. */
typedef struct {
    uint64_t dispatched_to;
    uint64_t rows; /* of messages */
    uint64_t dead;
    uint64_t states;
    uint64_t clients;
    uint64_t seq;  /* of this epoch; not on disk: an epoch is never gone on with */
    uint64_t died; /* in this epoch, and still dead; not on disk */
} outbox_counts_t;

typedef struct {
    uint32_t epoch;
    uint64_t stream;
} outbox_stream_t;

/* A new row. */
typedef struct {
    uint64_t id;
    size_t at; /* of its body */
    uint32_t len;
    uint8_t legs;
} outbox_fresh_t;

struct outbox {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char *path, *reserve_path;
    bool look;    /* opened for a look: no epoch */
    bool settled; /* what was found in the log is in its place */
    int format;   /* as it was found */
    uint32_t epoch;
    outbox_counts_t now; /* as the round leaves it */
    outbox_counts_t committed;
    bool dirty; /* `now` differs from what meta says */

    outbox_stream_t *streams; /* by epoch */
    uint32_t streams_count;
    index_t streams_index; /* stream -> place */

    char names[LEGS_MAX][NAME_BYTES_MAX + 1];
    const char *names_list[LEGS_MAX];
    uint8_t legs;

    /* Deletions wait for the commit: sorted, a run of ids is one statement and costs a third. */
    uint64_t *deletes;
    uint32_t deletes_count, deletes_cap;

    /* New rows wait too: all of them are one statement, for half of the cost (common/runtime/sqlite_rows.h).
     */
    outbox_fresh_t *fresh;
    uint32_t fresh_cap;
    buffer_t fresh_bodies;
    sqlite_rows_t fresh_rows; /* as SQLite reads them */

    buffer_t row;       /* body of the last row that was found */
    buffer_t history;   /* that is being written */
    buffer_t notes;     /* the same */
    int64_t page_bytes; /* of this file, whoever made it */
    int64_t wal_bytes;
    int64_t commit_ms; /* of the last one */
    int64_t bytes_max;
    int64_t bytes, bytes_free; /* of the file: in use; freed, and to be used again */
    bool bytes_known;
    int64_t reserve_bytes; /* that are there */
    bool full;             /* the disk was, and no probe has succeeded since */
    int64_t probe_ms;
    int failed; /* -EIO: nothing is written any more */
    char why[WHY_BYTES];
};

/* The -errno for what SQLite said, with o->why; `what` says what was being done. */
int outbox_error(outbox_t *o, int rc, const char *what);
/* Runs a statement that returns no row and resets it. */
int outbox_run(outbox_t *o, statement_t which, const char *what);
void outbox_bind(outbox_t *o, statement_t which, const uint64_t *values, int n);
/* Deletes ids first..last of a table and takes them off its count. */
int outbox_delete_run(outbox_t *o, statement_t which, uint64_t first, uint64_t last, uint64_t *count);
/* Runs SQL that is used once. */
int outbox_exec(outbox_t *o, const char *sql);
/* The one integer of a query that is used once. */
int outbox_ask(outbox_t *o, const char *sql, int64_t *ret);
int outbox_prepare(outbox_t *o);
int outbox_checkpoint(outbox_t *o);
/* All of the WAL goes to its place, and the WAL begins again with no bytes. Before the first write. */
int outbox_settle_log(outbox_t *o);

/* outbox_fresh.c */
int outbox_fresh_add(outbox_t *o); /* the table of them, for outbox_prepare() */
int outbox_fresh_write(outbox_t *o);
void outbox_fresh_forget(outbox_t *o);

/* outbox_history.c; a history is read into o->history, and added to there */
uint64_t outbox_pack_tries(const uint8_t tries[static LEGS_MAX]);
void outbox_unpack_tries(uint64_t packed, uint8_t ret[static LEGS_MAX]);
int outbox_history_read(outbox_t *o, statement_t which, uint64_t id, uint64_t *ret_tries);
int outbox_history_append(outbox_t *o, const void *events, size_t len); /* how many were new */

/* outbox_dead.c */
int outbox_bury(outbox_t *o, const delivery_change_t *c, int64_t wall_ms);
int outbox_delete_dead(outbox_t *o, uint64_t first, uint64_t last);

/* outbox_schema.c */
int outbox_streams_load(outbox_t *o);

/* outbox_format.c */
int outbox_format_check(outbox_t *o, bool *ret_empty);
/* An older one becomes OUTBOX_VERSION; of a look only as long as it lasts. Not before the log is settled. */
int outbox_format_raise(outbox_t *o);

/* outbox_space.c: a file that takes up room on the disk until the disk is full, so that there is something to
 * free for the deletions that make room again. */
void outbox_reserve_make(outbox_t *o);
void outbox_disk_full(outbox_t *o);
void outbox_reserve_free(outbox_t *o);

#endif

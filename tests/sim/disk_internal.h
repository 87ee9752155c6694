/* What the files of the disks share: disk.c (what lies there), outbox_rounds.c and outbox_asked.c
 * (publisher/outbox.h over it). */
#ifndef MANDRILL_SIM_DISK_INTERNAL_H
#define MANDRILL_SIM_DISK_INTERNAL_H

#include "tests/sim/disk.h"

enum {
    PUBLISHERS_MAX = 2,
    STREAMS_MAX = 512,
    CLIENTS_MAX = 64,
    PROBE_MS = 500,
    ROW_BYTES = 100, /* what a row takes of outbox_max besides its body */
};

typedef struct {
    uint64_t session, number, first_id;
    uint32_t stored;
} client_row_t;

/* All there is on one disk. */
typedef struct {
    disk_row_t *rows; /* by id */
    uint32_t rows_count, rows_cap;
    uint64_t dispatched_to;
    client_row_t clients[CLIENTS_MAX];
    uint32_t clients_count;
    uint64_t load_position;
    bool load_known;
} tables_t;

/* One write of a round that is not committed. */
typedef enum {
    WRITE_INSERT,
    WRITE_CHANGE,
    WRITE_TRIES,
    WRITE_NOTE, /* row.id; its notes are one, number is the token */
    WRITE_REDRIVE,
    WRITE_PURGE,
    WRITE_DISPATCH,
    WRITE_CLIENT,
    WRITE_LOAD,
} write_kind_t;
typedef struct {
    write_kind_t kind;
    disk_row_t row;
    delivery_change_t change;
    int64_t wall_ms;
    client_row_t client;
    uint64_t number;
} write_t;

typedef struct {
    tables_t tables;
    uint64_t streams[STREAMS_MAX]; /* by epoch - 1 */
    uint32_t epoch;
    outbox_t *open; /* by whom */
    int64_t full_until_us;
    uint32_t refusals;
    bool fails; /* with the next write */
} disk_t;

struct outbox {
    uint32_t publisher;
    const char *names[LEGS_MAX];
    uint8_t legs;
    int64_t bytes_max;
    uint64_t seq, seq_committed;
    write_t *writes;
    uint32_t writes_count, writes_cap;
    bool begun;
    bool full;
    int64_t probe_ms;
    int failed;
    char why[WHY_BYTES];
};

disk_t *disk_of(const outbox_t *o);
disk_t *disk_at(uint32_t publisher);
/* The place of the row in t->rows, or where it would be. */
uint32_t disk_place_of(const tables_t *t, uint64_t id);
disk_row_t *disk_find_row(const tables_t *t, uint64_t id);
client_row_t *disk_find_client(tables_t *t, uint64_t session);
uint32_t disk_epoch_of(const disk_t *d, uint64_t stream); /* 0: not one of its streams */
/* A write of a round becomes true. */
void disk_apply(uint32_t publisher, const write_t *w);
/* An access may meet a disk that is full, with this chance, or fails: 0 or -errno with o->why. */
int disk_meet(outbox_t *o, uint32_t full_per_thousand, const char *what);
int64_t disk_commit_us(void); /* how long a commit takes */

#endif

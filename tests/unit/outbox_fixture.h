/* A directory of its own for each outbox test, and short ways to fill an outbox. */
#ifndef MANDRILL_TEST_OUTBOX_FIXTURE_H
#define MANDRILL_TEST_OUTBOX_FIXTURE_H

#include "publisher/outbox.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    char dir[64];
    char path[96];
    char why[WHY_BYTES];
} fixture_t;

#define TEST_EPOCH(e, seq) (((uint64_t)(e) << EPOCH_SHIFT) + (seq))
#define TEST_MAX           ((int64_t)10 << 30)

static const char *const test_legs[] = {"save", "restart"};

static inline int fixture_open(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/outbox-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/outbox.db", f->dir);
    *state = f;
    return 0;
}

static inline int fixture_close(void **state)
{
    fixture_t *f = *state;
    static const char *const endings[] = {"", "-wal", "-shm", "-journal", ".reserve"};
    char path[128];
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, endings[i]);
        unlink(path);
    }
    int r = rmdir(f->dir);
    free(f);
    return r;
}

static inline outbox_t *open_outbox(fixture_t *f)
{
    outbox_t *o = NULL;
    int r = outbox_open(&o, f->path, test_legs, 2, TEST_MAX, f->why);
    if (r < 0)
        fail_msg("outbox_open: %s", f->why);
    return o;
}

/* n messages of one round, each with its number as its body; the first one's id. */
static inline uint64_t insert_messages(outbox_t *o, uint32_t n)
{
    uint64_t first = 0, id = 0;
    assert_int_equal(outbox_begin(o), 0);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(outbox_insert(o, 3, &i, sizeof i, &id), 0);
        if (i == 0)
            first = id;
    }
    assert_int_equal(outbox_commit(o), 0);
    return first;
}

static inline void change_one(outbox_t *o, const delivery_change_t *c, int64_t wall_ms)
{
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_change(o, c, wall_ms), 0);
    assert_int_equal(outbox_commit(o), 0);
}

/* A redrive that is committed: what the outbox said. */
static inline int redrive(outbox_t *o, uint64_t id, int64_t wall_ms)
{
    buffer_t b;
    const event_t e = {.bit = EVENT_MESSAGE, .how = HOW_REDRIVEN, .label = {"", 0}, .text = {"", 0}};
    buffer_init(&b);
    event_write(&b, &e);
    assert_int_equal(outbox_begin(o), 0);
    int r = outbox_redrive(o, id, b.data, b.len, wall_ms);
    assert_int_equal(outbox_commit(o), 0);
    buffer_done(&b);
    return r;
}

static inline uint64_t rows_of(outbox_t *o)
{
    outbox_gauges_t g;
    outbox_gauges(o, &g);
    return g.rows;
}

typedef struct {
    uint64_t ids[64];
    outbox_row_t rows[64];
    size_t count, stop_at;
} seen_t;

static inline bool see(void *arg, const outbox_row_t *row)
{
    seen_t *s = arg;
    if (s->count < 64) {
        s->ids[s->count] = row->id;
        s->rows[s->count] = *row;
    }
    return ++s->count != s->stop_at;
}

static inline seen_t scan_all(outbox_t *o)
{
    seen_t s = {.count = 0};
    assert_int_equal(outbox_scan(o, 0, UINT64_MAX, 1000000, see, &s), 0);
    return s;
}

#endif

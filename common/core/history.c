#include "common/core/history.h"
#include "common/core/index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One event, and the bytes it stands in. */
typedef struct {
    event_t event;
    const uint8_t *bytes;
    size_t len;
} seen_t;

static bool next(reader_t *r, seen_t *ret)
{
    ret->bytes = r->at;
    if (!event_read(r, &ret->event)) {
        return false;
    }
    ret->len = (size_t)(r->at - ret->bytes);
    return true;
}

/* Events in a row. A peer may tell of 64 in each of thousands of steps, so that looking for one must not read
 * the others again. */
typedef struct {
    uint64_t key;
    size_t at, len;
} mark_t;

typedef struct {
    buffer_t bytes;
    mark_t *marks;
    size_t count;
} row_t;

static uint64_t key_of(const event_t *e)
{
    return index_mix(e->since_ms, (uint64_t)e->no << 8 | e->bit);
}

static void append(row_t *row, const seen_t *s)
{
    row->marks[row->count++] = (mark_t){.key = key_of(&s->event), .at = row->bytes.len, .len = s->len};
    buffer_append(&row->bytes, s->bytes, s->len);
}

static bool contains(const row_t *row, const seen_t *s)
{
    uint64_t key = key_of(&s->event);
    for (size_t i = 0; i < row->count && !row->bytes.failed; i++) {
        const mark_t *m = &row->marks[i];
        if (m->key == key && m->len == s->len && memcmp(row->bytes.data + m->at, s->bytes, s->len) == 0) {
            return true;
        }
    }
    return false;
}

/* Counts one that goes into the event that stands for all that have gone. */
static void leave_out(event_t *omitted, const event_t *e)
{
    if (e->bit == EVENT_MESSAGE && e->how == HOW_OMITTED) {
        omitted->no += e->no;
        omitted->since_ms = e->since_ms;
        return;
    }
    if (omitted->no++ == 0) {
        omitted->since_ms = e->since_ms;
    }
}

/* The newest events of `all` for which there is room, behind one that stands for the others. */
static void write_newest(buffer_t *history, const buffer_t *all)
{
    enum { OMITTED_BYTES = 32 }; /* no more than it takes: two numbers, six bytes */
    event_t omitted = {.bit = EVENT_MESSAGE, .how = HOW_OMITTED, .label = {"", 0}, .text = {"", 0}};
    reader_t r;
    seen_t s;
    reader_init(&r, all->data, all->len);
    while ((size_t)(r.end - r.at) + OMITTED_BYTES > HISTORY_BYTES_MAX && next(&r, &s)) {
        leave_out(&omitted, &s.event);
    }
    event_write(history, &omitted);
    buffer_append(history, r.at, (size_t)(r.end - r.at));
}

/* All that is in `history` and of the events what is new: how many of these. */
static int join(row_t *row, const buffer_t *history, const void *events, size_t len)
{
    reader_t r;
    seen_t s;
    int added = 0;
    reader_init(&r, history->data, history->len);
    while (next(&r, &s)) {
        append(row, &s);
    }
    reader_init(&r, events, len);
    while (next(&r, &s)) {
        if (!contains(row, &s)) {
            append(row, &s);
            added++;
        }
    }
    return row->bytes.failed ? -ENOMEM : added;
}

int history_add(buffer_t *history, const void *events, size_t len)
{
    row_t row = {.count = 0};
    int had = events_count(history->data, history->len), more = events_count(events, len);
    if (had < 0 || more < 0) {
        return -EPROTO;
    }
    if (more == 0) {
        return 0;
    }
    buffer_init(&row.bytes);
    row.marks = calloc((size_t)had + (size_t)more, sizeof *row.marks);
    int added = row.marks != NULL ? join(&row, history, events, len) : -ENOMEM;
    if (added >= 0 && buffer_reserve(history, HISTORY_BYTES_MAX) < 0) {
        added = -ENOMEM;
    }
    if (added >= 0) {
        buffer_clear(history);
        if (row.bytes.len <= HISTORY_BYTES_MAX) {
            buffer_append(history, row.bytes.data, row.bytes.len);
        } else {
            write_newest(history, &row.bytes);
        }
    }
    free(row.marks);
    buffer_done(&row.bytes);
    return added;
}

void history_tries(const void *events, size_t len, uint8_t tries[static LEGS_MAX])
{
    reader_t r;
    event_t e;
    reader_init(&r, events, len);
    while (event_read(&r, &e)) {
        bool failed = e.how == HOW_TRANSIENT || e.how == HOW_LOST || e.how == HOW_TIMEOUT;
        if (failed && e.bit < LEGS_MAX && e.no > tries[e.bit]) {
            tries[e.bit] = (uint8_t)e.no;
        }
    }
}

size_t history_reason(const void *events, size_t len, uint8_t bad, bool exhausted, uint32_t deliveries,
                      char *ret)
{
    char head[64];
    reader_t r;
    event_t e;
    how_t how = HOW_PERMANENT;
    text_t text = {"", 0};
    reader_init(&r, events, len);
    while (event_read(&r, &e)) {
        bool is_bad = e.bit < LEGS_MAX && (bad >> e.bit & 1) != 0 && e.how != HOW_OK;
        if (exhausted ? e.text.len > 0 : is_bad) {
            how = e.how;
            text = e.text;
        }
    }
    if (exhausted) {
        snprintf(head, sizeof head, "deliveries: %u leases lost", (unsigned)deliveries);
    } else {
        snprintf(head, sizeof head, "%s",
                 how == HOW_PERMANENT ? "permanent"
                 : how == HOW_UNKNOWN ? "unknown"
                                      : "tries exhausted");
    }
    size_t n = strlen(head);
    memcpy(ret, head, n);
    if (text.len > 0) {
        memcpy(ret + n, ": ", 2);
        n += 2;
        /* What does not fit goes at a character's end: the text is UTF-8, and stays it. */
        size_t fits = text.len < REASON_BYTES_MAX - n ? text.len : REASON_BYTES_MAX - n;
        while (fits < text.len && fits > 0 && ((uint8_t)text.bytes[fits] & 0xc0) == 0x80) {
            fits--;
        }
        memcpy(ret + n, text.bytes, fits);
        n += fits;
    }
    return n;
}

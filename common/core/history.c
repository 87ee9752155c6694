#include "common/core/history.h"

#include <errno.h>
#include <stdio.h>
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

static bool contains(const void *events, size_t len, const seen_t *s)
{
    reader_t r;
    seen_t other;
    reader_init(&r, events, len);
    while (next(&r, &other)) {
        if (other.len == s->len && memcmp(other.bytes, s->bytes, s->len) == 0) {
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

int history_add(buffer_t *history, const void *events, size_t len)
{
    reader_t r;
    seen_t s;
    buffer_t all;
    int added = 0;
    if (events_count(events, len) < 0 || events_count(history->data, history->len) < 0) {
        return -EPROTO;
    }
    buffer_init(&all);
    buffer_append(&all, history->data, history->len);
    reader_init(&r, events, len);
    while (next(&r, &s)) {
        if (!contains(all.data, all.len, &s)) {
            buffer_append(&all, s.bytes, s.len);
            added++;
        }
    }
    if (!all.failed && buffer_reserve(history, HISTORY_BYTES_MAX) == 0) {
        buffer_clear(history);
        if (all.len <= HISTORY_BYTES_MAX) {
            buffer_append(history, all.data, all.len);
        } else {
            write_newest(history, &all);
        }
    } else {
        added = -ENOMEM;
    }
    buffer_done(&all);
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
        snprintf(head, sizeof head, "%s", how == HOW_PERMANENT ? "permanent" : "tries exhausted");
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

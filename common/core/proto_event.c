/* Events: what happened to a message, in steps, in dead letters and on disk alike. */
#include "common/core/proto_parts.h"

#include <errno.h>

enum { EVENT_FIELDS = 7 };

const char *how_name(unsigned how)
{
    static const char *const names[] = {
        [HOW_OK] = "OK",
        [HOW_TRANSIENT] = "TRANSIENT",
        [HOW_PERMANENT] = "PERMANENT",
        [HOW_UNKNOWN] = "UNKNOWN",
        [HOW_LOST] = "LOST",
        [HOW_TIMEOUT] = "TIMEOUT",
        [HOW_LEASE_LOST] = "LEASE LOST",
        [HOW_NACKED] = "NACKED",
        [HOW_REDRIVEN] = "REDRIVEN",
        [HOW_OMITTED] = "OMITTED",
    };
    return how < HOWS && names[how] != NULL ? names[how] : "no such end";
}

void event_write(buffer_t *b, const event_t *e)
{
    write_array(b, EVENT_FIELDS);
    write_uint(b, e->bit);
    write_uint(b, e->no);
    write_label(b, e->label);
    write_uint(b, e->since_ms);
    write_uint(b, (uint64_t)e->took_ms);
    write_uint(b, e->how);
    write_text(b, e->text);
}

/* Which ends a try may have, and which a message. */
static bool how_fits(const event_t *e)
{
    if (e->bit == EVENT_MESSAGE) {
        return e->how >= HOW_LEASE_LOST;
    }
    return e->how <= HOW_TIMEOUT && e->no >= 1 && e->no <= TRIES_MAX;
}

static void read_event(reader_t *r, event_t *ret)
{
    read_array(r, EVENT_FIELDS, EVENT_FIELDS);
    ret->bit = (uint8_t)read_uint(r, EVENT_MESSAGE);
    ret->no = (uint32_t)read_uint(r, UINT32_MAX);
    ret->label = read_label(r);
    ret->since_ms = read_uint(r, CODEC_INT_MAX);
    ret->took_ms = (int64_t)read_uint(r, DURATION_MS_MAX);
    ret->how = (how_t)read_uint(r, HOWS - 1);
    ret->text = read_text(r);
    if (!how_fits(ret)) {
        r->failed = true;
    }
}

bool event_read(reader_t *r, event_t *ret)
{
    event_t e;
    if (r->failed || r->at == r->end) {
        return false;
    }
    read_event(r, &e);
    if (r->failed) {
        return false;
    }
    *ret = e;
    return true;
}

int events_count(const void *events, size_t len)
{
    reader_t r;
    event_t e;
    int n = 0;
    reader_init(&r, events, len);
    while (event_read(&r, &e)) {
        n++;
    }
    return r.failed ? -EPROTO : n;
}

void write_events(buffer_t *b, const void *events, uint32_t len, uint32_t count)
{
    write_array(b, count);
    if (len > 0) {
        buffer_append(b, events, len);
    }
}

const void *read_events(reader_t *r, uint32_t max, bool (*check)(const event_t *e), uint32_t *ret_len,
                        uint32_t *ret_count)
{
    uint32_t n = read_array(r, 0, max);
    const uint8_t *from = r->at;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        event_t e = {0};
        read_event(r, &e);
        if (check != NULL && !check(&e)) {
            r->failed = true;
        }
    }
    *ret_len = r->failed ? 0 : (uint32_t)(r->at - from);
    *ret_count = r->failed ? 0 : n;
    return from;
}

#include "workers/replies.h"

#include <errno.h>
#include <stdlib.h>

enum {
    RING_MIN = 8,
    /* A place keeps its memory for the next frame, up to this. */
    PLACE_BYTES_KEPT = 64 * 1024,
};

void replies_init(replies_t *r)
{
    *r = (replies_t){.next_no = 1};
}

void replies_done(replies_t *r)
{
    for (uint32_t i = 0; i < r->capacity; i++)
        buffer_done(&r->ring[i].bytes);
    free(r->ring);
    replies_init(r);
}

static reply_t *place(const replies_t *r, uint32_t i)
{
    return &r->ring[(r->first + i) & (r->capacity - 1)];
}

static int grow(replies_t *r)
{
    const uint32_t capacity = r->capacity == 0 ? RING_MIN : r->capacity * 2;
    reply_t *ring = calloc(capacity, sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->capacity; i++)
        ring[i] = *place(r, i);
    for (uint32_t i = r->capacity; i < capacity; i++)
        buffer_init(&ring[i].bytes);
    free(r->ring);
    r->ring = ring;
    r->capacity = capacity;
    r->first = 0;
    return 0;
}

static void drop_first(replies_t *r)
{
    reply_t *p = place(r, 0);
    r->kept -= p->results;
    r->kept_bytes -= p->bytes.len;
    if (p->bytes.cap > PLACE_BYTES_KEPT)
        buffer_done(&p->bytes);
    else
        buffer_clear(&p->bytes);
    r->first = (r->first + 1) & (r->capacity - 1);
    r->count--;
    if (r->sent > 0)
        r->sent--;
}

static int begin(replies_t *r)
{
    if (r->count == r->capacity && grow(r) != 0)
        return -ENOMEM;
    reply_t *p = place(r, r->count);
    p->no = r->next_no++;
    p->results = 0;
    results_begin(&r->batch, &p->bytes, p->no);
    r->count++;
    r->open = true;
    return 0;
}

int replies_add(replies_t *r, const result_record_t *result)
{
    if (!r->open && begin(r) != 0)
        return -ENOMEM;
    results_add(&r->batch, result);
    reply_t *p = place(r, r->count - 1);
    p->results++;
    r->kept++;
    if (batch_full(&r->batch))
        replies_close(r);
    return p->bytes.failed ? -ENOMEM : 0;
}

void replies_close(replies_t *r)
{
    if (!r->open)
        return;
    batch_end(&r->batch);
    r->open = false;
    r->kept_bytes += place(r, r->count - 1)->bytes.len;
    while (r->count > 1 && (r->kept > REPLIES_KEPT_MAX || r->kept_bytes > REPLIES_BYTES_MAX)) {
        r->dropped += place(r, 0)->results;
        drop_first(r);
    }
}

const buffer_t *replies_unsent(const replies_t *r)
{
    const uint32_t closed = r->open ? r->count - 1 : r->count;
    return r->sent < closed ? &place(r, r->sent)->bytes : NULL;
}

void replies_sent(replies_t *r)
{
    r->sent++;
}

void replies_seen(replies_t *r, uint64_t seen)
{
    while (r->sent > 0 && place(r, 0)->no <= seen)
        drop_first(r);
}

void replies_again(replies_t *r)
{
    r->sent = 0;
}

void replies_forget(replies_t *r)
{
    replies_close(r);
    while (r->count > 0)
        drop_first(r);
    r->next_no = 1;
}

uint32_t replies_refs(const replies_t *r, uint64_t *ret, uint32_t max)
{
    static result_record_t results[RECORDS_MAX];
    const uint32_t closed = r->open ? r->count - 1 : r->count;
    uint32_t n = 0;
    for (uint32_t i = 0; i < closed; i++) {
        const buffer_t *bytes = &place(r, i)->bytes;
        uint64_t no;
        const int count = decode_results(bytes->data, bytes->len, &no, results);
        for (int k = 0; k < count && n < max; k++)
            ret[n++] = results[k].ref;
    }
    return n;
}

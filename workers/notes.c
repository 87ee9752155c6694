/* What kinds record on their tasks' messages before they do what cannot be undone, and the grants for it.
 *
 * A note is sent once: should it be lost with its connection, nobody answers it, and the kind does not act. A
 * grant counts for the task that has asked, while it is at work and of the process that answers. */
#include "common/runtime/log.h"
#include "workers/runtime_internal.h"

#include <assert.h>
#include <errno.h>

static uint64_t ask_key(uint32_t dial, uint64_t ref)
{
    return index_mix(ref, dial);
}

void notes_unask(runtime_t *rt, held_task_t *h)
{
    if (!h->asks)
        return;
    index_remove(&rt->asks, ask_key(h->consumer, h->ref), h->task.number);
    h->asks = false;
}

/* Without room it is not told, as if it were lost on its way. */
static bool add(consumer_t *c, const note_record_t *r)
{
    if (c->notes.len == 0)
        notes_begin(&c->notes_batch, &c->notes);
    else if (batch_full(&c->notes_batch))
        return false;
    notes_add(&c->notes_batch, r);
    return true;
}

void worker_note(worker_sink_t *rt, uint32_t number, int64_t grant_ms, const void *note, uint32_t len)
{
    assert(rt->options.kind->executor == EXECUTOR_LOOP && len <= NOTE_BYTES_MAX);
    assert(grant_ms >= 0 && grant_ms <= DURATION_MS_MAX);
    held_task_t *h = sink_task_at_work(rt, number, "note");
    consumer_t *c = &rt->consumers[h->consumer];
    h->gave_up = h->gave_up || h->asks;
    notes_unask(rt, h);
    if (h->generation != c->generation)
        return;
    const note_record_t record = {.ref = h->ref,
                                  .try_no = h->task.try_no,
                                  .grant_ms = h->gave_up ? 0 : grant_ms,
                                  .bytes = note,
                                  .len = len};
    if (!add(c, &record)) {
        rt->notes_dropped++;
        log_limited(LOG_WARN, "more notes than fit into a frame wait for a consumer: no more are taken");
        return;
    }
    rt->notes++;
    h->asks = record.grant_ms > 0 && index_put(&rt->asks, ask_key(h->consumer, h->ref), number) == 0;
}

bool notes_send(runtime_t *rt, uint32_t dial)
{
    consumer_t *c = &rt->consumers[dial];
    if (c->notes.len == 0)
        return true;
    batch_end(&c->notes_batch); /* until it is sent more may come */
    if (c->notes.failed) {
        rt->failed = -ENOMEM;
        return false;
    }
    if (dialer_send(rt->dialer, dial, &c->notes) != 0)
        return false;
    buffer_clear(&c->notes);
    return true;
}

void notes_forget(runtime_t *rt, uint32_t dial)
{
    buffer_clear(&rt->consumers[dial].notes);
}

/* --- grants --- */

static held_task_t *who_asked(const runtime_t *rt, uint32_t dial, const grant_record_t *g)
{
    const uint64_t key = ask_key(dial, g->ref);
    uint32_t cursor, n = rt->asks.count > 0 ? index_find(&rt->asks, key, &cursor) : INDEX_NONE;
    for (; n != INDEX_NONE; n = index_find_next(&rt->asks, key, &cursor)) {
        held_task_t *h = held_at(&rt->tasks, n);
        if (h->consumer == dial && h->ref == g->ref && h->task.try_no == g->try_no &&
            h->generation == rt->consumers[dial].generation)
            return h;
    }
    return NULL;
}

int notes_take_grants(runtime_t *rt, uint32_t dial, const frame_t *frame)
{
    const int n = decode_grants(frame->data, frame->len, rt->grants);
    for (int i = 0; i < n; i++) {
        held_task_t *h = who_asked(rt, dial, &rt->grants[i]);
        if (h == NULL)
            continue; /* it has ended, or takes its note for lost */
        notes_unask(rt, h);
        rt->granted += rt->grants[i].granted;
        rt->executor.ops->granted(&rt->executor, h->task.number, rt->grants[i].granted);
    }
    return n < 0 ? n : 0;
}

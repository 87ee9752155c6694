/* What kinds say: results, and lines for people. */
#include "common/core/utf8.h"
#include "common/runtime/log.h"
#include "workers/runtime_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANCELLED_BYTES = 48, MS_A_SECOND = 1000 };

static void reply(runtime_t *rt, consumer_t *c, const result_record_t *result)
{
    rt->outcomes[result->outcome]++;
    if (replies_add(&c->replies, result) != 0)
        rt->failed = -ENOMEM;
}

/* The kind is wrong when it names any other: it must not go on, for the next number that it names may be that
 * of another message. */
held_task_t *sink_task_at_work(const runtime_t *rt, uint32_t number, const char *says)
{
    held_task_t *h = number / HELD_CHUNK < rt->tasks.chunks_count ? held_at(&rt->tasks, number) : NULL;
    if (h != NULL && h->used && h->begun_ms > 0)
        return h;
    log_error("%s gives a %s for task %u, which is not at work", rt->options.kind->name, says, number);
    abort();
}

static void end_task(runtime_t *rt, uint32_t number, outcome_t outcome, int64_t ms, text_t text)
{
    held_task_t *h = sink_task_at_work(rt, number, "result");
    consumer_t *c = &rt->consumers[h->consumer];
    if (h->generation == c->generation) {
        const result_record_t result = {
            .ref = h->ref, .try_no = h->task.try_no, .outcome = outcome, .ms = ms, .text = text};
        reply(rt, c, &result);
        c->held--;
        rt->drained += rt->draining && outcome != OUTCOME_BLOCKED;
    } else {
        rt->ownerless++;
    }
    if (rt->executor.ops->ended != NULL)
        rt->executor.ops->ended(&rt->executor, number);
    notes_unask(rt, h);
    held_remove(&rt->tasks, number);
}

void worker_ok(worker_sink_t *sink, uint32_t number)
{
    end_task(sink, number, OUTCOME_OK, 0, (text_t){"", 0});
}

/* A text that the protocol takes: what is too long or no UTF-8 is cut off. */
static text_t fit(const char *text)
{
    const size_t len = strnlen(text, TEXT_BYTES_MAX);
    return (text_t){text, (uint32_t)utf8_prefix(text, len)};
}

void worker_ok_because(worker_sink_t *sink, uint32_t number, const char *text)
{
    end_task(sink, number, OUTCOME_OK, 0, fit(text));
}

static int64_t fit_ms(int64_t ms)
{
    return ms < 0 ? 0 : ms > DURATION_MS_MAX ? DURATION_MS_MAX : ms;
}

static const char *say_cancelled(int64_t limit_ms, char text[static CANCELLED_BYTES])
{
    if (limit_ms % MS_A_SECOND == 0)
        snprintf(text, CANCELLED_BYTES, "cancelled after %" PRId64 " s", limit_ms / MS_A_SECOND);
    else
        snprintf(text, CANCELLED_BYTES, "cancelled after %" PRId64 " ms", limit_ms);
    return text;
}

void worker_fail(worker_sink_t *sink, uint32_t number, outcome_t outcome, int64_t ms, const char *text)
{
    char cancelled[CANCELLED_BYTES];
    assert(outcome != OUTCOME_OK && outcome < OUTCOMES);
    const held_task_t *h = sink_task_at_work(sink, number, "result");
    if (outcome == OUTCOME_TRANSIENT && text[0] == '\0' && worker_cancelled(&h->task))
        text = say_cancelled(h->limit_ms, cancelled);
    end_task(sink, number, outcome, fit_ms(ms), fit(text));
}

void sink_refuse(runtime_t *rt, consumer_t *c, const task_record_t *record, outcome_t outcome, int64_t ms,
                 const char *text)
{
    const result_record_t result = {
        .ref = record->ref, .try_no = record->try_no, .outcome = outcome, .ms = ms, .text = fit(text)};
    reply(rt, c, &result);
}

void worker_say(worker_sink_t *sink, const char *what, const worker_task_t *task, const char *rest)
{
    if (!sink->options.log_messages)
        return;
    char id[MESSAGE_ID_TEXT];
    message_id_format(task->id, id);
    log_info("%s %.*s%s%s (%s)", what, (int)task->body.host_len, task->body.host, rest[0] != '\0' ? " " : "",
             rest, id);
}

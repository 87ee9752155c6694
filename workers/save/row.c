#include "workers/save/row.h"

#include <errno.h>

int save_row_make(save_row_t *ret, const worker_task_t *task, int64_t saved_ms, buffer_t *json)
{
    const body_t *b = &task->body;
    save_row_t row = {.stream = (int64_t)task->id.stream,
                      .seq = (int64_t)task->id.seq,
                      .instance = b->instance,
                      .instance_len = b->instance_len,
                      .host = b->host,
                      .host_len = b->host_len,
                      .published_ms = b->published_ms,
                      .saved_ms = saved_ms};
    if (b->attributes > 0) {
        buffer_clear(json);
        body_attributes_json(b, json);
        if (json->failed)
            return -ENOMEM;
        row.attributes = (const char *)json->data;
        row.attributes_len = json->len;
    }
    *ret = row;
    return 0;
}

void save_row_committed(const worker_task_t *task, worker_sink_t *sink)
{
    worker_say(sink, "Saved", task, "into database");
    worker_ok(sink, task->number);
}

void save_row_blocked(const worker_task_t *task, int64_t wait_ms, const char *why, worker_sink_t *sink)
{
    worker_fail(sink, task->number, OUTCOME_BLOCKED, wait_ms, why);
}

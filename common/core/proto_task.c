/* Commands of section 5 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>

enum { RESULT_SHORT = 3, RESULT_LONG = 5 };

void tasks_begin(batch_t *batch, buffer_t *b, const tasks_t *head)
{
    proto_write(b, CMD_TASKS, 4);
    write_uint(b, head->seen);
    write_uint(b, (uint64_t)head->limit_ms);
    batch_begin(batch, b);
}

void tasks_add(batch_t *batch, const task_record_t *t)
{
    buffer_t *b = batch->buffer;
    write_array(b, 5);
    write_uint(b, t->ref);
    write_uint(b, t->try_no);
    write_message_id(b, t->id);
    write_bin(b, t->body, t->body_len);
    batch->count++;
}

int decode_tasks(const void *frame, size_t len, tasks_t *ret_head, task_record_t *ret)
{
    reader_t r;
    tasks_t head;
    proto_read(&r, frame, len, CMD_TASKS, 4);
    head.seen = read_uint(&r, CODEC_INT_MAX);
    head.limit_ms = (int64_t)read_uint(&r, DURATION_MS_MAX);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        task_record_t *t = &ret[i];
        read_array(&r, 5, 5);
        t->ref = read_uint(&r, CODEC_INT_MAX);
        t->try_no = (uint32_t)read_range(&r, 1, UINT32_MAX);
        t->id = read_message_id(&r);
        t->body = read_bin(&r, BODY_BYTES_MAX, &t->body_len);
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret_head = head;
    }
    return rc;
}

void results_begin(batch_t *batch, buffer_t *b, uint64_t no)
{
    proto_write(b, CMD_RESULTS, 3);
    write_uint(b, no);
    batch_begin(batch, b);
}

void results_add(batch_t *batch, const result_record_t *result)
{
    buffer_t *b = batch->buffer;
    bool brief = result->ms == 0 && result->text.len == 0;
    write_array(b, brief ? RESULT_SHORT : RESULT_LONG);
    write_uint(b, result->ref);
    write_uint(b, result->try_no);
    write_uint(b, result->outcome);
    if (!brief) {
        write_uint(b, (uint64_t)result->ms);
        write_text(b, result->text);
    }
    batch->count++;
}

static void read_result(reader_t *r, result_record_t *ret)
{
    uint32_t fields = read_array(r, RESULT_SHORT, RESULT_LONG);
    ret->ref = read_uint(r, CODEC_INT_MAX);
    ret->try_no = (uint32_t)read_range(r, 1, UINT32_MAX);
    ret->outcome = (outcome_t)read_uint(r, OUTCOMES - 1);
    if (fields == RESULT_LONG) {
        ret->ms = (int64_t)read_uint(r, DURATION_MS_MAX);
        ret->text = read_text(r);
        return;
    }
    if (fields != RESULT_SHORT) {
        r->failed = true;
    }
    ret->ms = 0;
    ret->text = (text_t){"", 0};
}

int decode_results(const void *frame, size_t len, uint64_t *ret_no, result_record_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, CMD_RESULTS, 3);
    uint64_t no = read_range(&r, 1, CODEC_INT_MAX);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        read_result(&r, &ret[i]);
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret_no = no;
    }
    return rc;
}

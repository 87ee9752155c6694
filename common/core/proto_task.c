/* Commands of section 5 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>

enum { TASK_SHORT = 5, TASK_LONG = 6, RESULT_SHORT = 3, RESULT_LONG = 5, NOTE_FIELDS = 4, GRANT_FIELDS = 3 };

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
    write_array(b, t->note_len > 0 ? TASK_LONG : TASK_SHORT);
    write_uint(b, t->ref);
    write_uint(b, t->try_no);
    write_message_id(b, t->id);
    write_bin(b, t->body, t->body_len);
    if (t->note_len > 0) {
        write_bin(b, t->note, t->note_len);
    }
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
        uint32_t fields = read_array(&r, TASK_SHORT, TASK_LONG);
        t->ref = read_uint(&r, CODEC_INT_MAX);
        t->try_no = (uint32_t)read_range(&r, 1, UINT32_MAX);
        t->id = read_message_id(&r);
        t->body = read_bin(&r, BODY_BYTES_MAX, &t->body_len);
        t->note = NULL;
        t->note_len = 0;
        if (fields == TASK_LONG) {
            t->note = read_bin(&r, NOTE_BYTES_MAX, &t->note_len);
        }
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

void notes_begin(batch_t *batch, buffer_t *b)
{
    proto_write(b, CMD_NOTES, 2);
    batch_begin(batch, b);
}

void notes_add(batch_t *batch, const note_record_t *n)
{
    buffer_t *b = batch->buffer;
    write_array(b, NOTE_FIELDS);
    write_uint(b, n->ref);
    write_uint(b, n->try_no);
    write_uint(b, (uint64_t)n->grant_ms);
    write_bin(b, n->bytes, n->len);
    batch->count++;
}

int decode_notes(const void *frame, size_t len, note_record_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, CMD_NOTES, 2);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        note_record_t *note = &ret[i];
        read_array(&r, NOTE_FIELDS, NOTE_FIELDS);
        note->ref = read_uint(&r, CODEC_INT_MAX);
        note->try_no = (uint32_t)read_range(&r, 1, UINT32_MAX);
        note->grant_ms = (int64_t)read_uint(&r, DURATION_MS_MAX);
        note->bytes = read_bin(&r, NOTE_BYTES_MAX, &note->len);
    }
    return records_end(&r, n);
}

void grants_begin(batch_t *batch, buffer_t *b)
{
    proto_write(b, CMD_GRANTS, 2);
    batch_begin(batch, b);
}

void grants_add(batch_t *batch, const grant_record_t *g)
{
    buffer_t *b = batch->buffer;
    write_array(b, GRANT_FIELDS);
    write_uint(b, g->ref);
    write_uint(b, g->try_no);
    write_uint(b, g->granted);
    batch->count++;
}

int decode_grants(const void *frame, size_t len, grant_record_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, CMD_GRANTS, 2);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        grant_record_t *g = &ret[i];
        read_array(&r, GRANT_FIELDS, GRANT_FIELDS);
        g->ref = read_uint(&r, CODEC_INT_MAX);
        g->try_no = (uint32_t)read_range(&r, 1, UINT32_MAX);
        g->granted = read_uint(&r, 1) == 1;
    }
    return records_end(&r, n);
}

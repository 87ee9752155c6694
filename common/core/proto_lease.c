/* Commands of section 4 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>
#include <string.h>

enum {
    STEP_SHORT = 4,
    STEP_LONG = 9,
    STEP_NOTE = 10,
    DELIVERY_SHORT = 6,
    DELIVERY_TRIES = 7,
    DELIVERY_NOTES = 8,
    NOTE_FIELDS = 2,
    MASK_MAX = 255,
};

/* --- notes --- */

void note_write(buffer_t *b, const note_t *note)
{
    write_array(b, NOTE_FIELDS);
    write_uint(b, note->bit);
    write_bin(b, note->bytes, note->len);
}

static void read_note(reader_t *r, note_t *ret)
{
    read_array(r, NOTE_FIELDS, NOTE_FIELDS);
    ret->bit = (uint8_t)read_uint(r, LEGS_MAX - 1);
    ret->bytes = read_bin(r, NOTE_BYTES_MAX, &ret->len);
}

bool note_read(reader_t *r, note_t *ret)
{
    note_t note;
    if (r->failed || r->at == r->end) {
        return false;
    }
    read_note(r, &note);
    if (r->failed) {
        return false;
    }
    *ret = note;
    return true;
}

static void write_notes(buffer_t *b, const delivery_record_t *d)
{
    write_array(b, d->notes_count);
    if (d->notes_len > 0) {
        buffer_append(b, d->notes, d->notes_len);
    }
}

static void read_notes(reader_t *r, delivery_record_t *ret)
{
    uint32_t n = read_array(r, 0, LEGS_MAX);
    const uint8_t *from = r->at;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        note_t note = {0};
        read_note(r, &note);
        r->failed = r->failed || (seen >> note.bit & 1);
        seen |= 1U << note.bit;
    }
    ret->notes = from;
    ret->notes_len = r->failed ? 0 : (uint32_t)(r->at - from);
    ret->notes_count = r->failed ? 0 : n;
}

/* --- DELIVER --- */

void deliver_begin(batch_t *batch, buffer_t *b)
{
    proto_write(b, CMD_DELIVER, 2);
    batch_begin(batch, b);
}

/* How many of the counts have to be written: those behind the last that is not 0 need not. */
static uint32_t tries_count(const uint8_t tries[static LEGS_MAX])
{
    uint32_t n = LEGS_MAX;
    while (n > 0 && tries[n - 1] == 0) {
        n--;
    }
    return n;
}

void deliver_add(batch_t *batch, const delivery_record_t *d)
{
    buffer_t *b = batch->buffer;
    uint32_t tries = tries_count(d->tries);
    uint32_t fields = d->notes_count > 0 ? DELIVERY_NOTES : tries > 0 ? DELIVERY_TRIES : DELIVERY_SHORT;
    write_array(b, fields);
    write_message_id(b, d->id);
    write_uint(b, d->token);
    write_uint(b, d->legs);
    write_uint(b, d->deliveries);
    write_bin(b, d->body, d->body_len);
    if (fields >= DELIVERY_TRIES) {
        write_array(b, tries);
    }
    for (uint32_t i = 0; i < tries; i++) {
        write_uint(b, d->tries[i]);
    }
    if (fields == DELIVERY_NOTES) {
        write_notes(b, d);
    }
    batch->count++;
}

static void read_delivery(reader_t *r, delivery_record_t *ret)
{
    uint32_t fields = read_array(r, DELIVERY_SHORT, DELIVERY_NOTES);
    ret->id = read_message_id(r);
    ret->token = read_uint(r, CODEC_INT_MAX);
    ret->legs = (uint8_t)read_uint(r, MASK_MAX);
    ret->deliveries = (uint32_t)read_uint(r, UINT32_MAX);
    ret->body = read_bin(r, BODY_BYTES_MAX, &ret->body_len);
    memset(ret->tries, 0, sizeof ret->tries);
    uint32_t tries = fields >= DELIVERY_TRIES ? read_array(r, 0, LEGS_MAX) : 0;
    for (uint32_t i = 0; i < tries; i++) {
        ret->tries[i] = (uint8_t)read_uint(r, TRIES_MAX);
    }
    ret->notes = NULL;
    ret->notes_len = ret->notes_count = 0;
    if (fields == DELIVERY_NOTES) {
        read_notes(r, ret);
    }
}

/* --- PROGRESS --- */

int decode_deliver(const void *frame, size_t len, delivery_record_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, CMD_DELIVER, 2);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        read_delivery(&r, &ret[i]);
    }
    return records_end(&r, n);
}

void progress_begin(batch_t *batch, buffer_t *b, uint64_t no)
{
    proto_write(b, CMD_PROGRESS, 3);
    write_uint(b, no);
    batch_begin(batch, b);
}

void progress_add(batch_t *batch, const step_t *s)
{
    buffer_t *b = batch->buffer;
    /* Nearly every step says only that legs are done. */
    bool brief = s->bad == 0 && s->op == OP_NONE && s->ms == 0 && s->text.len == 0 && s->events_count == 0;
    write_array(b, s->op == OP_NOTE ? STEP_NOTE : brief ? STEP_SHORT : STEP_LONG);
    write_message_id(b, s->id);
    write_uint(b, s->token);
    write_uint(b, s->done);
    if (!brief) {
        write_uint(b, s->bad);
        write_uint(b, s->op);
        write_uint(b, (uint64_t)s->ms);
        write_text(b, s->text);
        write_events(b, s->events, s->events_len, s->events_count);
    }
    if (s->op == OP_NOTE) {
        note_write(b, &s->note);
    }
    batch->count++;
}

static bool is_try(const event_t *e)
{
    return e->bit != EVENT_MESSAGE;
}

static void read_step(reader_t *r, step_t *ret)
{
    uint32_t fields = read_array(r, STEP_SHORT, STEP_NOTE);
    ret->id = read_message_id(r);
    ret->token = read_uint(r, CODEC_INT_MAX);
    ret->done = (uint8_t)read_uint(r, MASK_MAX);
    ret->note = (note_t){0};
    if (fields >= STEP_LONG) {
        ret->bad = (uint8_t)read_uint(r, MASK_MAX);
        ret->op = (step_op_t)read_uint(r, OP_NOTE);
        ret->ms = (int64_t)read_uint(r, DURATION_MS_MAX);
        ret->text = read_text(r);
        ret->events = read_events(r, STEP_EVENTS_MAX, is_try, &ret->events_len, &ret->events_count);
        if (fields == STEP_NOTE) {
            read_note(r, &ret->note);
        }
        r->failed = r->failed || (fields == STEP_NOTE) != (ret->op == OP_NOTE);
        return;
    }
    if (fields != STEP_SHORT) {
        r->failed = true;
    }
    ret->bad = 0;
    ret->op = OP_NONE;
    ret->ms = 0;
    ret->text = (text_t){"", 0};
    ret->events = NULL;
    ret->events_len = 0;
    ret->events_count = 0;
}

int decode_progress(const void *frame, size_t len, uint64_t *ret_no, step_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, CMD_PROGRESS, 3);
    uint64_t no = read_range(&r, 1, CODEC_INT_MAX);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        read_step(&r, &ret[i]);
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret_no = no;
    }
    return rc;
}

void encode_settled(buffer_t *b, uint64_t no, const uint8_t *codes, uint32_t n)
{
    proto_write(b, CMD_SETTLED, 3);
    write_uint(b, no);
    write_bin(b, codes, n);
}

int decode_settled(const void *frame, size_t len, uint64_t *ret_no, const uint8_t **ret_codes)
{
    reader_t r;
    uint32_t n;
    proto_read(&r, frame, len, CMD_SETTLED, 3);
    uint64_t no = read_range(&r, 1, CODEC_INT_MAX);
    const uint8_t *codes = read_bin(&r, UINT32_MAX, &n);
    r.failed = r.failed || n > RECORDS_MAX;
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        r.failed = codes[i] >= STEP_CODES;
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret_no = no;
        *ret_codes = codes;
    }
    return rc;
}

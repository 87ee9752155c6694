/* Dead letters: DEAD and BURIED of section 6 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>

enum { DEAD_FIELDS = 9, FILTER_FIELDS = 6, BURIED_FIELDS = 8, LETTER_FIELDS = 10, MASK_MAX = 255 };

/* 0-0 stands for none. */
static message_id_t read_any_id(reader_t *r)
{
    message_id_t id;
    id.stream = read_uint(r, CODEC_INT_MAX);
    id.seq = read_uint(r, SEQ_MAX);
    if ((id.stream == 0) != (id.seq == 0)) {
        r->failed = true;
    }
    return id;
}

void encode_dead(buffer_t *b, const dead_t *d)
{
    proto_write(b, CMD_DEAD, DEAD_FIELDS);
    write_uint(b, d->version);
    write_uint(b, d->number);
    write_uint(b, d->act);
    write_array(b, FILTER_FIELDS);
    write_message_id(b, d->filter.id);
    write_text(b, d->filter.host);
    write_text(b, d->filter.reason);
    write_uint(b, d->filter.older_ms);
    write_uint(b, d->filter.newer_ms);
    write_message_id(b, d->after);
    write_uint(b, d->max);
    write_uint(b, d->legs);
}

int decode_dead(const void *frame, size_t len, dead_t *ret)
{
    reader_t r;
    dead_t d;
    proto_read(&r, frame, len, CMD_DEAD, DEAD_FIELDS);
    d.version = read_uint(&r, CODEC_INT_MAX);
    d.number = read_uint(&r, CODEC_INT_MAX);
    d.act = (act_t)read_uint(&r, ACTS - 1);
    read_array(&r, FILTER_FIELDS, FILTER_FIELDS);
    d.filter.id = read_any_id(&r);
    d.filter.host.bytes = read_str(&r, HOST_BYTES_MAX, &d.filter.host.len);
    d.filter.reason = read_text(&r);
    d.filter.older_ms = read_uint(&r, CODEC_INT_MAX);
    d.filter.newer_ms = read_uint(&r, CODEC_INT_MAX);
    d.after = read_any_id(&r);
    d.max = (uint32_t)read_range(&r, 1, LETTERS_MAX);
    /* Who names legs for another act means less than would be done. */
    d.legs = (uint8_t)read_uint(&r, d.act == ACT_DONE ? MASK_MAX : 0);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = d;
    return 0;
}

void buried_begin(batch_t *batch, buffer_t *b, uint64_t number)
{
    proto_write(b, CMD_BURIED, BURIED_FIELDS);
    write_uint(b, number);
    batch_begin(batch, b);
}

void buried_add(batch_t *batch, const letter_t *letter)
{
    buffer_t *b = batch->buffer;
    write_array(b, LETTER_FIELDS);
    write_message_id(b, letter->id);
    write_uint(b, letter->died_ms);
    write_uint(b, letter->legs);
    write_uint(b, letter->done);
    write_uint(b, letter->bad);
    write_uint(b, letter->deliveries);
    write_text(b, letter->reason);
    write_bin(b, letter->body, letter->body_len);
    write_events(b, letter->events, letter->events_len, letter->events_count);
    batch->count++;
}

void buried_end(batch_t *batch, const buried_t *rest)
{
    buffer_t *b = batch->buffer;
    batch_end(batch);
    write_uint(b, rest->count);
    write_message_id(b, rest->looked_to);
    write_uint(b, rest->more);
    write_legs(b, rest->legs_count, rest->legs);
}

static void read_letter(reader_t *r, letter_t *ret)
{
    read_array(r, LETTER_FIELDS, LETTER_FIELDS);
    ret->id = read_message_id(r);
    ret->died_ms = read_uint(r, CODEC_INT_MAX);
    ret->legs = (uint8_t)read_uint(r, MASK_MAX);
    ret->done = (uint8_t)read_uint(r, MASK_MAX);
    ret->bad = (uint8_t)read_uint(r, MASK_MAX);
    ret->deliveries = (uint32_t)read_uint(r, UINT32_MAX);
    ret->reason = read_text(r);
    ret->body = read_bin(r, BODY_BYTES_MAX, &ret->body_len);
    ret->events = read_events(r, HISTORY_BYTES_MAX, NULL, &ret->events_len, &ret->events_count);
}

int decode_buried(const void *frame, size_t len, buried_t *ret, letter_t *ret_letters)
{
    reader_t r;
    buried_t b = {0};
    proto_read(&r, frame, len, CMD_BURIED, BURIED_FIELDS);
    b.number = read_uint(&r, CODEC_INT_MAX);
    uint32_t n = read_array(&r, 0, LETTERS_MAX);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        read_letter(&r, &ret_letters[i]);
    }
    b.count = (uint32_t)read_uint(&r, UINT32_MAX);
    b.looked_to = read_any_id(&r);
    b.more = read_uint(&r, 1) == 1;
    b.legs_count = read_legs(&r, b.legs);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = b;
    return (int)n;
}

/* Commands of section 6 of docs/PROTOCOL.md. */
#include "common/core/proto_parts.h"

#include <errno.h>

void publish_begin(batch_t *batch, buffer_t *b, const publish_t *p)
{
    proto_write(b, CMD_PUBLISH, 5);
    write_uint(b, p->version);
    write_uint(b, p->session);
    write_uint(b, p->number);
    batch_begin(batch, b);
}

void publish_add(batch_t *batch, const void *body, size_t len)
{
    write_bin(batch->buffer, body, len);
    batch->count++;
}

int decode_publish(const void *frame, size_t len, publish_t *ret, text_t *ret_bodies)
{
    reader_t r;
    publish_t p;
    proto_read(&r, frame, len, CMD_PUBLISH, 5);
    p.version = read_uint(&r, CODEC_INT_MAX);
    p.session = read_range(&r, 1, CODEC_INT_MAX);
    p.number = read_range(&r, 1, CODEC_INT_MAX);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        ret_bodies[i].bytes = read_bin(&r, UINT32_MAX, &ret_bodies[i].len);
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret = p;
    }
    return rc;
}

void encode_confirm(buffer_t *b, const confirm_t *c, const refusal_t *refusals, uint32_t n)
{
    proto_write(b, CMD_CONFIRM, 7);
    write_uint(b, c->session);
    write_uint(b, c->number);
    write_message_id(b, c->first);
    write_uint(b, c->stored);
    write_array(b, n);
    for (uint32_t i = 0; i < n; i++) {
        write_array(b, 3);
        write_uint(b, refusals[i].place);
        write_uint(b, refusals[i].code);
        write_text(b, refusals[i].text);
    }
}

/* The ids first..first+stored-1 have to be ids; with nothing stored, stream and seq may be 0. */
static void check_stored(reader_t *r, const confirm_t *c)
{
    if (c->stored > 0 &&
        (c->first.stream == 0 || c->first.seq == 0 || c->first.seq + (c->stored - 1) > SEQ_MAX)) {
        r->failed = true;
    }
}

int decode_confirm(const void *frame, size_t len, confirm_t *ret, refusal_t *ret_refusals)
{
    reader_t r;
    confirm_t c;
    proto_read(&r, frame, len, CMD_CONFIRM, 7);
    c.session = read_range(&r, 1, CODEC_INT_MAX);
    c.number = read_range(&r, 1, CODEC_INT_MAX);
    c.first.stream = read_uint(&r, CODEC_INT_MAX);
    c.first.seq = read_uint(&r, SEQ_MAX);
    c.stored = (uint32_t)read_uint(&r, RECORDS_MAX);
    check_stored(&r, &c);
    uint32_t n = read_records(&r);
    for (uint32_t i = 0; i < n && !r.failed; i++) {
        refusal_t *refusal = &ret_refusals[i];
        read_array(&r, 3, 3);
        refusal->place = (uint32_t)read_uint(&r, RECORDS_MAX - 1);
        refusal->code = read_error_code(&r);
        refusal->text = read_text(&r);
    }
    int rc = records_end(&r, n);
    if (rc >= 0) {
        *ret = c;
    }
    return rc;
}

void encode_status(buffer_t *b)
{
    write_number(b, CMD_STATUS, PROTO_VERSION);
}

int decode_status(const void *frame, size_t len, uint64_t *ret_version)
{
    return read_number(frame, len, CMD_STATUS, CODEC_INT_MAX, ret_version);
}

void encode_report(buffer_t *b, const char *json, size_t len)
{
    proto_write(b, CMD_REPORT, 2);
    write_str(b, json, len);
}

int decode_report(const void *frame, size_t len, text_t *ret_json)
{
    reader_t r;
    text_t json;
    proto_read(&r, frame, len, CMD_REPORT, 2);
    json.bytes = read_str(&r, UINT32_MAX, &json.len);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret_json = json;
    return 0;
}

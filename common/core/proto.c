#include "common/core/proto.h"
#include "common/core/proto_parts.h"
#include "common/core/utf8.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

const char *error_name(unsigned code)
{
    static const char *const names[] = {
        [ERR_MALFORMED] = "MALFORMED", [ERR_VERSION] = "VERSION", [ERR_UNKNOWN] = "UNKNOWN",
        [ERR_ROLE] = "ROLE",           [ERR_KIND] = "KIND",       [ERR_LIMIT] = "LIMIT",
        [ERR_FULL] = "FULL",           [ERR_BODY] = "BODY",       [ERR_GAP] = "GAP",
        [ERR_DRAINING] = "DRAINING",   [ERR_STORE] = "STORE",
    };
    return code >= ERR_MALFORMED && code <= ERR_STORE ? names[code] : "no such error";
}

static int malformed(const char **ret_why, const char *why)
{
    if (ret_why != NULL) {
        *ret_why = why;
    }
    return -EPROTO;
}

int proto_command(const void *frame, size_t len, const char **ret_why)
{
    reader_t r;
    if (len > FRAME_BYTES_MAX) {
        return malformed(ret_why, "is longer than a frame may be");
    }
    if (codec_check(frame, len, ret_why) != 0) {
        return -EPROTO;
    }
    reader_init(&r, frame, len);
    uint32_t fields = read_array(&r, 1, UINT32_MAX);
    if (r.failed) {
        return malformed(ret_why, "is not an array of a command");
    }
    uint64_t command = read_uint(&r, CODEC_INT_MAX);
    if (r.failed) {
        return malformed(ret_why, "has no command number");
    }
    /* These two have nothing to decode, so nobody else counts their fields. */
    if ((command == CMD_WHO || command == CMD_BYE) && fields != 1) {
        return malformed(ret_why, "has fields where none belong");
    }
    return command > INT_MAX ? INT_MAX : (int)command;
}

/* --- parts --- */

void proto_write(buffer_t *b, command_t command, uint32_t fields)
{
    write_array(b, fields);
    write_uint(b, command);
}

void proto_read(reader_t *r, const void *frame, size_t len, command_t command, uint32_t fields)
{
    reader_init(r, frame, len);
    read_array(r, fields, fields);
    read_range(r, command, command);
}

uint64_t read_range(reader_t *r, uint64_t min, uint64_t max)
{
    uint64_t v = read_uint(r, max);
    if (v < min) {
        r->failed = true;
    }
    return v;
}

void write_message_id(buffer_t *b, message_id_t id)
{
    write_uint(b, id.stream);
    write_uint(b, id.seq);
}

message_id_t read_message_id(reader_t *r)
{
    message_id_t id;
    id.stream = read_range(r, 1, CODEC_INT_MAX);
    id.seq = read_range(r, 1, SEQ_MAX);
    return id;
}

static void write_clean(buffer_t *b, text_t text, uint32_t bytes_max)
{
    char clean[TEXT_BYTES_MAX];
    uint32_t len = text.len > bytes_max ? bytes_max : text.len;
    uint32_t good = (uint32_t)utf8_prefix(text.bytes, len);
    if (good == len) {
        write_str(b, text.bytes, len);
        return;
    }
    memcpy(clean, text.bytes, len);
    while (good < len) {
        clean[good++] = '?';
        good += (uint32_t)utf8_prefix(clean + good, len - good);
    }
    write_str(b, clean, len);
}

void write_text(buffer_t *b, text_t text)
{
    write_clean(b, text, TEXT_BYTES_MAX);
}

void write_label(buffer_t *b, text_t label)
{
    write_clean(b, label, LABEL_BYTES_MAX);
}

text_t read_label(reader_t *r)
{
    text_t label;
    label.bytes = read_str(r, LABEL_BYTES_MAX, &label.len);
    return label;
}

text_t read_text(reader_t *r)
{
    text_t text;
    text.bytes = read_str(r, TEXT_BYTES_MAX, &text.len);
    return text;
}

void write_name(buffer_t *b, const char *name)
{
    write_str(b, name, strlen(name));
}

void read_name(reader_t *r, char ret[static NAME_BYTES_MAX + 1])
{
    uint32_t len;
    const char *name = read_str(r, NAME_BYTES_MAX, &len);
    if (name_check(name, len) != 0) {
        r->failed = true;
        return;
    }
    memcpy(ret, name, len);
    ret[len] = '\0';
}

void read_no_name(reader_t *r, char ret[static NAME_BYTES_MAX + 1])
{
    uint32_t len;
    read_str(r, 0, &len);
    ret[0] = '\0';
}

void write_number(buffer_t *b, command_t command, uint64_t v)
{
    proto_write(b, command, 2);
    write_uint(b, v);
}

int read_number(const void *frame, size_t len, command_t command, uint64_t max, uint64_t *ret)
{
    reader_t r;
    proto_read(&r, frame, len, command, 2);
    uint64_t v = read_uint(&r, max);
    if (reader_end(&r) != 0) {
        return -EPROTO;
    }
    *ret = v;
    return 0;
}

unsigned read_error_code(reader_t *r)
{
    return (unsigned)read_range(r, ERR_MALFORMED, ERR_STORE);
}

/* --- batches --- */

void batch_begin(batch_t *batch, buffer_t *b)
{
    *batch = (batch_t){.buffer = b, .place = write_array_begin(b)};
}

bool batch_full(const batch_t *batch)
{
    return batch->count >= RECORDS_MAX || batch->buffer->len >= FRAME_BYTES_FULL;
}

void batch_end(batch_t *batch)
{
    write_array_end(batch->buffer, batch->place, batch->count);
}

uint32_t read_records(reader_t *r)
{
    uint32_t n = read_array(r, 0, UINT32_MAX);
    if (n > RECORDS_MAX) {
        r->failed = true;
    }
    return n;
}

int records_end(const reader_t *r, uint32_t n)
{
    return reader_end(r) == 0 ? (int)n : n > RECORDS_MAX ? -E2BIG : -EPROTO;
}

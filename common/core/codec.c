#include "common/core/codec.h"

#include <assert.h>
#include <msgpack/pack.h>
#include <string.h>

/* Inlined into each writer with its few bytes of a known number, where a call of buffer_append() would take
 * longer than the copy. */
static inline int to_buffer(void *buffer, const char *bytes, size_t n)
{
    buffer_t *b = buffer;
    if (n == 0 || b->failed || b->cap - b->len < n) {
        buffer_append(b, bytes, n);
    } else {
        memcpy(b->data + b->len, bytes, n);
        b->len += n;
    }
    return 0; /* a failure stays in the buffer */
}

static inline msgpack_packer packer(buffer_t *b)
{
    return (msgpack_packer){.data = b, .callback = to_buffer};
}

void write_array(buffer_t *b, uint32_t n)
{
    msgpack_packer p = packer(b);
    msgpack_pack_array(&p, n);
}

void write_map(buffer_t *b, uint32_t n)
{
    msgpack_packer p = packer(b);
    msgpack_pack_map(&p, n);
}

void write_uint(buffer_t *b, uint64_t v)
{
    msgpack_packer p = packer(b);
    msgpack_pack_uint64(&p, v);
}

void write_int(buffer_t *b, int64_t v)
{
    msgpack_packer p = packer(b);
    msgpack_pack_int64(&p, v);
}

void write_real(buffer_t *b, double v)
{
    msgpack_packer p = packer(b);
    msgpack_pack_double(&p, v);
}

void write_bool(buffer_t *b, bool v)
{
    msgpack_packer p = packer(b);
    if (v) {
        msgpack_pack_true(&p);
    } else {
        msgpack_pack_false(&p);
    }
}

void write_nil(buffer_t *b)
{
    msgpack_packer p = packer(b);
    msgpack_pack_nil(&p);
}

void write_str(buffer_t *b, const char *s, size_t len)
{
    assert(len <= UINT32_MAX);
    msgpack_packer p = packer(b);
    msgpack_pack_str_with_body(&p, s, len);
}

void write_str_head(buffer_t *b, uint32_t len)
{
    msgpack_packer p = packer(b);
    msgpack_pack_str(&p, len);
}

void write_bin(buffer_t *b, const void *bytes, size_t len)
{
    assert(len <= UINT32_MAX);
    msgpack_packer p = packer(b);
    msgpack_pack_bin_with_body(&p, bytes, len);
}

size_t write_array_begin(buffer_t *b)
{
    /* array32 whatever the length will be: its four bytes can be filled in later. */
    static const uint8_t array32[5] = {0xdd};
    size_t place = b->len;
    buffer_append(b, array32, sizeof array32);
    return place;
}

void write_array_end(buffer_t *b, size_t place, uint32_t n)
{
    if (b->failed) {
        return;
    }
    assert(place + 5 <= b->len && b->data[place] == 0xdd);
    for (int i = 0; i < 4; i++) {
        b->data[place + 1 + i] = (uint8_t)(n >> (24 - 8 * i));
    }
}

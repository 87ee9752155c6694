/* codec_check() and the reader against msgpack-c's own unpacker: what both have to agree on. */
#ifndef MANDRILL_TEST_CODEC_ORACLE_H
#define MANDRILL_TEST_CODEC_ORACLE_H

#include "common/core/codec.h"

#include <jansson.h>
#include <msgpack.h>
#include <string.h>

static inline bool text_is_good(const char *s, size_t len)
{
    if (len == 0) {
        return true; /* msgpack-c has no pointer for it */
    }
    json_t *v = json_stringn(s, len);
    bool good = v != NULL;
    json_decref(v);
    return good;
}

static inline bool same_text(const msgpack_object_str *a, const msgpack_object_str *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->ptr, b->ptr, a->size) == 0);
}

static inline bool object_is_good(const msgpack_object *o, unsigned open);

static inline bool map_is_good(const msgpack_object_map *m, unsigned open)
{
    if (m->size > CODEC_MAP_KEYS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < m->size; i++) {
        const msgpack_object *key = &m->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR || !object_is_good(key, open) ||
            !object_is_good(&m->ptr[i].val, open)) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (same_text(&m->ptr[k].key.via.str, &key->via.str)) {
                return false;
            }
        }
    }
    return true;
}

static inline bool object_is_good(const msgpack_object *o, unsigned open)
{
    switch (o->type) {
    case MSGPACK_OBJECT_STR:
        return text_is_good(o->via.str.ptr, o->via.str.size);
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < o->via.array.size; i++) {
            if (!object_is_good(&o->via.array.ptr[i], open + 1)) {
                return false;
            }
        }
        return open < CODEC_DEPTH_MAX;
    case MSGPACK_OBJECT_MAP:
        return open < CODEC_DEPTH_MAX && map_is_good(&o->via.map, open + 1);
    case MSGPACK_OBJECT_EXT:
        return false;
    default:
        return true;
    }
}

/* msgpack-c reserves memory for whatever an array announces. Where it would take more than a few MB it is not
 * asked: such a count is always beyond the bytes of these frames, so a refusal is right. */
static inline bool is_too_dear(const uint8_t *frame, size_t len)
{
    for (size_t i = 0; i + 4 < len; i++) {
        if ((frame[i] == 0xdd || frame[i] == 0xdf) && (frame[i + 1] != 0 || frame[i + 2] > 1)) {
            return true;
        }
    }
    return false;
}

static inline bool same_bytes(const char *a, uint32_t a_len, const value_t *v)
{
    return a_len == v->len && (a_len == 0 || memcmp(a, v->bytes, a_len) == 0);
}

static inline bool same_integer(const msgpack_object *o, int64_t integer)
{
    return o->type == (integer < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER) &&
           o->via.i64 == integer;
}

/* Bit by bit: NaN too. */
static inline bool same_real(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static inline bool same_object(const msgpack_object *o, reader_t *r)
{
    value_t v;
    bool same;
    if (!read_value(r, &v)) {
        return false;
    }
    switch (v.type) {
    case VALUE_NIL:
        return o->type == MSGPACK_OBJECT_NIL;
    case VALUE_BOOL:
        return o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean == v.as.boolean;
    case VALUE_INT:
        return same_integer(o, v.as.integer);
    case VALUE_UINT:
        return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 == v.as.natural &&
               v.as.natural > INT64_MAX;
    case VALUE_REAL:
        return (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64) &&
               same_real(o->via.f64, v.as.real);
    case VALUE_STR:
        return o->type == MSGPACK_OBJECT_STR && same_bytes(o->via.str.ptr, o->via.str.size, &v);
    case VALUE_BIN:
        return o->type == MSGPACK_OBJECT_BIN && same_bytes(o->via.bin.ptr, o->via.bin.size, &v);
    case VALUE_ARRAY:
        same = o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size == v.as.count;
        for (uint32_t i = 0; same && i < v.as.count; i++) {
            same = same_object(&o->via.array.ptr[i], r);
        }
        return same;
    case VALUE_MAP:
        same = o->type == MSGPACK_OBJECT_MAP && o->via.map.size == v.as.count;
        for (uint32_t i = 0; same && i < v.as.count; i++) {
            same = same_object(&o->via.map.ptr[i].key, r) && same_object(&o->via.map.ptr[i].val, r);
        }
        return same;
    }
    return false;
}

typedef enum { ORACLE_TAKEN, ORACLE_REFUSED, ORACLE_NOT_ASKED } oracle_verdict_t;

/* NULL: both take the frame and read the same from it, or both refuse it (*ret_why tells for what, and is
 * else as it was). Else what they disagree on. */
static inline const char *codec_oracle(const uint8_t *frame, size_t len, const char **ret_why,
                                       oracle_verdict_t *ret_verdict)
{
    bool good = codec_check(frame, len, ret_why) == 0;
    oracle_verdict_t verdict = good ? ORACLE_TAKEN : ORACLE_REFUSED;
    const char *difference = NULL;
    if (!good && is_too_dear(frame, len)) {
        verdict = ORACLE_NOT_ASKED;
    } else {
        msgpack_unpacked unpacked;
        size_t end = 0;
        msgpack_unpacked_init(&unpacked);
        msgpack_unpack_return rc = msgpack_unpack_next(&unpacked, (const char *)frame, len, &end);
        bool expected = rc == MSGPACK_UNPACK_SUCCESS && end == len && object_is_good(&unpacked.data, 0);
        if (good != expected) {
            difference = good ? "taken, should be refused" : "refused, should be taken";
        } else if (good) {
            reader_t r;
            reader_init(&r, frame, len);
            if (!same_object(&unpacked.data, &r) || reader_end(&r) != 0) {
                difference = "read as something else";
            }
        }
        msgpack_unpacked_destroy(&unpacked);
    }
    if (ret_verdict != NULL) {
        *ret_verdict = verdict;
    }
    return difference;
}

#endif

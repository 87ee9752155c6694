/* Frames for tests, written as JSON: arrays, objects, numbers, true, false and null become the MessagePack of
 * the same kind, a string becomes a str. What JSON lacks is a string with a prefix: "bin:..." for bytes,
 * "uint:9223372036854775808" for integers above 2^63-1. */
#ifndef MANDRILL_TEST_FRAME_JSON_H
#define MANDRILL_TEST_FRAME_JSON_H

#include "common/core/codec.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static inline void frame_string(buffer_t *b, const char *s, size_t len)
{
    if (strncmp(s, "bin:", 4) == 0) {
        write_bin(b, s + 4, len - 4);
    } else if (strncmp(s, "uint:", 5) == 0) {
        write_uint(b, strtoull(s + 5, NULL, 10));
    } else {
        write_str(b, s, len);
    }
}

static inline void frame_value(buffer_t *b, const json_t *v)
{
    const char *key;
    json_t *member;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        write_map(b, (uint32_t)json_object_size(v));
        json_object_foreach((json_t *)v, key, member)
        {
            write_str(b, key, strlen(key));
            frame_value(b, member);
        }
        return;
    case JSON_ARRAY:
        write_array(b, (uint32_t)json_array_size(v));
        for (size_t i = 0; i < json_array_size(v); i++) {
            frame_value(b, json_array_get(v, i));
        }
        return;
    case JSON_STRING:
        frame_string(b, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        write_int(b, json_integer_value(v));
        return;
    case JSON_REAL:
        write_real(b, json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        write_bool(b, json_is_true(v));
        return;
    case JSON_NULL:
        write_nil(b);
        return;
    }
}

static inline json_t *parse_json(const char *text)
{
    json_error_t error;
    json_t *v = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (v == NULL) {
        fail_msg("the test's own JSON is wrong: %s in %s", error.text, text);
    }
    return v;
}

/* Replaces what is in `b`. */
static inline void frame_json(buffer_t *b, const char *text)
{
    json_t *v = parse_json(text);
    buffer_clear(b);
    frame_value(b, v);
    json_decref(v);
    assert_false(b->failed);
}

#endif

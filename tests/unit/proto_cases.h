/* What the tests of the proto_*.c files share: a frame written as JSON is decoded, and its neighbours, which
 * are wrong by one element, have to be refused. */
#ifndef MANDRILL_TEST_PROTO_CASES_H
#define MANDRILL_TEST_PROTO_CASES_H

#include "common/core/proto.h"
#include "frame_json.h"

#include <errno.h>

/* Decodes the frame and returns what the decoder did; fails the test when a refusal touched a result. */
typedef int decode_fn(const buffer_t *frame);

/* Also the value of bytes that a refused decoder must not have written. */
enum { UNTOUCHED = 0xa5 };

static inline void assert_untouched(int rc, const void *ret, size_t len)
{
    const uint8_t *bytes = ret;
    for (size_t i = 0; rc < 0 && i < len; i++) {
        assert_int_equal(bytes[i], UNTOUCHED);
    }
}

static inline void assert_command(const buffer_t *b, int expected)
{
    assert_false(b->failed);
    assert_int_equal(proto_command(b->data, b->len, NULL), expected);
}

static inline void expect(decode_fn *decode, const char *json, int expected)
{
    buffer_t b;
    buffer_init(&b);
    frame_json(&b, json);
    int rc = decode(&b);
    if (rc != expected) {
        fail_msg("%s: %d, should be %d", json, rc, expected);
    }
    buffer_done(&b);
}

static inline void refuse(decode_fn *decode, const char *json)
{
    expect(decode, json, -EPROTO);
}

static inline void refuse_value(decode_fn *decode, const json_t *v, const char *what)
{
    buffer_t b;
    buffer_init(&b);
    frame_value(&b, v);
    int rc = decode(&b);
    if (rc != -EPROTO) {
        char *text = json_dumps(v, JSON_ENCODE_ANY);
        fail_msg("%s: %d for %s", what, rc, text);
    }
    buffer_done(&b);
}

/* Each element of `array`, which lies somewhere in `frame`, and of the arrays in it: left out, doubled, or of
 * a type that no field has. */
static inline void refuse_neighbours(decode_fn *decode, json_t *frame, json_t *array, bool fixed_length)
{
    static const char *const wrong[] = {
        "null", "true", "-1", "1.5", "{}", "[[]]", "\"uint:9223372036854775808\""};
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_t *old = json_incref(json_array_get(array, i));
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            json_array_set_new(array, i, parse_json(wrong[k]));
            refuse_value(decode, frame, "an element of another type");
            json_array_set(array, i, old);
        }
        if (fixed_length) {
            json_array_insert(array, i, old);
            refuse_value(decode, frame, "an element too many");
            json_array_remove(array, i);
            json_array_remove(array, i);
            refuse_value(decode, frame, "an element too few");
            json_array_insert(array, i, old);
        }
        if (json_is_array(old)) {
            /* A command holds a list of records, and a record is of a fixed length again. */
            refuse_neighbours(decode, frame, old, !fixed_length);
        }
        json_decref(old);
    }
}

/* The frame is taken with the result `expected`, its neighbours are not; neither is it under another number,
 * nor any part of it. */
static inline void expect_only(decode_fn *decode, const char *json, int expected)
{
    json_t *frame = parse_json(json);
    expect(decode, json, expected);
    refuse_neighbours(decode, frame, frame, true);
    json_int_t command = json_integer_value(json_array_get(frame, 0));
    for (json_int_t other = 0; other <= 43; other++) {
        json_array_set_new(frame, 0, json_integer(other));
        if (other != command) {
            refuse_value(decode, frame, "another command");
        }
    }
    json_decref(frame);
    buffer_t b;
    buffer_init(&b);
    frame_json(&b, json);
    assert_int_equal(proto_command(b.data, b.len, NULL), command);
    for (size_t whole = b.len, len = 0; len < whole; len++) {
        b.len = len;
        assert_int_equal(proto_command(b.data, len, NULL), -EPROTO);
        assert_int_equal(decode(&b), -EPROTO);
    }
    buffer_done(&b);
}

#endif

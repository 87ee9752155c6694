/* MessagePack, which nothing else knows: a writer over msgpack-c's packer, a bounded check of whole
 * frames, and a reader that walks checked bytes in place. Rules of frames: docs/PROTOCOL.md section 2.
 *
 * Ownership: strings and bytes that a reader returns point into the frame and have no NUL behind them.
 * Errors: writers fail through their buffer (buffer_t.failed); readers are sticky: after the first fault
 * every call returns 0 / empty and reader_end() tells. Nothing here allocates but the writer's buffer. */
#ifndef MANDRILL_CODEC_H
#define MANDRILL_CODEC_H

#include "common/core/buffer.h"

enum { CODEC_DEPTH_MAX = 8, CODEC_MAP_KEYS_MAX = 64 };
#define CODEC_INT_MAX INT64_MAX /* the protocol's uint: 0..2^63-1 */

/* One pass over the whole frame: 0, or -EPROTO with *ret_why (static text, "nests deeper than 8") when given.
 * Map keys have to be strings and at most CODEC_MAP_KEYS_MAX: no command needs more, and it bounds the search
 * for keys that come twice. */
int codec_check(const void *frame, size_t len, const char **ret_why);

void write_array(buffer_t *b, uint32_t n);
void write_map(buffer_t *b, uint32_t n);
void write_uint(buffer_t *b, uint64_t v);
void write_int(buffer_t *b, int64_t v);
void write_real(buffer_t *b, double v);
void write_bool(buffer_t *b, bool v);
void write_nil(buffer_t *b);
void write_str(buffer_t *b, const char *s, size_t len);
/* Of a string whose `len` bytes the caller appends himself. */
void write_str_head(buffer_t *b, uint32_t len);
void write_bin(buffer_t *b, const void *bytes, size_t len);
/* An array whose length is not known yet: begin returns its place, end fills in the number of elements
 * written since. */
size_t write_array_begin(buffer_t *b);
void write_array_end(buffer_t *b, size_t place, uint32_t n);

typedef enum {
    VALUE_NIL,
    VALUE_BOOL,
    VALUE_INT,  /* anything that fits int64 */
    VALUE_UINT, /* 2^63 and above */
    VALUE_REAL,
    VALUE_STR,
    VALUE_BIN,
    VALUE_ARRAY,
    VALUE_MAP,
} value_type_t;

typedef struct {
    value_type_t type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        uint32_t count; /* elements of an array, pairs of a map; they follow */
    } as;
    const char *bytes; /* STR, BIN */
    uint32_t len;
} value_t;

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
} reader_t;

void reader_init(reader_t *r, const void *frame, size_t len);
/* The next value; containers only as their header. */
bool read_value(reader_t *r, value_t *ret);
/* Each fails the reader when the next value has another type or lies outside the limits. */
uint32_t read_array(reader_t *r, uint32_t min, uint32_t max);
uint32_t read_map(reader_t *r, uint32_t max_pairs);
uint64_t read_uint(reader_t *r, uint64_t max);
const char *read_str(reader_t *r, uint32_t max, uint32_t *ret_len);
const void *read_bin(reader_t *r, uint32_t max, uint32_t *ret_len);
/* 0 when all was read and nothing failed, else -EPROTO. */
int reader_end(const reader_t *r);

#endif

/* The check and the reader: both walk the bytes with take(). */
#include "common/core/codec.h"
#include "common/core/utf8.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* --- one value --- */

/* What the first bytes 0xc0..0xdf announce, and how many bytes of argument (a value or a length) follow. The
 * other first bytes carry their argument in themselves. */
typedef enum {
    HEAD_NIL,
    HEAD_FALSE,
    HEAD_TRUE,
    HEAD_FLOAT,
    HEAD_DOUBLE,
    HEAD_UINT,
    HEAD_INT,
    HEAD_LAST_PLAIN = HEAD_INT,
    HEAD_NONE,
    HEAD_EXT,
    HEAD_STR,
    HEAD_BIN,
    HEAD_ARRAY,
    HEAD_MAP,
} head_t;

static const struct {
    uint8_t head;
    uint8_t bytes;
} heads[32] = {
    [0x00] = {HEAD_NIL, 0},   [0x01] = {HEAD_NONE, 0},  [0x02] = {HEAD_FALSE, 0}, [0x03] = {HEAD_TRUE, 0},
    [0x04] = {HEAD_BIN, 1},   [0x05] = {HEAD_BIN, 2},   [0x06] = {HEAD_BIN, 4},   [0x07] = {HEAD_EXT, 0},
    [0x08] = {HEAD_EXT, 0},   [0x09] = {HEAD_EXT, 0},   [0x0a] = {HEAD_FLOAT, 4}, [0x0b] = {HEAD_DOUBLE, 8},
    [0x0c] = {HEAD_UINT, 1},  [0x0d] = {HEAD_UINT, 2},  [0x0e] = {HEAD_UINT, 4},  [0x0f] = {HEAD_UINT, 8},
    [0x10] = {HEAD_INT, 1},   [0x11] = {HEAD_INT, 2},   [0x12] = {HEAD_INT, 4},   [0x13] = {HEAD_INT, 8},
    [0x14] = {HEAD_EXT, 0},   [0x15] = {HEAD_EXT, 0},   [0x16] = {HEAD_EXT, 0},   [0x17] = {HEAD_EXT, 0},
    [0x18] = {HEAD_EXT, 0},   [0x19] = {HEAD_STR, 1},   [0x1a] = {HEAD_STR, 2},   [0x1b] = {HEAD_STR, 4},
    [0x1c] = {HEAD_ARRAY, 2}, [0x1d] = {HEAD_ARRAY, 4}, [0x1e] = {HEAD_MAP, 2},   [0x1f] = {HEAD_MAP, 4},
};

static const char cut_short[] = "ends in the middle of a value";

static inline uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t load(const uint8_t *p, unsigned bytes)
{
    switch (bytes) {
    case 1:
        return p[0];
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        return load32(p);
    case 8:
        return (uint64_t)load32(p) << 32 | load32(p + 4);
    default:
        return 0;
    }
}

/* An argument of 1, 2, 4 or 8 bytes as two's complement. */
static inline int64_t sign_extend(uint64_t v, unsigned bytes)
{
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    return (int64_t)((v ^ sign) - sign);
}

static inline double to_real(uint64_t bits, unsigned bytes)
{
    double real;
    float single;
    if (bytes == 8) {
        memcpy(&real, &bits, sizeof real);
        return real;
    }
    uint32_t low = (uint32_t)bits;
    memcpy(&single, &low, sizeof single);
    return single;
}

/* A string or bytes of `len`: the place behind them. */
static inline const uint8_t *take_bytes(const uint8_t *at, const uint8_t *end, value_type_t type,
                                        uint64_t len, value_t *ret, const char **why)
{
    if (len > (uint64_t)(end - at)) {
        *why = cut_short;
        return NULL;
    }
    *ret = (value_t){.type = type, .bytes = (const char *)at, .len = (uint32_t)len};
    return at + len;
}

/* The header of a container. Each element takes a byte at least, so a larger count is a lie, found before
 * anybody makes room for it. */
static inline const uint8_t *take_count(const uint8_t *at, const uint8_t *end, value_type_t type,
                                        uint64_t count, value_t *ret, const char **why)
{
    if ((type == VALUE_MAP ? 2 * count : count) > (uint64_t)(end - at)) {
        *why = "announces more elements than bytes are left";
        return NULL;
    }
    *ret = (value_t){.type = type, .as.count = (uint32_t)count};
    return at;
}

static const uint8_t *take_long(const uint8_t *at, const uint8_t *end, uint8_t first, value_t *ret,
                                const char **why)
{
    unsigned bytes = heads[first - 0xc0].bytes;
    if (bytes > (size_t)(end - at)) {
        *why = cut_short;
        return NULL;
    }
    uint64_t v = load(at, bytes);
    at += bytes;
    switch ((head_t)heads[first - 0xc0].head) {
    case HEAD_UINT:
        if (v > INT64_MAX) {
            *ret = (value_t){.type = VALUE_UINT, .as.natural = v};
        } else {
            *ret = (value_t){.type = VALUE_INT, .as.integer = (int64_t)v};
        }
        return at;
    case HEAD_INT:
        *ret = (value_t){.type = VALUE_INT, .as.integer = sign_extend(v, bytes)};
        return at;
    case HEAD_STR:
        return take_bytes(at, end, VALUE_STR, v, ret, why);
    case HEAD_BIN:
        return take_bytes(at, end, VALUE_BIN, v, ret, why);
    case HEAD_ARRAY:
        return take_count(at, end, VALUE_ARRAY, v, ret, why);
    case HEAD_MAP:
        return take_count(at, end, VALUE_MAP, v, ret, why);
    case HEAD_FLOAT:
    case HEAD_DOUBLE:
        *ret = (value_t){.type = VALUE_REAL, .as.real = to_real(v, bytes)};
        return at;
    case HEAD_FALSE:
    case HEAD_TRUE:
        *ret = (value_t){.type = VALUE_BOOL, .as.boolean = first == 0xc3};
        return at;
    case HEAD_NIL:
        *ret = (value_t){.type = VALUE_NIL};
        return at;
    case HEAD_EXT:
        *why = "holds an extension type";
        return NULL;
    case HEAD_NONE:
        break;
    }
    *why = "holds a byte that begins no value";
    return NULL;
}

/* The value at `at`, containers only as their header: the place behind it, or NULL with the fault in *why. */
static inline const uint8_t *take(const uint8_t *at, const uint8_t *end, value_t *ret, const char **why)
{
    if (at == end) {
        *why = cut_short;
        return NULL;
    }
    uint8_t first = *at++;
    if (first < 0x80 || first >= 0xe0) {
        *ret = (value_t){.type = VALUE_INT, .as.integer = (int8_t)first};
        return at;
    }
    if (first >= 0xc0) {
        return take_long(at, end, first, ret, why);
    }
    if (first >= 0xa0) {
        return take_bytes(at, end, VALUE_STR, first & 0x1f, ret, why);
    }
    return take_count(at, end, first >= 0x90 ? VALUE_ARRAY : VALUE_MAP, first & 0x0f, ret, why);
}

/* --- the check --- */

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    const char *why;
} walk_t;

static bool fault(walk_t *w, const char *why)
{
    w->why = why;
    return false;
}

static bool check_str(walk_t *w, const value_t *v)
{
    return utf8_prefix(v->bytes, v->len) == v->len || fault(w, "holds a string that is not UTF-8");
}

static bool check_value(walk_t *w, unsigned open);

static bool check_map(walk_t *w, uint32_t pairs, unsigned open)
{
    value_t keys[CODEC_MAP_KEYS_MAX];
    if (pairs > CODEC_MAP_KEYS_MAX) {
        return fault(w, "holds a map of more than 64 keys");
    }
    for (uint32_t i = 0; i < pairs; i++) {
        value_t *key = &keys[i];
        w->at = take(w->at, w->end, key, &w->why);
        if (w->at == NULL) {
            return false;
        }
        if (key->type != VALUE_STR) {
            return fault(w, "holds a map key that is not a string");
        }
        for (uint32_t k = 0; k < i; k++) {
            if (keys[k].len == key->len && memcmp(keys[k].bytes, key->bytes, key->len) == 0) {
                return fault(w, "holds a map key twice");
            }
        }
        if (!check_str(w, key) || !check_value(w, open)) {
            return false;
        }
    }
    return true;
}

/* Numbers, nil and booleans, which most of a frame is made of: nothing to check but that they are all there.
 */
static inline bool skip_plain(walk_t *w)
{
    size_t left = (size_t)(w->end - w->at);
    uint8_t first = left > 0 ? *w->at : 0xc1;
    size_t bytes;
    if (first < 0x80 || first >= 0xe0) {
        bytes = 1;
    } else if (first >= 0xc0 && heads[first - 0xc0].head <= HEAD_LAST_PLAIN) {
        bytes = 1 + (size_t)heads[first - 0xc0].bytes;
    } else {
        return false;
    }
    if (bytes > left) {
        return false;
    }
    w->at += bytes;
    return true;
}

/* `open` is how many containers are around the value: the recursion ends at CODEC_DEPTH_MAX. */
static bool check_value(walk_t *w, unsigned open)
{
    value_t v;
    w->at = take(w->at, w->end, &v, &w->why);
    if (w->at == NULL) {
        return false;
    }
    if (v.type == VALUE_STR) {
        return check_str(w, &v);
    }
    if (v.type != VALUE_ARRAY && v.type != VALUE_MAP) {
        return true;
    }
    if (open == CODEC_DEPTH_MAX) {
        return fault(w, "nests deeper than 8");
    }
    if (v.type == VALUE_MAP) {
        return check_map(w, v.as.count, open + 1);
    }
    for (uint32_t i = 0; i < v.as.count; i++) {
        if (!skip_plain(w) && !check_value(w, open + 1)) {
            return false;
        }
    }
    return true;
}

int codec_check(const void *frame, size_t len, const char **ret_why)
{
    walk_t w = {.at = frame, .end = len == 0 ? frame : (const uint8_t *)frame + len};
    if (len == 0) {
        w.why = "is empty";
    } else if (check_value(&w, 0)) {
        if (w.at == w.end) {
            return 0;
        }
        w.why = "has bytes behind its end";
    }
    if (ret_why != NULL) {
        *ret_why = w.why;
    }
    return -EPROTO;
}

/* --- the reader --- */

void reader_init(reader_t *r, const void *frame, size_t len)
{
    /* Nothing may be given as NULL, from which C counts no further, not even by 0. */
    *r = (reader_t){.at = frame, .end = len > 0 ? (const uint8_t *)frame + len : frame};
}

static inline bool next(reader_t *r, value_t *ret)
{
    const char *why;
    const uint8_t *at = r->failed ? NULL : take(r->at, r->end, ret, &why);
    r->failed = at == NULL;
    r->at = r->failed ? r->at : at;
    return !r->failed;
}

bool read_value(reader_t *r, value_t *ret)
{
    return next(r, ret);
}

static inline bool next_of(reader_t *r, value_type_t type, value_t *ret)
{
    r->failed = !next(r, ret) || ret->type != type;
    return !r->failed;
}

uint32_t read_array(reader_t *r, uint32_t min, uint32_t max)
{
    value_t v;
    if (!next_of(r, VALUE_ARRAY, &v)) {
        return 0;
    }
    if (v.as.count < min || v.as.count > max) {
        r->failed = true;
        return 0;
    }
    return v.as.count;
}

uint32_t read_map(reader_t *r, uint32_t max_pairs)
{
    value_t v;
    if (!next_of(r, VALUE_MAP, &v)) {
        return 0;
    }
    if (v.as.count > max_pairs) {
        r->failed = true;
        return 0;
    }
    return v.as.count;
}

/* The forms that every writer chooses for 0 and above, without the way over a value_t: half of the time that
 * reading records takes. False when it is another form, or cut short. */
static inline bool take_uint(reader_t *r, uint64_t *ret)
{
    size_t left = (size_t)(r->end - r->at);
    uint8_t first = left > 0 ? r->at[0] : 0xc1;
    unsigned bytes = first < 0x80 ? 0 : 1u << (first & 3);
    if ((first >= 0x80 && (first & 0xfc) != 0xcc) || left <= bytes) {
        return false;
    }
    *ret = bytes == 0 ? first : load(r->at + 1, bytes);
    r->at += 1 + bytes;
    return true;
}

uint64_t read_uint(reader_t *r, uint64_t max)
{
    value_t v;
    uint64_t number;
    assert(max <= CODEC_INT_MAX);
    if (r->failed || !take_uint(r, &number)) {
        number = next_of(r, VALUE_INT, &v) && v.as.integer >= 0 ? (uint64_t)v.as.integer : UINT64_MAX;
    }
    if (number > max || r->failed) {
        r->failed = true;
        return 0;
    }
    return number;
}

static const char *read_bytes(reader_t *r, value_type_t type, uint32_t max, uint32_t *ret_len)
{
    value_t v;
    if (!next_of(r, type, &v) || v.len > max) {
        r->failed = true;
        *ret_len = 0;
        return "";
    }
    *ret_len = v.len;
    return v.bytes;
}

const char *read_str(reader_t *r, uint32_t max, uint32_t *ret_len)
{
    return read_bytes(r, VALUE_STR, max, ret_len);
}

const void *read_bin(reader_t *r, uint32_t max, uint32_t *ret_len)
{
    return read_bytes(r, VALUE_BIN, max, ret_len);
}

int reader_end(const reader_t *r)
{
    return r->failed || r->at != r->end ? -EPROTO : 0;
}

/* The check and the reader against msgpack-c's own unpacker, over generated frames and mutations of them. The
 * frames are made byte by byte here, in every encoding that MessagePack has for a value, so that neither
 * side's packer is trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/codec.h"

#include <jansson.h>
#include <msgpack.h>
#include <string.h>

enum { FRAMES = 50000, MUTATIONS_EACH = 6, FRAME_MAX = 2000 };

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(random_next(&seed) % n);
}

/* --- making frames --- */

static void put_byte(buffer_t *b, unsigned byte)
{
    uint8_t one = (uint8_t)byte;
    buffer_append(b, &one, 1);
}

static void put_big_endian(buffer_t *b, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0) {
        put_byte(b, (unsigned)(v >> (8 * bytes)));
    }
}

/* A length in one of the forms that can hold it: short in the first byte, or in 1, 2 or 4 bytes. */
static void put_length(buffer_t *b, uint32_t n, unsigned fix, uint32_t fix_max, const uint8_t heads[3])
{
    unsigned form = below(8);
    if (form > 2 && n <= fix_max) {
        put_byte(b, fix | n);
    } else if (form % 3 == 0 && heads[0] != 0 && n <= 0xff) {
        put_byte(b, heads[0]);
        put_big_endian(b, n, 1);
    } else if (form % 3 == 1 && n <= 0xffff) {
        put_byte(b, heads[1]);
        put_big_endian(b, n, 2);
    } else {
        put_byte(b, heads[2]);
        put_big_endian(b, n, 4);
    }
}

static void put_string(buffer_t *b, const char *s, uint32_t len)
{
    put_length(b, len, 0xa0, 31, (const uint8_t[]){0xd9, 0xda, 0xdb});
    buffer_append(b, s, len);
}

static void put_text(buffer_t *b)
{
    static const char *const words[] = {"",
                                        "a",
                                        "host",
                                        "caf\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x90\x92",
                                        "a text that is longer than thirty-one bytes",
                                        "b",
                                        "ab",
                                        "\xff",
                                        "\xed\xa0\x80"};
    /* The last two are not UTF-8: now and then. */
    const char *word = words[below(100) == 0 ? 9 + below(2) : below(9)];
    put_string(b, word, (uint32_t)strlen(word));
}

static void put_scalar(buffer_t *b)
{
    static const uint8_t bin_heads[] = {0xc4, 0xc5, 0xc6};
    unsigned width = below(4);
    switch (below(9)) {
    case 0:
        put_byte(b, 0xc0);
        return;
    case 1:
        put_byte(b, 0xc2 + below(2));
        return;
    case 2:
        put_byte(b, below(0x80));
        return;
    case 3:
        put_byte(b, 0xe0 + below(0x20));
        return;
    case 4:
        put_byte(b, 0xcc + width);
        put_big_endian(b, random_next(&seed) >> below(64), 1u << width);
        return;
    case 5:
        put_byte(b, 0xd0 + width);
        put_big_endian(b, random_next(&seed) >> below(64), 1u << width);
        return;
    case 6:
        put_byte(b, 0xca + width % 2);
        put_big_endian(b, random_next(&seed), width % 2 ? 8 : 4);
        return;
    case 7: {
        uint32_t len = below(40);
        put_length(b, len, 0, 0, bin_heads);
        for (uint32_t i = 0; i < len; i++) {
            put_byte(b, below(256));
        }
        return;
    }
    default:
        put_text(b);
        return;
    }
}

static void put_extension(buffer_t *b)
{
    uint32_t len = 1u << below(5);
    put_byte(b, below(2) ? 0xc7 : 0xd4 + (len > 1) + (len > 2) + (len > 4) + (len > 8));
    if (b->data[b->len - 1] == 0xc7) {
        put_byte(b, len);
    }
    for (uint32_t i = 0; i <= len; i++) {
        put_byte(b, below(256)); /* its type, then its bytes */
    }
}

static void put_value(buffer_t *b, unsigned depth)
{
    unsigned kind = below(400);
    uint32_t n = below(5);
    if (kind == 0) {
        put_extension(b);
    } else if (kind > 200 || depth > 9 || b->len > FRAME_MAX) {
        put_scalar(b);
    } else if (kind > 100) {
        put_length(b, n, 0x90, 15, (const uint8_t[]){0, 0xdc, 0xdd});
        for (uint32_t i = 0; i < n; i++) {
            put_value(b, depth + 1);
        }
    } else {
        put_length(b, n, 0x80, 15, (const uint8_t[]){0, 0xde, 0xdf});
        for (uint32_t i = 0; i < n; i++) {
            char key[2] = {'k', (char)('0' + i)};
            if (below(80) == 0) {
                put_value(b, depth + 1); /* any key, or one that is there already */
            } else {
                put_string(b, key, sizeof key);
            }
            put_value(b, depth + 1);
        }
    }
}

/* A chain of containers around the value, so that the limit of depth is met often. */
static void put_frame(buffer_t *b)
{
    buffer_clear(b);
    unsigned chain = below(4) == 0 ? below(11) : below(3);
    for (unsigned i = 0; i < chain; i++) {
        put_byte(b, 0x91);
    }
    put_value(b, chain);
}

static void mutate(buffer_t *b)
{
    static const uint8_t heads[] = {0x80, 0x90, 0xa0, 0xc0, 0xc1, 0xc4, 0xc7, 0xca, 0xcf,
                                    0xd3, 0xd4, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff};
    size_t at = below((uint32_t)b->len);
    switch (below(6)) {
    case 0:
        b->data[at] ^= (uint8_t)(1u << below(8));
        return;
    case 1:
        b->data[at] = (uint8_t)below(256);
        return;
    case 2:
        b->data[at] = heads[below(sizeof heads)];
        return;
    case 3:
        b->len = at;
        return;
    case 4:
        put_byte(b, below(256));
        return;
    default:
        memmove(b->data + at, b->data + at + 1, b->len - at - 1);
        b->len--;
        return;
    }
}

/* --- the oracle --- */

static bool text_is_good(const char *s, size_t len)
{
    if (len == 0) {
        return true; /* msgpack-c has no pointer for it */
    }
    json_t *v = json_stringn(s, len);
    bool good = v != NULL;
    json_decref(v);
    return good;
}

static bool same_text(const msgpack_object_str *a, const msgpack_object_str *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->ptr, b->ptr, a->size) == 0);
}

static bool object_is_good(const msgpack_object *o, unsigned open);

static bool map_is_good(const msgpack_object_map *m, unsigned open)
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

static bool object_is_good(const msgpack_object *o, unsigned open)
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
static bool is_too_dear(const buffer_t *b)
{
    for (size_t i = 0; i + 4 < b->len; i++) {
        if ((b->data[i] == 0xdd || b->data[i] == 0xdf) && (b->data[i + 1] != 0 || b->data[i + 2] > 1)) {
            return true;
        }
    }
    return false;
}

static void compare_object(const msgpack_object *o, reader_t *r);

static void compare_map(const msgpack_object_map *m, reader_t *r)
{
    for (uint32_t i = 0; i < m->size; i++) {
        compare_object(&m->ptr[i].key, r);
        compare_object(&m->ptr[i].val, r);
    }
}

static void compare_object(const msgpack_object *o, reader_t *r)
{
    value_t v;
    assert_true(read_value(r, &v));
    switch (v.type) {
    case VALUE_NIL:
        assert_int_equal(o->type, MSGPACK_OBJECT_NIL);
        return;
    case VALUE_BOOL:
        assert_int_equal(o->type, MSGPACK_OBJECT_BOOLEAN);
        assert_int_equal(o->via.boolean, v.as.boolean);
        return;
    case VALUE_INT:
        assert_int_equal(o->type, v.as.integer < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER
                                                   : MSGPACK_OBJECT_POSITIVE_INTEGER);
        assert_true(o->via.i64 == v.as.integer);
        return;
    case VALUE_UINT:
        assert_int_equal(o->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
        assert_true(o->via.u64 == v.as.natural && v.as.natural > INT64_MAX);
        return;
    case VALUE_REAL:
        assert_true(o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64);
        assert_memory_equal(&o->via.f64, &v.as.real, sizeof v.as.real);
        return;
    case VALUE_STR:
        assert_int_equal(o->type, MSGPACK_OBJECT_STR);
        assert_int_equal(o->via.str.size, v.len);
        assert_true(v.len == 0 || memcmp(o->via.str.ptr, v.bytes, v.len) == 0);
        return;
    case VALUE_BIN:
        assert_int_equal(o->type, MSGPACK_OBJECT_BIN);
        assert_int_equal(o->via.bin.size, v.len);
        assert_true(v.len == 0 || memcmp(o->via.bin.ptr, v.bytes, v.len) == 0);
        return;
    case VALUE_ARRAY:
        assert_int_equal(o->type, MSGPACK_OBJECT_ARRAY);
        assert_int_equal(o->via.array.size, v.as.count);
        for (uint32_t i = 0; i < v.as.count; i++) {
            compare_object(&o->via.array.ptr[i], r);
        }
        return;
    case VALUE_MAP:
        assert_int_equal(o->type, MSGPACK_OBJECT_MAP);
        assert_int_equal(o->via.map.size, v.as.count);
        compare_map(&o->via.map, r);
        return;
    }
}

static unsigned taken, refused, unasked;

static void judge(const buffer_t *frame)
{
    /* A copy of just this length, so that the address sanitizer sees a step behind its end. */
    char *copy = test_malloc(frame->len + 1);
    const char *why = "nothing";
    char *bytes = copy + 1;
    memcpy(bytes, frame->data, frame->len);
    bool good = codec_check(bytes, frame->len, &why) == 0;
    if (!good && is_too_dear(frame)) {
        unasked++;
    } else {
        msgpack_unpacked unpacked;
        size_t end = 0;
        msgpack_unpacked_init(&unpacked);
        msgpack_unpack_return rc = msgpack_unpack_next(&unpacked, bytes, frame->len, &end);
        bool expected =
            rc == MSGPACK_UNPACK_SUCCESS && end == frame->len && object_is_good(&unpacked.data, 0);
        if (good != expected) {
            fail_msg("frame %u: taken %d (%s), should be %d", taken + refused, good, why, expected);
        }
        if (good) {
            reader_t r;
            reader_init(&r, bytes, frame->len);
            compare_object(&unpacked.data, &r);
            assert_int_equal(reader_end(&r), 0);
        }
        msgpack_unpacked_destroy(&unpacked);
    }
    *(good ? &taken : &refused) += 1;
    test_free(copy);
}

static void generated_and_mutated_frames(void **state)
{
    (void)state;
    buffer_t frame;
    buffer_init(&frame);
    seed = 20240229;
    for (unsigned i = 0; i < FRAMES; i++) {
        put_frame(&frame);
        judge(&frame);
        for (unsigned k = 0; k < MUTATIONS_EACH && frame.len > 0; k++) {
            if (k % 2 == 0) {
                put_frame(&frame);
            }
            mutate(&frame);
            judge(&frame);
        }
    }
    buffer_done(&frame);
    print_message("%u taken, %u refused, msgpack-c not asked for %u of them\n", taken, refused, unasked);
    /* Neither side may be a formality. */
    assert_true(taken > FRAMES && refused > FRAMES && unasked < refused / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_and_mutated_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The check and the reader against msgpack-c's own unpacker, over generated frames and mutations of them. The
 * frames are made byte by byte here, in every encoding that MessagePack has for a value, so that neither
 * side's packer is trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "tests/support/codec_oracle.h"

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

/* --- judging them --- */

static unsigned taken, refused, unasked;

static void judge(const buffer_t *frame)
{
    /* A copy of just this length, so that the address sanitizer sees a step behind its end. */
    uint8_t *copy = test_malloc(frame->len + 1);
    const char *why = "nothing";
    oracle_verdict_t verdict;
    memcpy(copy + 1, frame->data, frame->len);
    const char *difference = codec_oracle(copy + 1, frame->len, &why, &verdict);
    if (difference != NULL) {
        fail_msg("frame %u: %s (%s)", taken + refused, difference, why);
    }
    *(verdict == ORACLE_TAKEN ? &taken : &refused) += 1;
    unasked += verdict == ORACLE_NOT_ASKED;
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

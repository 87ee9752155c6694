/* The notes of a message, as they are kept: one for each leg, and none gets lost unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/core/notes.h"

enum { BITS = LEGS_MAX };

static buffer_t kept;

static int clear(void **state)
{
    (void)state;
    buffer_done(&kept);
    return 0;
}

static void put(uint8_t bit, const char *text)
{
    buffer_t next;
    buffer_init(&next);
    const note_t note = {.bit = bit, .bytes = text, .len = (uint32_t)strlen(text)};
    notes_put(kept.data, kept.len, &note, &next);
    assert_false(next.failed);
    buffer_done(&kept);
    kept = next;
}

/* "0 first; 3 other" */
static const char *text_of(const void *notes, size_t len)
{
    static char text[4096];
    reader_t r;
    note_t note;
    size_t n = 0;
    text[0] = '\0';
    reader_init(&r, notes, len);
    while (note_read(&r, &note)) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u %.*s", n > 0 ? "; " : "", note.bit,
                              (int)note.len, (const char *)note.bytes);
    }
    assert_int_equal(reader_end(&r), 0);
    return text;
}

static void assert_legs(uint8_t legs, uint32_t n, const char *expected)
{
    buffer_t b;
    buffer_init(&b);
    assert_int_equal(notes_of(kept.data, kept.len, legs, &b), n);
    assert_string_equal(text_of(b.data, b.len), expected);
    buffer_done(&b);
}

static void the_latest_of_each_leg_is_kept(void **state)
{
    (void)state;
    assert_legs(255, 0, "");
    put(1, "first");
    put(0, "save");
    put(1, "second");
    assert_legs(255, 2, "0 save; 1 second");
    assert_legs(2, 1, "1 second");
    assert_legs(4, 0, "");
    put(0, "");
    assert_legs(255, 1, "1 second");
    put(5, ""); /* of none */
    put(1, "");
    assert_int_equal(kept.len, 0);
}

static void all_legs_with_the_longest(void **state)
{
    (void)state;
    char text[NOTE_BYTES_MAX + 1];
    memset(text, 'x', NOTE_BYTES_MAX);
    text[NOTE_BYTES_MAX] = '\0';
    for (int round = 0; round < 3; round++) {
        for (uint8_t bit = 0; bit < BITS; bit++) {
            put(bit, text);
        }
    }
    buffer_t b;
    buffer_init(&b);
    assert_int_equal(notes_of(kept.data, kept.len, 255, &b), BITS);
    assert_int_equal(b.len, kept.len);
    assert_in_range(kept.len, BITS * NOTE_BYTES_MAX, BITS * (NOTE_BYTES_MAX + 8));
    buffer_done(&b);
}

/* A leg whose note cannot be read must not look like one that has none. */
static void damage_is_told_to_each_leg_that_it_may_concern(void **state)
{
    (void)state;
    put(0, "save");
    put(1, "restart");
    kept.len -= 3;
    assert_legs(3, 2, "0 save; 1 damaged in the outbox");
    assert_legs(1, 1, "0 save");
    assert_legs(4, 1, "2 damaged in the outbox");
    put(1, "again");
    assert_legs(3, 2, "0 save; 1 again");
    /* From the first byte on; what stands there twice; what nobody has written. */
    static const char *const bytes[] = {"\xc1",
                                        "x",
                                        "\x92\x01\xc4\x01"
                                        "a"
                                        "\x92\x01\xc4\x01"
                                        "b",
                                        "\x92\x01\xc4\x00",
                                        "\x92\x09\xc4\x01"
                                        "a",
                                        "\x92\x01\xa1"
                                        "a"};
    static const size_t lens[] = {1, 1, 10, 4, 5, 4};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        buffer_clear(&kept);
        buffer_append(&kept, bytes[i], lens[i]);
        assert_legs(1, 1, "0 damaged in the outbox");
        assert_legs(2, 1, i == 2 ? "1 a" : "1 damaged in the outbox");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_latest_of_each_leg_is_kept, clear),
        cmocka_unit_test_teardown(all_legs_with_the_longest, clear),
        cmocka_unit_test_teardown(damage_is_told_to_each_leg_that_it_may_concern, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

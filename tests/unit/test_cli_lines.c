#include "cli/lines.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static lines_t lines;

/* What was handed out, each line as "<text>". */
static char out[4096];
static size_t lengths[16];
static size_t count;

static int setup(void **state)
{
    (void)state;
    lines_init(&lines);
    out[0] = '\0';
    count = 0;
    return 0;
}

static void take(void *arg, const char *line, size_t len)
{
    assert_ptr_equal(arg, &lines);
    size_t at = strlen(out);
    if (len < 100)
        snprintf(out + at, sizeof(out) - at, "<%.*s>", (int)len, line);
    assert_true(count < 16);
    lengths[count++] = len;
}

static void feed(const char *text)
{
    lines_feed(&lines, text, strlen(text), take, &lines);
}

static void whole_lines_go_straight_through(void **state)
{
    (void)state;
    feed("one\ntwo\n");
    assert_string_equal(out, "<one><two>");
    lines_end(&lines, take, &lines);
    assert_int_equal(count, 2);
}

static void a_line_may_come_in_pieces(void **state)
{
    (void)state;
    feed("o");
    feed("ne");
    assert_string_equal(out, "");
    feed("\ntw");
    assert_string_equal(out, "<one>");
    feed("o\nthree\nfo");
    assert_string_equal(out, "<one><two><three>");
}

static void empty_lines_are_lines(void **state)
{
    (void)state;
    feed("\n\na\n\n");
    assert_string_equal(out, "<><><a><>");
    feed("b");
    feed("\n");
    assert_string_equal(out, "<><><a><><b>");
}

static void the_end_hands_out_what_was_begun_once(void **state)
{
    (void)state;
    feed("last");
    lines_end(&lines, take, &lines);
    lines_end(&lines, take, &lines);
    assert_string_equal(out, "<last>");
    feed("new\n");
    assert_string_equal(out, "<last><new>");
}

static void bytes_of_any_kind_pass(void **state)
{
    (void)state;
    lines_feed(&lines, "a\0b\n", 4, take, &lines);
    assert_int_equal(count, 1);
    assert_int_equal(lengths[0], 3);
}

static void a_line_without_end_comes_in_pieces(void **state)
{
    (void)state;
    static char much[LINES_BYTES_MAX];
    memset(much, 'x', sizeof(much));
    lines_feed(&lines, much, sizeof(much), take, &lines);
    assert_int_equal(count, 0);
    feed("yz");
    assert_int_equal(count, 1);
    assert_int_equal(lengths[0], LINES_BYTES_MAX);
    feed("\n");
    assert_string_equal(out, "<yz>");
}

static void the_longest_line_is_whole(void **state)
{
    (void)state;
    static char much[LINES_BYTES_MAX + 1];
    memset(much, 'x', sizeof(much));
    much[LINES_BYTES_MAX] = '\n';
    lines_feed(&lines, much, sizeof(much), take, &lines);
    assert_int_equal(count, 1);
    /* And when it comes in two pieces. */
    lines_feed(&lines, much, 10, take, &lines);
    lines_feed(&lines, much + 10, sizeof(much) - 10, take, &lines);
    assert_int_equal(count, 2);
    assert_int_equal(lengths[0], LINES_BYTES_MAX);
    assert_int_equal(lengths[1], LINES_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(whole_lines_go_straight_through, setup),
        cmocka_unit_test_setup(a_line_may_come_in_pieces, setup),
        cmocka_unit_test_setup(empty_lines_are_lines, setup),
        cmocka_unit_test_setup(the_end_hands_out_what_was_begun_once, setup),
        cmocka_unit_test_setup(bytes_of_any_kind_pass, setup),
        cmocka_unit_test_setup(a_line_without_end_comes_in_pieces, setup),
        cmocka_unit_test_setup(the_longest_line_is_whole, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

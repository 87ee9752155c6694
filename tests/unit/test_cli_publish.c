/* What `mandrill publish` reads. */
#include "cli/publish_input.h"
#include "common/core/message.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static publish_input_t *in;
static publish_line_t line;

static void open_text(const char *text, size_t len)
{
    char path[] = "/tmp/test_cli_publish-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
    assert_int_equal(publish_input_file(&in, path), 0);
    unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    publish_input_destroy(&in);
    return 0;
}

static void assert_line(uint64_t number, const char *text)
{
    assert_int_equal(publish_input_next(in, true, &line), INPUT_LINE);
    assert_int_equal(line.number, number);
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.text, text, line.len);
    assert_false(line.cut);
}

static void assert_end(void)
{
    assert_int_equal(publish_input_next(in, true, &line), INPUT_END);
    assert_int_equal(publish_input_next(in, true, &line), INPUT_END);
}

static void words_are_numbered(void **state)
{
    (void)state;
    const char *const words[] = {"web-1", "", "web-2"};
    in = publish_input_words(words, 3);
    assert_string_equal(publish_input_unit(in), "argument");
    assert_line(1, "web-1");
    assert_line(2, "");
    assert_line(3, "web-2");
    assert_end();
}

static void lines_are_numbered_empty_ones_too(void **state)
{
    (void)state;
    static const char text[] = "one\n\nthree\r\nlast";
    open_text(text, strlen(text));
    assert_string_equal(publish_input_unit(in), "line");
    assert_line(1, "one");
    assert_line(2, "");
    assert_line(3, "three");
    assert_line(4, "last");
    assert_end();
}

static void an_empty_file_has_no_lines(void **state)
{
    (void)state;
    open_text("", 0);
    assert_end();
}

static void a_newline_at_the_end_is_no_line_more(void **state)
{
    (void)state;
    open_text("one\n", 4);
    assert_line(1, "one");
    assert_end();
}

static void an_endless_line_is_cut_and_the_next_is_whole(void **state)
{
    (void)state;
    size_t much = 3 * 1024 * 1024;
    char *text = malloc(much + 10);
    assert_non_null(text);
    memset(text, 'x', much);
    memcpy(text + much, "\nnext\n", 6);
    open_text(text, much + 6);
    assert_int_equal(publish_input_next(in, true, &line), INPUT_LINE);
    assert_true(line.cut);
    assert_int_equal(line.number, 1);
    assert_line(2, "next");
    assert_end();
    free(text);
}

static void a_line_of_the_greatest_length_is_whole(void **state)
{
    (void)state;
    size_t len = 6 * BODY_BYTES_MAX;
    char *text = malloc(len + 2);
    assert_non_null(text);
    memset(text, 'x', len + 1);
    text[len] = '\n';
    text[len + 1] = 'z';
    open_text(text, len + 2);
    assert_int_equal(publish_input_next(in, true, &line), INPUT_LINE);
    assert_int_equal(line.len, len);
    assert_false(line.cut);
    assert_line(2, "z");
    assert_end();
    free(text);
}

static void an_endless_last_line_is_cut(void **state)
{
    (void)state;
    size_t much = 2 * 1024 * 1024;
    char *text = malloc(much);
    assert_non_null(text);
    memset(text, 'x', much);
    open_text(text, much);
    assert_int_equal(publish_input_next(in, true, &line), INPUT_LINE);
    assert_true(line.cut);
    assert_end();
    free(text);
}

static void a_pipe_is_read_as_it_is_written(void **state)
{
    (void)state;
    int ends[2];
    int saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    assert_int_equal(publish_input_file(&in, "-"), 0);
    assert_int_equal(publish_input_next(in, false, &line), INPUT_LATER);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    assert_int_equal(publish_input_next(in, false, &line), INPUT_LINE);
    assert_int_equal(publish_input_next(in, false, &line), INPUT_LATER);
    close(ends[1]);
    assert_line(2, "b");
    assert_end();
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
}

static void a_missing_file_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(publish_input_file(&in, "/nonexistent/file"), -ENOENT);
    assert_null(in);
    assert_int_equal(publish_input_file(&in, "/"), 0); /* opens, but can't be read */
    assert_int_equal(publish_input_next(in, true, &line), INPUT_FAILED);
    assert_int_equal(errno, EISDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(words_are_numbered, teardown),
        cmocka_unit_test_teardown(lines_are_numbered_empty_ones_too, teardown),
        cmocka_unit_test_teardown(an_empty_file_has_no_lines, teardown),
        cmocka_unit_test_teardown(a_newline_at_the_end_is_no_line_more, teardown),
        cmocka_unit_test_teardown(an_endless_line_is_cut_and_the_next_is_whole, teardown),
        cmocka_unit_test_teardown(a_line_of_the_greatest_length_is_whole, teardown),
        cmocka_unit_test_teardown(an_endless_last_line_is_cut, teardown),
        cmocka_unit_test_teardown(a_pipe_is_read_as_it_is_written, teardown),
        cmocka_unit_test_teardown(a_missing_file_is_an_error, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

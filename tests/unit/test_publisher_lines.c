/* Lines that come in any pieces, of any length, handed out again when their round was undone. */
#include "common/core/message.h"
#include "publisher/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    line_reader_t lines;
    int feed; /* the writing end of a pipe that is standard input */
    int stdin_kept;
} world_t;

static char why[WHY_BYTES];

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    int ends[2];
    *state = w;
    if (pipe(ends) < 0)
        return -1;
    w->stdin_kept = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    w->feed = ends[1];
    return line_reader_open(&w->lines, "-", why);
}

static int teardown(void **state)
{
    world_t *w = *state;
    line_reader_close(&w->lines);
    if (w->feed >= 0)
        close(w->feed);
    dup2(w->stdin_kept, STDIN_FILENO);
    close(w->stdin_kept);
    free(w);
    return 0;
}

static void feed(world_t *w, const char *bytes, size_t len)
{
    assert_int_equal(write(w->feed, bytes, len), (ssize_t)len);
    line_reader_more(&w->lines);
}

static void end_feed(world_t *w)
{
    close(w->feed);
    w->feed = -1;
    line_reader_more(&w->lines);
}

static void expect_line(world_t *w, const char *text, uint64_t number)
{
    const char *line;
    size_t len;
    assert_int_equal(line_reader_next(&w->lines, &line, &len), 1);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(line, text, len);
    assert_int_equal(w->lines.number, number);
}

static void expect_none(world_t *w)
{
    const char *line;
    size_t len;
    assert_int_equal(line_reader_next(&w->lines, &line, &len), 0);
}

static void lines_come_in_pieces(void **state)
{
    world_t *w = *state;
    expect_none(w);
    feed(w, "one\ntw", 6);
    expect_line(w, "one", 1);
    expect_none(w);
    assert_int_equal(line_reader_fd(&w->lines), STDIN_FILENO);
    feed(w, "o\n\nfour\r\n", 9);
    expect_line(w, "two", 2);
    expect_line(w, "", 3);
    expect_line(w, "four", 4);
    expect_none(w);
    feed(w, "last", 4);
    expect_none(w);
    assert_false(line_reader_ended(&w->lines));
    end_feed(w);
    assert_true(line_reader_ended(&w->lines));
    assert_int_equal(line_reader_fd(&w->lines), -1);
    expect_line(w, "last", 5);
    expect_none(w);
    line_reader_more(&w->lines);
    expect_none(w);
}

static void reading_does_not_wait(void **state)
{
    world_t *w = *state;
    line_reader_more(&w->lines); /* would block for ever */
    expect_none(w);
    assert_false(line_reader_ended(&w->lines));
}

static void undone_lines_come_again(void **state)
{
    world_t *w = *state;
    feed(w, "one\ntwo\nthree\n", 14);
    expect_line(w, "one", 1);
    line_reader_keep(&w->lines);
    expect_line(w, "two", 2);
    expect_line(w, "three", 3);
    line_reader_again(&w->lines);
    expect_line(w, "two", 2);
    line_reader_keep(&w->lines);
    line_reader_again(&w->lines);
    expect_line(w, "three", 3);
}

/* However much comes, lines that were handed out stay where they are until they are kept. */
static void nothing_moves_before_it_is_kept(void **state)
{
    world_t *w = *state;
    char chunk[1000];
    const char *first;
    size_t len;
    memset(chunk, 'x', sizeof chunk);
    chunk[sizeof chunk - 1] = '\n';
    feed(w, chunk, sizeof chunk);
    assert_int_equal(line_reader_next(&w->lines, &first, &len), 1);
    for (int i = 0; i < 1000; i++) {
        if (i < 300) /* what is not read stays in the pipe, which holds less than a buffer */
            feed(w, chunk, sizeof chunk);
        const char *line;
        line_reader_next(&w->lines, &line, &len);
    }
    for (size_t i = 0; i < sizeof chunk - 1; i++)
        assert_int_equal(first[i], 'x');
    line_reader_again(&w->lines);
    for (uint64_t number = 1; number <= 301; number++) {
        const char *line;
        assert_int_equal(line_reader_next(&w->lines, &line, &len), 1);
        assert_int_equal(len, sizeof chunk - 1);
        assert_int_equal(w->lines.number, number);
    }
    line_reader_keep(&w->lines);
    for (int i = 0; i < 200; i++) {
        feed(w, chunk, sizeof chunk);
        const char *line;
        assert_int_equal(line_reader_next(&w->lines, &line, &len), 1);
        line_reader_keep(&w->lines);
    }
    assert_int_equal(w->lines.number, 501);
}

static void feed_many(world_t *w, size_t n, char byte)
{
    char chunk[1024];
    memset(chunk, byte, sizeof chunk);
    for (; n > 0; n -= n < sizeof chunk ? n : sizeof chunk)
        feed(w, chunk, n < sizeof chunk ? n : sizeof chunk);
}

static void the_longest_line(void **state)
{
    world_t *w = *state;
    const char *line;
    size_t len;
    feed_many(w, LINE_BYTES_MAX, 'a');
    expect_none(w);
    feed(w, "\nnext\n", 6);
    assert_int_equal(line_reader_next(&w->lines, &line, &len), 1);
    assert_int_equal(len, LINE_BYTES_MAX);
    expect_line(w, "next", 2);
}

static void a_line_that_is_too_long_costs_no_memory(void **state)
{
    world_t *w = *state;
    const char *line;
    size_t len;
    feed(w, "one\n", 4);
    expect_line(w, "one", 1);
    feed_many(w, LINE_BYTES_MAX + 1, 'a');
    expect_none(w); /* while a line that was handed out may be wanted again */
    line_reader_keep(&w->lines);
    assert_int_equal(line_reader_next(&w->lines, &line, &len), -E2BIG);
    assert_int_equal(w->lines.number, 2);
    for (int i = 0; i < 10; i++) {
        feed_many(w, 200 * 1024, 'a');
        expect_none(w); /* told once */
    }
    line_reader_again(&w->lines);
    assert_int_equal(w->lines.number, 2);
    feed(w, "end\nthree\n", 10);
    line_reader_again(&w->lines);
    expect_line(w, "three", 3);
    line_reader_again(&w->lines);
    expect_line(w, "three", 3);
}

static void a_line_just_too_long(void **state)
{
    world_t *w = *state;
    const char *line;
    size_t len;
    feed_many(w, LINE_BYTES_MAX + 1, 'a');
    feed(w, "\nnext\n", 6);
    assert_int_equal(line_reader_next(&w->lines, &line, &len), -E2BIG);
    expect_line(w, "next", 2);
}

static void a_long_line_may_be_the_last(void **state)
{
    world_t *w = *state;
    const char *line;
    size_t len;
    feed_many(w, LINE_BYTES_MAX + 5, 'a');
    assert_int_equal(line_reader_next(&w->lines, &line, &len), -E2BIG);
    feed(w, "more", 4);
    end_feed(w);
    expect_none(w);
    assert_true(line_reader_ended(&w->lines));
}

static void files_need_no_waiting(void **state)
{
    (void)state;
    char path[] = "/tmp/test_lines.XXXXXX";
    const char *line;
    size_t len;
    line_reader_t l;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "a\nb", 3), 3);
    close(fd);
    assert_int_equal(line_reader_open(&l, path, why), 0);
    assert_int_equal(line_reader_fd(&l), -1);
    line_reader_more(&l);
    assert_int_equal(line_reader_next(&l, &line, &len), 1);
    line_reader_more(&l);
    assert_int_equal(line_reader_next(&l, &line, &len), 1);
    assert_int_equal(*line, 'b');
    line_reader_close(&l);
    unlink(path);
    assert_int_equal(line_reader_open(&l, path, why), -ENOENT);
    assert_non_null(strstr(why, path));
    assert_int_equal(line_reader_open(&l, "/tmp", why), -EISDIR);
}

/* A line that a failing read has cut off is no line. */
static void a_failed_read(void **state)
{
    world_t *w = *state;
    feed(w, "one\ntw", 6);
    expect_line(w, "one", 1);
    int fd = open("/", O_RDONLY); /* reading a directory fails */
    dup2(fd, STDIN_FILENO);
    close(fd);
    line_reader_more(&w->lines);
    assert_int_equal(w->lines.failed, -EISDIR);
    assert_true(line_reader_ended(&w->lines));
    expect_none(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_come_in_pieces),
        TEST(reading_does_not_wait),
        TEST(undone_lines_come_again),
        TEST(nothing_moves_before_it_is_kept),
        TEST(the_longest_line),
        TEST(a_line_that_is_too_long_costs_no_memory),
        TEST(a_line_just_too_long),
        TEST(a_long_line_may_be_the_last),
        cmocka_unit_test(files_need_no_waiting),
        TEST(a_failed_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

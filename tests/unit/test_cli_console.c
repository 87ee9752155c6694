#include "cli/console.h"
#include "cli/files.h"
#include "common/runtime/clock.h"
#include "common/runtime/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];
static console_t *console;
static char *got;
static size_t got_len;
enum { GOT_MAX = 8 * 1024 * 1024 };

static int setup(void **state)
{
    (void)state;
    if (pipe(ends) != 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    console = console_new(ends[1]);
    got = calloc(1, GOT_MAX);
    got_len = 0;
    return console && got ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    console_destroy(&console);
    close(ends[0]);
    close(ends[1]);
    free(got);
    return 0;
}

/* What a reader takes now. */
static size_t read_some(void)
{
    ssize_t n = read(ends[0], got + got_len, GOT_MAX - 1 - got_len);
    got_len += n > 0 ? (size_t)n : 0;
    got[got_len] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void line(const char *name, const char *text)
{
    console_line(console, 1, name, text, strlen(text));
}

static void names_stand_in_a_column(void **state)
{
    (void)state;
    console_width(console, "publisher");
    console_width(console, "save");
    line("save", "hello");
    line("publisher", "");
    assert_true(console_pending(console));
    console_flush(console, clock_ms());
    assert_false(console_pending(console));
    read_some();
    assert_string_equal(got, "save      | hello\npublisher | \n");
}

static void a_bar_stands_between_lines(void **state)
{
    (void)state;
    console_raw(console, "[##-]", 5);
    console_raw(console, "\r\033[K", 4);
    line("x", "one");
    console_flush(console, clock_ms());
    read_some();
    assert_string_equal(got, "[##-]\r\033[Kx | one\n");
}

static void the_callers_file_stays_as_it_was(void **state)
{
    (void)state;
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
}

static void fill(const char *text, size_t bytes)
{
    for (size_t n = 0; n < bytes; n += strlen(text) + strlen("x | \n"))
        line("x", text);
}

static int count(const char *text)
{
    int n = 0;
    for (const char *p = got; (p = strstr(p, text)); p++)
        n++;
    return n;
}

static void a_slow_reader_slows_but_loses_nothing(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    char text[80];
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    bool slow = false;
    for (int i = 0; i < LINES;) {
        if (!console_slow(console)) {
            line("x", text);
            i++;
        }
        if (console_slow(console)) {
            slow = true;
            read_some();
            console_flush(console, clock_ms());
        }
    }
    while (console_pending(console)) {
        console_flush(console, clock_ms());
        read_some();
    }
    read_some();
    assert_true(slow);
    assert_int_equal(count("x | yyyy"), LINES);
    assert_null(strstr(got, "left out"));
}

static void a_reader_that_stands_still_loses_lines_and_is_told(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    int64_t now_ms = clock_ms();
    fill(text, CONSOLE_BYTES_SLOW * 2);
    console_flush(console, now_ms);
    assert_true(console_slow(console));
    console_flush(console, now_ms + CONSOLE_PATIENCE_MS - 1);
    assert_true(console_slow(console));
    console_flush(console, now_ms + CONSOLE_PATIENCE_MS);
    assert_false(console_slow(console)); /* no more patience */
    fill(text, CONSOLE_BYTES_MAX * 2);
    line("x", "lost");
    while (console_pending(console)) {
        read_some();
        console_flush(console, now_ms + CONSOLE_PATIENCE_MS + 1);
    }
    line("x", "back");
    console_flush(console, now_ms + CONSOLE_PATIENCE_MS + 2);
    read_some();
    assert_null(strstr(got, "lost"));
    const char *note = strstr(got, "mandrill | ");
    assert_non_null(note);
    assert_true(atoi(note + strlen("mandrill | ")) > 1000);
    assert_non_null(strstr(note, "lines were left out"));
    assert_non_null(strstr(note, "x | back\n"));
    assert_int_equal(count("left out"), 1);
}

static void nobody_reads_any_more(void **state)
{
    (void)state;
    /* SIGPIPE is ignored by every program here. */
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    line("x", "hello");
    console_flush(console, clock_ms());
    assert_false(console_pending(console));
    line("x", "again");
    assert_false(console_pending(console));
    assert_false(console_slow(console));
    ends[0] = open("/dev/null", O_RDONLY);
}

static void draining_waits_no_longer_than_told(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'y', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    fill(text, CONSOLE_BYTES_SLOW);
    int64_t start_ms = clock_ms();
    console_drain(console, 100);
    assert_true(console_pending(console));
    assert_true(clock_ms() - start_ms >= 100);
    assert_true(clock_ms() - start_ms < 10000);
}

static void a_file_is_written_in_place(void **state)
{
    (void)state;
    char path[] = "/tmp/test_cli_console-XXXXXX";
    char text[64] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "before\n", 7), 7);
    console_t *c = console_new(fd);
    console_line(c, 1, "x", "one", 3);
    console_flush(c, clock_ms());
    console_destroy(&c);
    assert_int_equal(write(fd, "after\n", 6), 6);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "before\nx | one\nafter\n");
    close(fd);
    unlink(path);
}

/* --- directories and locks */

static void directories_are_made_and_removed(void **state)
{
    (void)state;
    char base[] = "/tmp/test_cli_files-XXXXXX";
    char path[128];
    struct stat about;
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof(path), "%s/a//b/c/", base);
    assert_int_equal(folder_make(path), 0);
    assert_int_equal(folder_make(path), 0);
    assert_int_equal(stat(path, &about), 0);
    assert_true(S_ISDIR(about.st_mode));
    snprintf(path, sizeof(path), "%s/a/b/c/file", base);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/a/b/c/file/d", base);
    assert_int_equal(folder_make(path), -ENOTDIR);
    assert_int_equal(folder_make(""), -ENOENT);
    for (const char *const *p = (const char *const[]){"/a/b/c", "/a/b", "/a", "", NULL}; *p; p++) {
        snprintf(path, sizeof(path), "%s%s", base, *p);
        assert_int_equal(dir_remove(path), 0);
    }
    assert_int_equal(dir_remove(base), -ENOENT);
}

static void a_lock_tells_its_owner(void **state)
{
    (void)state;
    char path[] = "/tmp/test_cli_lock-XXXXXX";
    int ready[2];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t none;
        char c = lock_take(path, &none) == 0 ? 'y' : 'n';
        if (write(ready[1], &c, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    pid_t owner = 0;
    assert_int_equal(lock_take(path, &owner), -EBUSY);
    assert_int_equal(owner, child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(lock_take(path, &owner), 0);
    close(ready[0]);
    close(ready[1]);
    unlink(path);
}

#define with_pipe(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_pipe(names_stand_in_a_column),
        with_pipe(a_bar_stands_between_lines),
        with_pipe(the_callers_file_stays_as_it_was),
        with_pipe(a_slow_reader_slows_but_loses_nothing),
        with_pipe(a_reader_that_stands_still_loses_lines_and_is_told),
        with_pipe(nobody_reads_any_more),
        with_pipe(draining_waits_no_longer_than_told),
        cmocka_unit_test(a_file_is_written_in_place),
        cmocka_unit_test(directories_are_made_and_removed),
        cmocka_unit_test(a_lock_tells_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

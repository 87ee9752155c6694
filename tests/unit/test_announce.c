#include "common/runtime/announce.h"
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/mandrill-announce-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/file", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    const char *const pairs[] = {"listen", "tcp://127.0.0.1:40123", "clients", "ipc:///a=b", NULL};
    char value[64];
    assert_int_equal(announce_write(path, pairs), 0);
    assert_int_equal(announce_read(path, "listen", value, sizeof(value)), 0);
    assert_string_equal(value, "tcp://127.0.0.1:40123");
    assert_int_equal(announce_read(path, "clients", value, sizeof(value)), 0);
    assert_string_equal(value, "ipc:///a=b");
    assert_int_equal(announce_read(path, "pid", value, sizeof(value)), 0);
    assert_int_equal(atol(value), getpid());
}

static void test_what_is_missing(void **state)
{
    (void)state;
    const char *const pairs[] = {"listen", "x", NULL};
    char value[8] = "before";
    assert_int_equal(announce_write(path, pairs), 0);
    assert_int_equal(announce_read(path, "list", value, sizeof(value)), -ENOENT);
    assert_int_equal(announce_read(path, "listening", value, sizeof(value)), -ENOENT);
    assert_int_equal(announce_read("/nonexistent/file", "listen", value, sizeof(value)), -ENOENT);
    assert_int_equal(announce_read(path, "pid", value, 1), -ENOSPC);
    assert_string_equal(value, "before");
}

static void test_a_second_write_replaces_the_first(void **state)
{
    (void)state;
    const char *const first[] = {"listen", "one", "old", "yes", NULL};
    const char *const second[] = {"listen", "two", NULL};
    char value[8];
    assert_int_equal(announce_write(path, first), 0);
    assert_int_equal(announce_write(path, second), 0);
    assert_int_equal(announce_read(path, "listen", value, sizeof(value)), 0);
    assert_string_equal(value, "two");
    assert_int_equal(announce_read(path, "old", value, sizeof(value)), -ENOENT);
}

static void test_bad_pairs_and_paths(void **state)
{
    (void)state;
    const char *const good[] = {"listen", "kept", NULL};
    const char *const bad_value[] = {"listen", "a\npid=1", NULL};
    const char *const bad_key[] = {"a=b", "c", NULL};
    char value[8];
    char *long_path = malloc(10000);
    memset(long_path, 'p', 9999);
    long_path[9999] = '\0';
    assert_int_equal(announce_write(path, good), 0);
    assert_int_equal(announce_write(path, bad_value), -EINVAL);
    assert_int_equal(announce_write(path, bad_key), -EINVAL);
    assert_int_equal(announce_read(path, "listen", value, sizeof(value)), 0);
    assert_string_equal(value, "kept");
    char temporary[96];
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(announce_write(NULL, good), 0);
    assert_int_equal(announce_write("/nonexistent/file", good), -ENOENT);
    assert_int_equal(announce_write(long_path, good), -ENAMETOOLONG);
    free(long_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_a_second_write_replaces_the_first),
        cmocka_unit_test(test_bad_pairs_and_paths),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

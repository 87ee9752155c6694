/* Folders: made as far as they are missing, for their owner alone. That they are synced shows only at a power
 * cut. */
#include "common/runtime/folder.h"
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char base[64], path[256];

static const char *at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "%s", "/tmp/test_folder.XXXXXX");
    return mkdtemp(base) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    const char *made[] = {"a/b/c", "a/b", "a", "d"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        rmdir(at(made[i]));
    unlink(at("file"));
    return rmdir(base);
}

static void assert_folder(const char *name)
{
    struct stat about;
    assert_int_equal(stat(at(name), &about), 0);
    assert_true(S_ISDIR(about.st_mode));
    assert_int_equal(about.st_mode & 077, 0);
}

static void missing_ones_are_made(void **state)
{
    (void)state;
    assert_int_equal(folder_make(at("a/b/c")), 0);
    assert_folder("a");
    assert_folder("a/b/c");
    assert_int_equal(folder_make(at("a/b/c")), 0);
    assert_int_equal(folder_make(at("a//b/c/")), 0);
}

static void the_folder_of_a_file_but_no_tree(void **state)
{
    (void)state;
    assert_int_equal(folder_make_for(at("d/outbox.db")), 0);
    assert_folder("d");
    assert_int_equal(folder_make_for(at("d/outbox.db")), 0);
    assert_int_equal(folder_make_for(at("a/b/outbox.db")), -ENOENT);
    assert_int_equal(folder_make_for("outbox.db"), 0);
    assert_int_equal(folder_make_for("/outbox.db"), 0);
}

static void what_is_in_the_way(void **state)
{
    (void)state;
    char longest[PATH_MAX + 2];
    FILE *f = fopen(at("file"), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(folder_make(at("file")), -ENOTDIR);
    assert_int_equal(folder_make_for(at("file/outbox.db")), -ENOTDIR);
    assert_int_equal(folder_make(""), -ENOENT);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(folder_make(longest), -ENAMETOOLONG);
    assert_int_equal(folder_make_for(longest), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(missing_ones_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_of_a_file_but_no_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_in_the_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

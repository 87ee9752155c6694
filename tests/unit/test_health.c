#include "common/core/message.h"
#include "common/runtime/health.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/mandrill-health-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/health", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void open_sign(health_t *h, int64_t now_ms)
{
    char why[WHY_BYTES];
    assert_int_equal(health_open(h, path, "worker", now_ms, why), 0);
}

static void test_the_age_is_that_of_the_last_sign(void **state)
{
    (void)state;
    health_t h;
    health_sign_t sign;
    open_sign(&h, 10000);
    assert_int_equal(health_read(path, 10000, &sign), 0);
    assert_int_equal(sign.age_ms, 0);
    assert_string_equal(sign.role, "worker");
    health_tell(&h, 12500, "works for 2 consumers");
    assert_int_equal(health_read(path, 13000, &sign), 0);
    assert_int_equal(sign.age_ms, 500);
    assert_string_equal(sign.state, "works for 2 consumers");
    health_close(&h);
}

static void test_a_sign_a_second_and_no_more(void **state)
{
    (void)state;
    health_t h;
    struct stat first, second;
    open_sign(&h, 10000);
    assert_int_equal(health_next_ms(&h), 10000 + HEALTH_EVERY_MS);
    assert_int_equal(stat(path, &first), 0);
    health_tell(&h, 10000 + HEALTH_EVERY_MS - 1, "works");
    assert_int_equal(stat(path, &second), 0);
    assert_true(first.st_ino == second.st_ino && first.st_size == second.st_size);
    health_tell(&h, 10000 + HEALTH_EVERY_MS, "works");
    assert_int_equal(health_next_ms(&h), 10000 + 2 * HEALTH_EVERY_MS);
    health_close(&h);
}

static void test_what_has_ended_has_no_sign(void **state)
{
    (void)state;
    health_t h;
    health_sign_t sign;
    open_sign(&h, 1);
    health_close(&h);
    assert_int_equal(health_read(path, 2, &sign), -ENOENT);
}

static void test_a_file_of_another_kind_is_no_sign(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "at_ms=5\n", "role=worker\nat_ms=soon\nstate=x\n",
                                        "role=a-word-that-is-much-too-long\nat_ms=5\nstate=x\n",
                                        /* of a boot that lasted longer */
                                        "role=worker\nat_ms=11\nstate=x\n"};
    health_sign_t sign;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(texts[i], f);
        fclose(f);
        assert_int_equal(health_read(path, 10, &sign), -EBADMSG);
    }
}

static void test_a_path_that_cannot_be_written_is_told_at_once(void **state)
{
    (void)state;
    health_t h;
    char why[WHY_BYTES];
    assert_int_equal(health_open(&h, "/nowhere/health", "worker", 1, why), -ENOENT);
    assert_string_equal(why, "cannot write the health file /nowhere/health: No such file or directory");
}

static void test_without_a_path_nothing_is_done(void **state)
{
    (void)state;
    health_t h;
    char why[WHY_BYTES];
    assert_int_equal(health_open(&h, NULL, "worker", 1, why), 0);
    assert_true(health_next_ms(&h) == INT64_MAX);
    health_tell(&h, 5000, "works");
    health_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_age_is_that_of_the_last_sign),
        cmocka_unit_test(test_a_sign_a_second_and_no_more),
        cmocka_unit_test(test_what_has_ended_has_no_sign),
        cmocka_unit_test(test_a_file_of_another_kind_is_no_sign),
        cmocka_unit_test(test_a_path_that_cannot_be_written_is_told_at_once),
        cmocka_unit_test(test_without_a_path_nothing_is_done),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

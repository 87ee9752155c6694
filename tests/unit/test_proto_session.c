#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/proto.h"

#include <errno.h>
#include <string.h>

static buffer_t b;

static int clear(void **state)
{
    (void)state;
    buffer_done(&b);
    return 0;
}

static int command(void)
{
    const char *why;
    assert_false(b.failed);
    return proto_command(b.data, b.len, &why);
}

static hello_t worker_hello(void)
{
    return (hello_t){.version_min = 1,
                     .version_max = 3,
                     .role = ROLE_WORKER,
                     .session = CODEC_INT_MAX,
                     .window = WINDOW_MAX,
                     .kind = "restart-simulate",
                     .leg = "restart"};
}

static void hello_of_a_worker_comes_back(void **state)
{
    (void)state;
    const uint64_t refs[] = {0, 1, CODEC_INT_MAX};
    hello_t h = worker_hello();
    hello_t got;
    h.held_count = 3;
    encode_hello(&b, &h, refs);
    assert_int_equal(command(), CMD_HELLO);
    assert_int_equal(decode_hello(b.data, b.len, &got), 0);
    assert_int_equal(got.version_min, 1);
    assert_int_equal(got.version_max, 3);
    assert_int_equal(got.role, ROLE_WORKER);
    assert_true(got.session == CODEC_INT_MAX);
    assert_int_equal(got.window, WINDOW_MAX);
    assert_string_equal(got.kind, "restart-simulate");
    assert_string_equal(got.leg, "restart");
    assert_int_equal(got.held_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(read_uint(&got.held, CODEC_INT_MAX) == refs[i]);
    }
    assert_int_equal(reader_end(&got.held), 0);
}

static void hello_of_a_consumer_comes_back(void **state)
{
    (void)state;
    const uint64_t ids[] = {1, 1, CODEC_INT_MAX, SEQ_MAX};
    hello_t h = {.version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = 1, .held_count = 4};
    hello_t got;
    encode_hello(&b, &h, ids);
    assert_int_equal(command(), CMD_HELLO);
    assert_int_equal(decode_hello(b.data, b.len, &got), 0);
    assert_int_equal(got.role, ROLE_CONSUMER);
    assert_int_equal(got.window, 0);
    assert_string_equal(got.kind, "");
    assert_string_equal(got.leg, "");
    assert_int_equal(got.held_count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(hello_of_a_worker_comes_back, clear),
        cmocka_unit_test_teardown(hello_of_a_consumer_comes_back, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

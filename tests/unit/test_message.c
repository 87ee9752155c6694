#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/message.h"

#include <errno.h>
#include <string.h>

static void an_id_is_written_as_the_protocol_says(void **state)
{
    (void)state;
    char text[MESSAGE_ID_TEXT];
    message_id_format((message_id_t){UINT64_C(0x5d1e9a0c44f3b210), 42}, text);
    assert_string_equal(text, "5d1e9a0c44f3b210-42");
    message_id_t id;
    assert_int_equal(message_id_parse(text, &id), 0);
    assert_true(id.stream == UINT64_C(0x5d1e9a0c44f3b210) && id.seq == 42);
}

static void a_made_body_parses(void **state)
{
    (void)state;
    buffer_t b;
    body_t body;
    char why[WHY_BYTES];
    buffer_init(&b);
    assert_int_equal(body_make("cattle-0001", 11, "example.net", 1234, 100, &b, why), 0);
    assert_int_equal(body_parse(b.data, b.len, &body), 0);
    assert_int_equal(body.instance_len, 11);
    assert_memory_equal(body.instance, "cattle-0001", 11);
    assert_int_equal(body.host_len, 23);
    assert_memory_equal(body.host, "cattle-0001.example.net", 23);
    assert_int_equal(body.published_ms, 1234);
    assert_int_equal(body.attributes, 1);
    buffer_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_written_as_the_protocol_says),
        cmocka_unit_test(a_made_body_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

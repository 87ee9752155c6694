#include "common/core/codec.h"
#include "common/runtime/body_line.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static buffer_t body;
static char name[HOST_BYTES_MAX + 1];
static char why[WHY_BYTES];

static int setup(void **state)
{
    (void)state;
    buffer_init(&body);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buffer_done(&body);
    return 0;
}

static int convert(const char *line)
{
    why[0] = '\0';
    buffer_clear(&body);
    return body_from_line(line, strlen(line), &body, name, why);
}

/* The one pair of a body of one pair. */
static void assert_pair(const char *key, const char *value)
{
    reader_t r;
    uint32_t len = 0;
    reader_init(&r, body.data, body.len);
    assert_int_equal(read_map(&r, 64), 1);
    const char *text = read_str(&r, 64, &len);
    assert_int_equal(len, strlen(key));
    assert_memory_equal(text, key, len);
    text = read_str(&r, 4096, &len);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(text, value, len);
    assert_int_equal(reader_end(&r), 0);
}

static void a_name_is_an_instance_and_with_a_dot_a_host(void **state)
{
    (void)state;
    assert_int_equal(convert("web-1"), 0);
    assert_pair("instance", "web-1");
    assert_string_equal(name, "web-1");
    assert_int_equal(convert("db.example.org"), 0);
    assert_pair("host", "db.example.org");
    assert_string_equal(name, "db.example.org");
}

static void what_a_name_says_is_not_judged_here(void **state)
{
    (void)state;
    assert_int_equal(convert(""), 0);
    assert_pair("instance", "");
    assert_int_equal(convert("; rm -rf /"), 0);
    assert_pair("instance", "; rm -rf /");
    assert_int_equal(convert("\xff\xfe"), 0);
    char line[401];
    memset(line, 'a', 400);
    line[400] = '\0';
    assert_int_equal(convert(line), 0);
    assert_pair("instance", line);
    assert_int_equal(strlen(name), HOST_BYTES_MAX);
}

static void an_object_keeps_its_attributes(void **state)
{
    (void)state;
    buffer_t stored;
    buffer_t json;
    body_t b;
    assert_int_equal(convert("{\"why\":\"kernel\",\"instance\":\"web-1\",\"n\":-3,\"x\":1.5,\"on\":true,"
                             "\"off\":false,\"none\":null}"),
                     0);
    assert_string_equal(name, "web-1");
    buffer_init(&stored);
    buffer_init(&json);
    assert_int_equal(body_normalise(body.data, body.len, "example.net", 7, &stored, why), 0);
    assert_int_equal(body_parse(stored.data, stored.len, &b), 0);
    assert_int_equal(b.host_len, strlen("web-1.example.net"));
    body_attributes_json(&b, &json);
    buffer_append(&json, "", 1);
    assert_string_equal((const char *)json.data,
                        "{\"why\":\"kernel\",\"n\":-3,\"x\":1.5,\"on\":true,\"off\":false,\"none\":null}");
    buffer_done(&stored);
    buffer_done(&json);
}

static void bad_objects_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *why;
    } rows[] = {
        {"{", "no JSON object"},
        {"{\"instance\":\"a\"} x", "no JSON object"},
        {"{\"instance\":\"a\",\"instance\":\"b\"}", "no JSON object: duplicate"},
        {"{\"instance\":\"a\",\"tags\":[1]}", "\"tags\" is no text"},
        {"{\"instance\":\"a\",\"t\\u001bs\":{}}", "\"t\\x1bs\" is no text"},
        {"{\"instance\":\"\xff\"}", "no JSON object"},
        {"{\"a\\u0000b\":1}", "no JSON object"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(convert(rows[i].line), -EINVAL);
        assert_non_null(strstr(why, rows[i].why));
        assert_int_equal(body.len, 0);
    }
}

static void what_was_in_the_buffer_stays(void **state)
{
    (void)state;
    buffer_append(&body, "abc", 3);
    assert_int_equal(body_from_line("{\"x\":[]}", 8, &body, NULL, why), -EINVAL);
    assert_int_equal(body.len, 3);
    assert_int_equal(body_from_line("x", 1, &body, NULL, why), 0);
    assert_memory_equal(body.data, "abc", 3);
    assert_true(body.len > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_is_an_instance_and_with_a_dot_a_host, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_name_says_is_not_judged_here, setup, teardown),
        cmocka_unit_test_setup_teardown(an_object_keeps_its_attributes, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_objects_are_refused_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_in_the_buffer_stays, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

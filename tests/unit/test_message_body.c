#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/codec.h"
#include "common/core/message.h"
#include "frame_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static buffer_t in, out;
static char why[WHY_BYTES];

static int clear(void **state)
{
    (void)state;
    buffer_done(&in);
    buffer_done(&out);
    return 0;
}

static const int64_t now_ms = INT64_C(1765432100123);

static int normalise(void)
{
    memcpy(why, "none", 5);
    buffer_clear(&out);
    return body_normalise(in.data, in.len, "example.net", now_ms, &out, why);
}

/* The client's body, and what is stored of it; both as JSON. */
static void assert_stored(const char *given, const char *stored)
{
    buffer_t expected;
    buffer_init(&expected);
    frame_json(&expected, stored);
    frame_json(&in, given);
    if (normalise() != 0) {
        fail_msg("%s: %s", given, why);
    }
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, expected.len);
    buffer_done(&expected);
}

static void assert_refused(const char *given, const char *expected)
{
    frame_json(&in, given);
    buffer_clear(&out);
    buffer_append(&out, "before", 6);
    assert_int_equal(body_normalise(in.data, in.len, "example.net", now_ms, &out, why), -EINVAL);
    assert_string_equal(why, expected);
    assert_int_equal(out.len, 6);
    assert_memory_equal(out.data, "before", 6);
    assert_int_equal(body_normalise(in.data, in.len, "example.net", now_ms, &out, NULL), -EINVAL);
}

/* --- normalising --- */

static void instance_becomes_host(void **state)
{
    (void)state;
    assert_stored("{\"instance\":\"web-1\"}",
                  "{\"host\":\"web-1.example.net\",\"published_at\":1765432100123}");
    assert_stored("{\"instance\":\"web-1\",\"published_at\":5}",
                  "{\"host\":\"web-1.example.net\",\"published_at\":5}");
    assert_stored("{\"published_at\":5,\"host\":\"web-1.example.org\"}",
                  "{\"host\":\"web-1.example.org\",\"published_at\":5}");
}

static void attributes_keep_their_order_and_values(void **state)
{
    (void)state;
    assert_stored(
        "{\"b\":1,\"instance\":\"web-1\",\"a\":null,\"published_at\":0,\"c\":\"text\",\"d\":1.5,\"e\":false,"
        "\"f\":-1,\"g\":\"uint:18446744073709551615\"}",
        "{\"host\":\"web-1.example.net\",\"published_at\":0,\"b\":1,\"a\":null,\"c\":\"text\",\"d\":1.5,"
        "\"e\":false,\"f\":-1,\"g\":\"uint:18446744073709551615\"}");
}

/* Keys as long as the ones with a meaning, and the beginnings of those. */
static void only_the_whole_key_has_a_meaning(void **state)
{
    (void)state;
    assert_stored("{\"name\":\"A\",\"location\":\"B\",\"restarted_at\":\"C\",\"hos\":1,\"instances\":5,"
                  "\"host\":\"a.b\",\"published_a\":2,\"h\":3}",
                  "{\"host\":\"a.b\",\"published_at\":1765432100123,\"name\":\"A\",\"location\":\"B\","
                  "\"restarted_at\":\"C\",\"hos\":1,\"instances\":5,\"published_a\":2,\"h\":3}");
}

static void a_stored_body_is_stored_as_it_is(void **state)
{
    (void)state;
    assert_stored("{\"host\":\"a.b\",\"published_at\":9223372036854775807,\"k\":\"v\"}",
                  "{\"host\":\"a.b\",\"published_at\":9223372036854775807,\"k\":\"v\"}");
}

static void a_name_is_given_once(void **state)
{
    (void)state;
    assert_refused("{}", "neither instance nor host is given");
    assert_refused("{\"published_at\":5,\"hosts\":\"a.b\"}", "neither instance nor host is given");
    assert_refused("{\"instance\":\"a\",\"host\":\"a.b\"}", "both instance and host are given");
    assert_refused("{\"instance\":5}", "instance is not a string");
    assert_refused("{\"instance\":null}", "instance is not a string");
    assert_refused("{\"host\":true}", "host is not a string");
    assert_refused("{\"instance\":\"\"}", "instance \"\" is empty");
    assert_refused("{\"host\":\"\"}", "host \"\" is empty");
    assert_refused("{\"host\":\"web\"}", "host \"web\" has no dot");
    assert_refused("{\"instance\":\"a.b\"}", "instance \"a.b\" has a byte other than a-z 0-9 - in a label");
    assert_refused("{\"instance\":\"; rm -rf /\"}",
                   "instance \"; rm -rf /\" has a byte other than a-z 0-9 - in a label");
}

static void published_at_is_a_time(void **state)
{
    (void)state;
    const char *expected = "published_at is not a whole number of milliseconds from 0 to 2^63-1";
    assert_refused("{\"instance\":\"a\",\"published_at\":-1}", expected);
    assert_refused("{\"instance\":\"a\",\"published_at\":\"uint:9223372036854775808\"}", expected);
    assert_refused("{\"instance\":\"a\",\"published_at\":1.5}", expected);
    assert_refused("{\"instance\":\"a\",\"published_at\":\"5\"}", expected);
    assert_refused("{\"instance\":\"a\",\"published_at\":null}", expected);
}

static void attributes_are_flat(void **state)
{
    (void)state;
    assert_refused("{\"instance\":\"a\",\"k\":[]}",
                   "attribute \"k\" is not a string, number, boolean or nil");
    assert_refused("{\"instance\":\"a\",\"k\":{}}",
                   "attribute \"k\" is not a string, number, boolean or nil");
    assert_refused("{\"k\\n\":[1],\"instance\":\"a\"}",
                   "attribute \"k\\x0a\" is not a string, number, boolean or nil");
    assert_refused("{\"instance\":\"a\",\"k\":\"bin:\"}",
                   "attribute \"k\" is not a string, number, boolean or nil");
}

static void what_is_no_map(void **state)
{
    (void)state;
    assert_refused("[]", "body is not a map");
    assert_refused("\"host\"", "body is not a map");
    assert_refused("null", "body is not a map");
}

static void what_is_no_good_messagepack(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {"", 0, "body is empty"},
        {"\x81\xa4host", 6, "body ends in the middle of a value"},
        {"\x80\x00", 2, "body has bytes behind its end"},
        {"\x82\xa1k\x01\xa1k\x02", 7, "body holds a map key twice"},
        {"\x81\x01\x02", 3, "body holds a map key that is not a string"},
        {"\x81\xa1k\xa1\xff", 5, "body holds a string that is not UTF-8"},
        {"\x81\xa1k\xd4\x01\x00", 6, "body holds an extension type"},
        {"\xdf\xff\xff\xff\xff", 5, "body announces more elements than bytes are left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buffer_clear(&in);
        buffer_append(&in, cases[i].bytes, cases[i].len);
        assert_int_equal(normalise(), -EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(out.len, 0);
    }
}

static void write_pair(const char *key, size_t key_len, const char *value)
{
    write_str(&in, key, key_len);
    write_str(&in, value, strlen(value));
}

/* A body with `attributes` of them and an instance, and published_at when `dated`. */
static void write_many(uint32_t attributes, bool dated)
{
    char key[8];
    buffer_clear(&in);
    write_map(&in, attributes + 1 + dated);
    for (uint32_t i = 0; i < attributes; i++) {
        snprintf(key, sizeof key, "k%u", i);
        write_pair(key, strlen(key), "v");
    }
    write_pair("instance", 8, "a");
    if (dated) {
        write_str(&in, "published_at", 12);
        write_uint(&in, 5);
    }
}

static void up_to_64_keys_as_stored(void **state)
{
    (void)state;
    body_t body;
    write_many(62, true);
    assert_int_equal(normalise(), 0);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    assert_int_equal(body.attributes, 62);
    write_many(62, false);
    assert_int_equal(normalise(), 0);
    write_many(63, false); /* 64 keys here, 65 with published_at */
    assert_int_equal(normalise(), -EINVAL);
    assert_string_equal(why, "63 attributes, the limit is 62");
    write_many(63, true);
    assert_int_equal(normalise(), -EINVAL);
    assert_string_equal(why, "body holds a map of more than 64 keys");
}

static void keys_of_1_to_64_bytes(void **state)
{
    (void)state;
    char key[ATTRIBUTE_KEY_BYTES_MAX + 1];
    const size_t lengths[] = {0, 1, 64, 65};
    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < 4; i++) {
        buffer_clear(&in);
        write_map(&in, 2);
        write_pair("instance", 8, "a");
        write_pair(key, lengths[i], "v");
        assert_int_equal(normalise(), i == 0 || i == 3 ? -EINVAL : 0);
    }
    assert_string_equal(why, "a key of 65 bytes, only 1 to 64 are allowed");
}

/* A body of exactly `len` bytes, padded in one attribute. */
static void write_sized(const char *name_key, const char *name, size_t len)
{
    buffer_clear(&in);
    write_map(&in, 2);
    write_pair(name_key, strlen(name_key), name);
    write_str(&in, "pad", 3);
    size_t pad = len - in.len - 3;
    write_str_head(&in, (uint32_t)pad); /* three bytes for these lengths */
    for (size_t i = 0; i < pad; i++) {
        buffer_append(&in, "x", 1);
    }
    assert_int_equal(in.len, len);
}

static void a_body_of_65536_bytes_also_when_stored(void **state)
{
    (void)state;
    body_t body;
    write_sized("host", "a.b", BODY_BYTES_MAX + 1);
    assert_int_equal(normalise(), -EINVAL);
    assert_string_equal(why, "body of 65537 bytes, the limit is 65536");
    /* published_at takes 22 bytes: its key 13, the number 9. */
    write_sized("host", "a.b", BODY_BYTES_MAX - 22);
    assert_int_equal(normalise(), 0);
    assert_int_equal(out.len, BODY_BYTES_MAX);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    write_sized("host", "a.b", BODY_BYTES_MAX - 21);
    assert_int_equal(normalise(), -EINVAL);
    assert_string_equal(why, "body takes 65537 bytes when stored, the limit is 65536");
    assert_int_equal(out.len, 0);
    write_sized("instance", "a", BODY_BYTES_MAX);
    assert_int_equal(normalise(), -EINVAL);
}

static void a_host_with_its_domain_stays_within_253(void **state)
{
    (void)state;
    char domain[400];
    body_t body;
    memset(domain, 'd', sizeof domain);
    for (size_t dot = 61; dot < sizeof domain; dot += 62) {
        domain[dot] = '.';
    }
    frame_json(&in, "{\"instance\":\"a12345678901234567890\"}"); /* 21, and a dot */
    domain[231] = '\0';
    assert_int_equal(body_normalise(in.data, in.len, domain, 1, &out, why), 0);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    assert_int_equal(body.host_len, 253);
    assert_int_equal(body.instance_len, 21);
    domain[231] = 'd';
    for (size_t len = 232; len < sizeof domain; len++) {
        char longer[sizeof domain];
        memcpy(longer, domain, len);
        longer[len] = '\0';
        buffer_clear(&out);
        assert_int_equal(body_normalise(in.data, in.len, longer, 1, &out, why), -EINVAL);
        assert_non_null(strstr(why, "is longer than 253 bytes"));
    }
    assert_int_equal(body_normalise(in.data, in.len, "", 1, &out, why), -EINVAL);
    assert_string_equal(why, "host \"a12345678901234567890.\" has an empty label");
}

static void without_memory_the_output_tells(void **state)
{
    (void)state;
    frame_json(&in, "{\"instance\":\"a\"}");
    buffer_append(&out, "before", 6);
    (void)buffer_reserve(&out, SIZE_MAX);
    assert_int_equal(body_normalise(in.data, in.len, "example.net", 1, &out, why), 0);
    assert_true(out.failed);
    assert_int_equal(out.len, 6);
}

/* --- making --- */

static void names_become_bodies(void **state)
{
    (void)state;
    body_t body;
    assert_int_equal(body_make("web-1", 5, "example.org", 0, 0, &out, why), 0);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    assert_memory_equal(body.host, "web-1.example.org", body.host_len);
    assert_int_equal(body.host_len, 17);
    assert_int_equal(body.instance_len, 5);
    assert_int_equal(body.published_ms, 0);
    assert_int_equal(body.attributes, 0);
    buffer_clear(&out);
    assert_int_equal(body_make("web-1.de", 8, "example.org", INT64_MAX, 0, &out, NULL), 0);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    assert_memory_equal(body.host, "web-1.de", body.host_len);
    assert_int_equal(body.host_len, 8);
    assert_true(body.published_ms == INT64_MAX);
}

static void names_that_become_none(void **state)
{
    (void)state;
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    const struct {
        const char *name;
        size_t len;
    } cases[] = {{"", 0},   {"; rm -rf /", 10}, {"a b", 3},  {"A", 1},     {"a\0", 2},    {"-a", 2},
                 {"a.", 2}, {".", 1},           {"\xff", 1}, {longer, 64}, {longer, 300}, {longer, 1000}};
    buffer_append(&out, "before", 6);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(body_make(cases[i].name, cases[i].len, "example.net", 1, 0, &out, why), -EINVAL);
        assert_int_equal(body_make(cases[i].name, cases[i].len, "example.net", 1, 100, &out, NULL), -EINVAL);
        assert_int_equal(out.len, 6);
    }
    for (size_t dot = 10; dot < sizeof longer; dot += 20) {
        longer[dot] = '.';
    }
    assert_int_equal(body_make(longer, 253, "example.net", 1, 0, &out, why), 0);
    for (size_t len = 254; len <= sizeof longer; len++) {
        assert_int_equal(body_make(longer, len, "example.net", 1, 0, &out, why), -EINVAL);
        assert_non_null(strstr(why, "is longer than 253 bytes"));
    }
}

static void the_pad_has_just_its_size(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 31, 32, 63, 64, 65, 255, 256, 1000, 65000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        body_t body;
        reader_t r;
        uint32_t len;
        buffer_clear(&out);
        assert_int_equal(body_make("a", 1, "b", 1, sizes[i], &out, why), 0);
        assert_int_equal(body_parse(out.data, out.len, &body), 0);
        assert_int_equal(body.attributes, 1);
        reader_init(&r, body.attributes_at, body.attributes_len);
        const char *key = read_str(&r, 3, &len);
        assert_memory_equal(key, "pad", 3);
        const char *pad = read_str(&r, BODY_BYTES_MAX, &len);
        assert_int_equal(len, sizes[i]);
        for (uint32_t k = 0; k < len; k++) {
            assert_int_equal(pad[k], 'x');
        }
        assert_int_equal(reader_end(&r), 0);
    }
}

static void the_largest_pad_fills_a_body(void **state)
{
    (void)state;
    body_t body;
    assert_int_equal(body_make("a", 1, "b", 1, 0, &out, why), 0);
    size_t largest = BODY_BYTES_MAX - out.len - 4 - 3; /* its key and its header */
    buffer_clear(&out);
    assert_int_equal(body_make("a", 1, "b", 1, largest, &out, why), 0);
    assert_int_equal(out.len, BODY_BYTES_MAX);
    assert_int_equal(body_parse(out.data, out.len, &body), 0);
    buffer_clear(&out);
    assert_int_equal(body_make("a", 1, "b", 1, largest + 1, &out, why), -EINVAL);
    assert_string_equal(why, "body takes 65537 bytes when stored, the limit is 65536");
    assert_int_equal(out.len, 0);
    assert_int_equal(body_make("a", 1, "b", 1, SIZE_MAX, &out, why), -EINVAL);
    assert_non_null(strstr(why, "the limit of a body is 65536"));
}

/* --- parsing --- */

static void only_the_stored_form_parses(void **state)
{
    (void)state;
    const char *const bad[] = {
        "[]",
        "{}",
        "{\"host\":\"a.b\"}",
        "{\"published_at\":5,\"host\":\"a.b\"}",
        "{\"k\":1,\"host\":\"a.b\",\"published_at\":5}",
        "{\"host\":\"a.b\",\"k\":1,\"published_at\":5}",
        "{\"instance\":\"a\",\"published_at\":5}",
        "{\"host\":\"a\",\"published_at\":5}",
        "{\"host\":\"A.b\",\"published_at\":5}",
        "{\"host\":\"bin:a.b\",\"published_at\":5}",
        "{\"host\":5,\"published_at\":5}",
        "{\"host\":\"a.b\",\"published_at\":-5}",
        "{\"host\":\"a.b\",\"published_at\":[5]}",
        "{\"host\":[],\"published_at\":5}",
        "{\"name\":\"a.b\",\"published_at\":5}",
        "{\"host\":\"a.b\",\"restarted_at\":5}",
        "{\"host\":\"a.b\",\"published_at\":\"5\"}",
        "{\"host\":\"a.b\",\"published_at\":\"uint:9223372036854775808\"}",
        "{\"host\":\"a.b\",\"published_at\":5,\"instance\":\"a\"}",
        "{\"host\":\"a.b\",\"published_at\":5,\"k\":[]}",
        "{\"host\":\"a.b\",\"published_at\":5,\"k\":{}}",
        "{\"host\":\"a.b\",\"published_at\":5,\"k\":\"bin:x\"}",
        "{\"host\":\"a.b\",\"published_at\":5,\"\":1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        body_t body = {.published_ms = 77};
        frame_json(&in, bad[i]);
        if (body_parse(in.data, in.len, &body) != -EPROTO) {
            fail_msg("%s parses", bad[i]);
        }
        assert_int_equal(body.published_ms, 77);
    }
    body_t body;
    frame_json(&in, "{\"host\":\"a.b\",\"published_at\":5,\"k\":1}");
    assert_int_equal(body_parse(in.data, in.len, &body), 0);
    for (size_t len = 0; len < in.len; len++) {
        assert_int_equal(body_parse(in.data, len, &body), -EPROTO);
    }
    buffer_append(&in, "\xc0", 1);
    assert_int_equal(body_parse(in.data, in.len, &body), -EPROTO);
    write_sized("host", "a.b", BODY_BYTES_MAX + 1);
    assert_int_equal(body_parse(in.data, in.len, &body), -EPROTO);
}

static void a_parsed_body_points_into_its_bytes(void **state)
{
    (void)state;
    body_t body;
    frame_json(&in, "{\"host\":\"web-1.eu.example.net\",\"published_at\":5,\"k\":1,\"l\":2}");
    assert_int_equal(body_parse(in.data, in.len, &body), 0);
    assert_memory_equal(body.instance, "web-1", 5);
    assert_int_equal(body.instance_len, 5);
    assert_ptr_equal(body.instance, body.host);
    assert_int_equal(body.host_len, 20);
    assert_int_equal(body.published_ms, 5);
    assert_int_equal(body.attributes, 2);
    assert_int_equal(body.attributes_len, 6);
    assert_ptr_equal(body.attributes_at + body.attributes_len, in.data + in.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(instance_becomes_host, clear),
        cmocka_unit_test_teardown(attributes_keep_their_order_and_values, clear),
        cmocka_unit_test_teardown(only_the_whole_key_has_a_meaning, clear),
        cmocka_unit_test_teardown(a_stored_body_is_stored_as_it_is, clear),
        cmocka_unit_test_teardown(a_name_is_given_once, clear),
        cmocka_unit_test_teardown(published_at_is_a_time, clear),
        cmocka_unit_test_teardown(attributes_are_flat, clear),
        cmocka_unit_test_teardown(what_is_no_map, clear),
        cmocka_unit_test_teardown(what_is_no_good_messagepack, clear),
        cmocka_unit_test_teardown(up_to_64_keys_as_stored, clear),
        cmocka_unit_test_teardown(keys_of_1_to_64_bytes, clear),
        cmocka_unit_test_teardown(a_body_of_65536_bytes_also_when_stored, clear),
        cmocka_unit_test_teardown(a_host_with_its_domain_stays_within_253, clear),
        cmocka_unit_test_teardown(without_memory_the_output_tells, clear),
        cmocka_unit_test_teardown(names_become_bodies, clear),
        cmocka_unit_test_teardown(names_that_become_none, clear),
        cmocka_unit_test_teardown(the_pad_has_just_its_size, clear),
        cmocka_unit_test_teardown(the_largest_pad_fills_a_body, clear),
        cmocka_unit_test_teardown(only_the_stored_form_parses, clear),
        cmocka_unit_test_teardown(a_parsed_body_points_into_its_bytes, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

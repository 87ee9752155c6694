#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "workers/restart/restart_docker_allow.h"

#define ID "c0ffee0000000000000000000000000000000000000000000000000000000001"

/* --- paths --- */

static void a_name_is_one_element_of_a_path(void **state)
{
    (void)state;
    char path[CALL_PATH_BYTES];
    assert_int_equal(call_inspect(path, "web-1.example.net", 17), 0);
    assert_string_equal(path, "/containers/web-1.example.net/json");
    assert_int_equal(call_inspect(path, "Web_1x", 5), 0);
    assert_string_equal(path, "/containers/Web_1/json");
    call_restart(path, ID, 10);
    assert_string_equal(path, "/containers/" ID "/restart?t=10");
}

/* The codec lets none of these through; here they end, too. */
static void hostile_names_are_no_containers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",   ".",      "..",     "../images", "a/../b",     "a/restart", "/etc",     "a?t=0",
        "a#", "a%2f..", "%2e%2e", "a b",       "a\nHost: x", "a\r\n\r\n", "\xc3\xa4", "-a",
        "_a", "a\\b",   "a:2375", "http://x",  "a@b",        "a;b",       "a&all=1",  "a\"b"};
    char path[CALL_PATH_BYTES], longest[CONTAINER_NAME_MAX + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(call_inspect(path, bad[i], strlen(bad[i])), -EINVAL);
    assert_int_equal(call_inspect(path, "a\0b", 3), -EINVAL);
    memset(longest, 'a', sizeof longest);
    assert_int_equal(call_inspect(path, longest, CONTAINER_NAME_MAX), 0);
    assert_int_equal(call_inspect(path, longest, CONTAINER_NAME_MAX + 1), -EINVAL);
}

static void a_label_is_one_value_of_a_query(void **state)
{
    (void)state;
    static const char begin[] = "/containers/json?all=1&limit=2&filters=";
    static const char *const values[] = {"web-1", "a\"],\"id\":[\"b", "a&all=0", "a#b", "../x", "a b",
                                         "\\",    "\xc3\xa4"};
    char path[CALL_PATH_BYTES];
    assert_int_equal(call_find(path, "net.example/host", "web-1", 5), 0);
    assert_string_equal(path, "/containers/json?all=1&limit=2&filters="
                              "%7B%22label%22%3A%5B%22net.example%2Fhost%3Dweb-1%22%5D%7D");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        assert_int_equal(call_find(path, "k", values[i], strlen(values[i])), 0);
        assert_int_equal(strncmp(path, begin, sizeof begin - 1), 0);
        assert_int_equal(strspn(path + sizeof begin - 1,
                                "%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_."),
                         strlen(path) - (sizeof begin - 1));
        /* A quote inside stays inside: %5C%22. */
        assert_true(strstr(path, "%22id%22%3A") == NULL || strstr(path, "%5C%22id%5C%22") != NULL);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char path[CALL_PATH_BYTES], value[CALL_PATH_BYTES];
    memset(value, ' ', sizeof value);
    assert_true(call_find(path, "k", value, sizeof value) < 0);
    assert_int_equal(call_find(path, "k", value, 253), 0);
}

/* --- answers --- */

static int read_text(container_t *ret, const char *json)
{
    return container_read(ret, json, strlen(json));
}

static void a_container_is_read(void **state)
{
    (void)state;
    container_t c;
    assert_int_equal(read_text(&c, "{\"Id\":\"" ID
                                   "\",\"Name\":\"/web-1\",\"State\":{\"Running\":true,\"ExitCode\":0,"
                                   "\"StartedAt\":\"2026-11-21T05:45:07.123456789Z\"},\"Config\":{\"Labels\":"
                                   "{\"a\":\"b\",\"n\":7}}}"),
                     0);
    assert_string_equal(c.id, ID);
    assert_string_equal(c.name, "web-1");
    assert_string_equal(c.started_at, "2026-11-21T05:45:07.123456789Z");
    assert_int_equal(c.started_ms, 1795239907123);
    assert_true(c.running);
    assert_string_equal(container_label(&c, "a"), "b");
    assert_null(container_label(&c, "n"));
    assert_null(container_label(&c, "b"));
    container_done(&c);
    /* Labels may be null; what its policy will start again does not run. */
    assert_int_equal(
        read_text(&c,
                  "{\"Id\":\"" ID "\",\"Name\":\"web-1\",\"State\":{\"Running\":true,\"Restarting\":true,"
                  "\"ExitCode\":137,\"StartedAt\":\"2026-11-21T05:45:07Z\"},\"Config\":{\"Labels\":null}}"),
        0);
    assert_false(c.running);
    assert_int_equal(c.exit_code, 137);
    assert_null(container_label(&c, "a"));
    container_done(&c);
}

static void what_is_no_container_is_refused(void **state)
{
    (void)state;
#define CONTAINER(id, name, running, at)                                                                     \
    "{\"Id\":" id ",\"Name\":" name ",\"State\":{\"Running\":" running ",\"StartedAt\":" at "}}"
#define AT "\"2026-11-21T05:45:07Z\""
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        CONTAINER("\"../x\"", "\"/web-1\"", "true", AT),
        CONTAINER("\"\"", "\"/web-1\"", "true", AT),
        CONTAINER("\"" ID "0\"", "\"/web-1\"", "true", AT),
        CONTAINER("7", "\"/web-1\"", "true", AT),
        CONTAINER("\"" ID "\"", "\"/\"", "true", AT),
        CONTAINER("\"" ID "\"", "null", "true", AT),
        CONTAINER("\"" ID "\"", "\"/web-1\"", "1", AT),
        CONTAINER("\"" ID "\"", "\"/web-1\"", "true", "\"now\""),
        CONTAINER("\"" ID "\"", "\"/web-1\"", "true", "7"),
        CONTAINER("\"" ID "\"", "\"/web-1\"", "true", AT) "}",
    };
    container_t c = {.id = "untouched"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_text(&c, bad[i]), -EPROTO);
    assert_string_equal(c.id, "untouched");
    assert_int_equal(read_text(&c, CONTAINER("\"" ID "\"", "\"/web-1\"", "true", AT)), 0);
    container_done(&c);
}

static void a_list_tells_how_many(void **state)
{
    (void)state;
    static const char two[] = "[{\"Id\":\"" ID "\"},{\"Id\":\"ab\"}]";
    char id[CONTAINER_ID_MAX + 1] = "untouched";
    size_t count = 9;
    assert_int_equal(containers_read(&count, id, "{}", 2), -EPROTO);
    assert_int_equal(containers_read(&count, id, "[{\"Id\":\"a/b\"}]", 14), -EPROTO);
    assert_int_equal(containers_read(&count, id, "[7]", 3), -EPROTO);
    assert_int_equal(count, 9);
    assert_string_equal(id, "untouched");
    assert_int_equal(containers_read(&count, id, "[]", 2), 0);
    assert_int_equal(count, 0);
    assert_int_equal(containers_read(&count, id, two, sizeof two - 1), 0);
    assert_int_equal(count, 2);
    assert_string_equal(id, ID);
}

static void an_error_is_cut_and_escaped(void **state)
{
    (void)state;
    static const char bell[] = "{\"message\":\"no \\u0007\\n\"}", other[] = "<html>";
    char text[16];
    assert_string_equal(error_read(bell, sizeof bell - 1, text, sizeof text), "no \\x07\\x0a");
    assert_string_equal(error_read(other, sizeof other - 1, text, sizeof text), "");
    assert_string_equal(error_read(NULL, 0, text, sizeof text), "");
    static const char long_one[] = "{\"message\":\"0123456789012345678901234567890123456789\"}";
    assert_string_equal(error_read(long_one, sizeof long_one - 1, text, sizeof text), "012345678901...");
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"0001-01-01T00:00:00Z", -62135596800000},
        {"2024-02-29T23:59:60.9Z", 1709251200900},
        {"2026-11-21T05:45:07.1234567899999Z", 1795239907123},
        {"2026-11-21T06:45:07.123+01:00", 1795239907123},
        {"2026-11-20T23:45:07.123-06:00", 1795239907123},
    };
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-21",
                                      "2026-11-21T05:45:07",
                                      "2026-11-21T05:45:07.Z",
                                      "2026-11-21T05:45:07z",
                                      "2026-13-21T05:45:07Z",
                                      "2026-00-21T05:45:07Z",
                                      "2026-11-32T05:45:07Z",
                                      "2026-11-21T24:45:07Z",
                                      "2026-11-21T05:45:07+1:00",
                                      "2026-11-21T05:45:07+24:00",
                                      "2026-11-21T05:45:07Zz",
                                      "-026-11-21T05:45:07Z",
                                      "2026-11-21 05:45:07Z"};
    int64_t ms = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(rfc3339_parse(bad[i], &ms), -EINVAL);
    assert_int_equal(ms, 7);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(rfc3339_parse(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
}

/* --- rules --- */

static bool is_allowed(const char *name, const char *labels, const char *pattern, const char *rule)
{
    char json[512];
    container_t c;
    const allow_t allow = {
        .names = &pattern, .names_count = pattern != NULL, .labels = &rule, .labels_count = rule != NULL};
    snprintf(json, sizeof json,
             "{\"Id\":\"" ID
             "\",\"Name\":\"/%s\",\"State\":{\"Running\":true,\"StartedAt\":\"2026-11-21T05:45:07Z\"},"
             "\"Config\":{\"Labels\":%s}}",
             name, labels);
    assert_int_equal(read_text(&c, json), 0);
    const bool allowed = allow_match(&allow, &c);
    container_done(&c);
    return allowed;
}

static void rules_name_what_is_allowed(void **state)
{
    (void)state;
    static const char labels[] = "{\"restart\":\"yes\",\"empty\":\"\",\"a\":\"b=c\"}";
    assert_false(is_allowed("web-1", labels, NULL, NULL));
    assert_true(is_allowed("web-1", labels, "web-*", NULL));
    assert_true(is_allowed("web-1", labels, "*", NULL));
    assert_false(is_allowed("web-1", labels, "web", NULL));
    assert_false(is_allowed("my-web-1", labels, "web-*", NULL));
    assert_false(is_allowed("web-1", labels, "/web-1", NULL));
    assert_true(is_allowed("db-1", labels, "web-*", "restart"));
    assert_true(is_allowed("db-1", labels, NULL, "restart=yes"));
    assert_false(is_allowed("db-1", labels, NULL, "restart=no"));
    assert_false(is_allowed("db-1", labels, NULL, "restart="));
    assert_false(is_allowed("db-1", labels, NULL, "rest"));
    assert_true(is_allowed("db-1", labels, NULL, "empty="));
    assert_true(is_allowed("db-1", labels, NULL, "a=b=c"));
    assert_false(is_allowed("db-1", "null", NULL, "restart"));
    assert_false(is_allowed("db-1", "{\"restart\":true}", NULL, "restart"));
}

static void a_rule_for_labels_has_a_key(void **state)
{
    (void)state;
    char rule[LABEL_KEY_BYTES_MAX + 3];
    assert_false(allow_label_check(""));
    assert_false(allow_label_check("=x"));
    assert_true(allow_label_check("k"));
    assert_true(allow_label_check("k="));
    memset(rule, 'k', sizeof rule);
    rule[LABEL_KEY_BYTES_MAX] = '\0';
    assert_true(allow_label_check(rule));
    rule[LABEL_KEY_BYTES_MAX] = 'k';
    rule[LABEL_KEY_BYTES_MAX + 1] = '\0';
    assert_false(allow_label_check(rule));
    assert_false(is_allowed("db-1", "{\"restart\":\"yes\"}", NULL, rule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_element_of_a_path),
        cmocka_unit_test(hostile_names_are_no_containers),
        cmocka_unit_test(a_label_is_one_value_of_a_query),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_container_is_read),
        cmocka_unit_test(what_is_no_container_is_refused),
        cmocka_unit_test(a_list_tells_how_many),
        cmocka_unit_test(an_error_is_cut_and_escaped),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(rules_name_what_is_allowed),
        cmocka_unit_test(a_rule_for_labels_has_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

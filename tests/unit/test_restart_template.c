/* Commands from templates: how they are split into words, what is refused and where, what values become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/core/backoff.h"
#include "workers/restart/argv_template.h"

enum { WORDS_MAX = 16, ROUNDS = 400, LETTERS_MAX = 12 };

#define VALUE(s)                                                                                             \
    {                                                                                                        \
        (s), strlen(s)                                                                                       \
    }

static const argv_values_t usual = {.of = {[VALUE_HOST] = {"web-1.example.net", 17},
                                           [VALUE_INSTANCE] = {"web-1", 5},
                                           [VALUE_ID] = {"5d1e9a0c44f3b210-42", 19},
                                           [VALUE_TRY] = {"3", 1},
                                           [VALUE_BOOT_ID] = {"a1:b2", 5}}};

static argv_template_t *parse(const char *text)
{
    argv_template_t *t = NULL;
    char why[WHY_BYTES];

    if (argv_template_parse(&t, text, why) != 0)
        fail_msg("%s: %s", text, why);
    return t;
}

static void expect(const char *text, const char *const *words)
{
    argv_template_t *t = parse(text);
    char **argv = NULL;
    size_t i = 0;

    assert_int_equal(argv_template_fill(t, &usual, &argv), 0);
    for (; words[i] != NULL; i++) {
        assert_non_null(argv[i]);
        assert_string_equal(argv[i], words[i]);
    }
    assert_null(argv[i]);
    free(argv);
    argv_template_destroy(&t);
    assert_null(t);
}
#define EXPECT(text, ...) expect(text, (const char *const[]){__VA_ARGS__, NULL})

static void test_words_are_split_as_a_shell_would(void **state)
{
    (void)state;
    EXPECT("reboot", "reboot");
    EXPECT("  ssh \t host\n", "ssh", "host");
    EXPECT("a 'b c' \"d e\" f\\ g", "a", "b c", "d e", "f g");
    EXPECT("a '' \"\" b", "a", "", "", "b");
    EXPECT("a''b'c'\"d\"", "abcd");
    EXPECT("a 'b\\c' 'd\"e' \"f'g\"", "a", "b\\c", "d\"e", "f'g");
    EXPECT("a \"b\\\"c\\\\d\\$e\\`f\\gh\"", "a", "b\"c\\d$e`f\\gh");
    EXPECT("a \\' \\\" \\\\ \\{ \\}", "a", "'", "\"", "\\", "{", "}");
    EXPECT("a \xc3\xa4", "a", "\xc3\xa4");
}

static void test_there_is_no_shell(void **state)
{
    (void)state;
    EXPECT("a $HOME `b` $(c) *.d ~ | > e ; f & # g", "a", "$HOME", "`b`", "$(c)", "*.d", "~", "|", ">", "e",
           ";", "f", "&", "#", "g");
}

static void test_values_are_parts_of_words(void **state)
{
    (void)state;
    EXPECT("ssh {host} reboot", "ssh", "web-1.example.net", "reboot");
    EXPECT("a x{instance}y{try}z {id}{id}", "a", "xweb-1y3z", "5d1e9a0c44f3b210-425d1e9a0c44f3b210-42");
    EXPECT("a 'test {boot_id} = $(b)' \"{host}\"", "a", "test a1:b2 = $(b)", "web-1.example.net");
    EXPECT("a {{host}} '{{' }}{{{try}}}", "a", "{host}", "{", "}{3}");
    EXPECT("a {host}' 'x", "a", "web-1.example.net x");
}

static void test_which_values_are_used_is_known(void **state)
{
    argv_template_t *t = parse("ssh {host} {{boot_id}} {try}");

    (void)state;
    assert_true(argv_template_uses(t, VALUE_HOST));
    assert_true(argv_template_uses(t, VALUE_TRY));
    assert_false(argv_template_uses(t, VALUE_BOOT_ID));
    assert_string_equal(argv_template_program(t), "ssh");
    argv_template_destroy(&t);
    argv_template_destroy(&t);
}

static void refused(const char *text, const char *expected)
{
    argv_template_t *t = NULL;
    char why[WHY_BYTES] = "";

    if (argv_template_parse(&t, text, why) != -EINVAL)
        fail_msg("taken: %s", text);
    assert_null(t);
    if (strstr(why, expected) == NULL)
        fail_msg("'%s' says '%s' instead of '%s'", text, why, expected);
}

static void test_mistakes_are_told_with_their_place(void **state)
{
    char many[2 * TEMPLATE_WORDS_MAX + 3] = "", longest[TEMPLATE_BYTES_MAX + 2];

    (void)state;
    refused("ssh {hots} reboot",
            "'{hots}' is no placeholder; expected {host}, {instance}, {id}, {try} or {boot_id}");
    refused("ssh {hots} reboot", "at character 5");
    refused("ssh {HOST}", "at character 5");
    refused("ssh {}", "at character 5");
    refused("ssh { host}", "at character 5");
    refused("awk '{print $1}'", "{{ for a brace");
    refused("ssh {host", "a { without its } (a brace itself is written {{), at character 5");
    refused("ssh host}", "a } without its { (a brace itself is written }}), at character 9");
    refused("ssh 'host", "a ' that is not closed, at character 5");
    refused("ssh \"ho'st", "a \" that is not closed, at character 5");
    refused("ssh host\\", "a backslash with nothing behind it, at character 9");
    refused("", "no program is named");
    refused(" \t\n", "no program is named");
    refused("'' host", "no program is named");
    refused("{host} reboot", "no placeholder can be in it, at character 1");
    refused("/opt/{host}/reboot", "no placeholder can be in it, at character 6");
    refused("ssh a\x01"
            "b",
            "a control character, at character 6");
    refused("ssh a\\\x01"
            "b",
            "at character 7");
    refused("ssh '\x02'", "a control character, at character 6");
    for (int i = 0; i <= TEMPLATE_WORDS_MAX; i++)
        memcpy(many + (size_t)2 * i, "a ", 3);
    refused(many, "more than 128 words");
    many[2 * TEMPLATE_WORDS_MAX] = '\0';
    argv_template_t *t = parse(many);
    argv_template_destroy(&t);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    refused(longest, "longer than 4096 bytes");
    longest[sizeof longest - 2] = '\0';
    t = parse(longest);
    argv_template_destroy(&t);
}

static void test_what_is_no_value_is_refused(void **state)
{
    static const char *const bad[] = {"",     "-oProxyCommand=x.net",
                                      "-v",   ".a",
                                      "a b",  "a;b",
                                      "a\nb", "a/b",
                                      "a=b",  "+a",
                                      "a$b",  "\xc3\xa4",
                                      "a'b",  "a\"",
                                      "a{b}"};
    (void)state;
    for (int kind = 0; kind < VALUES_COUNT; kind++) {
        static const char *const templates[] = {"a {host}", "a {instance}", "a {id}", "a {try}",
                                                "a {boot_id}"};
        argv_template_t *t = parse(templates[kind]);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            argv_values_t values = usual;
            char **argv = NULL;
            values.of[kind] = (argv_value_t)VALUE(bad[i]);
            if (argv_template_fill(t, &values, &argv) != -EINVAL)
                fail_msg("taken for %s: '%s'", templates[kind], bad[i]);
        }
        argv_template_destroy(&t);
    }
    /* What no place asks for is not looked at. */
    argv_values_t none = {.of = {[VALUE_HOST] = {"web-1.example.net", 17}}};
    argv_template_t *t = parse("a {host}");
    char **argv = NULL;
    assert_int_equal(argv_template_fill(t, &none, &argv), 0);
    free(argv);
    argv_template_destroy(&t);
}

/* What a real shell makes of it: words, each with a NUL behind it. */
static size_t ask_shell(const char *text, char *ret, size_t size)
{
    char command[256];

    snprintf(command, sizeof command, "printf '%%s\\0' %s", text);
    setenv("MANDRILL_TEST_COMMAND", command, 1);
    /* It is the shell that is asked. NOLINTNEXTLINE(cert-env33-c) */
    FILE *pipe = popen("exec sh -c \"$MANDRILL_TEST_COMMAND\" 2>&1", "r");
    assert_non_null(pipe);
    const size_t n = fread(ret, 1, size, pipe);
    assert_int_equal(pclose(pipe), 0);
    return n;
}

static void test_a_shell_agrees(void **state)
{
    static const char letters[] = "ab '\"\\ '\"";
    uint64_t random = 20240607;
    int agreed = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char text[LETTERS_MAX + 3] = "w", why[WHY_BYTES], told[256], ours[256];
        argv_template_t *t = NULL;
        char **argv = NULL;
        size_t len = 0;
        const size_t n = 1 + random_next(&random) % LETTERS_MAX;
        for (size_t i = 1; i <= n; i++) {
            text[i] = letters[random_next(&random) % (sizeof letters - 1)];
            text[i + 1] = '\0';
        }
        if (argv_template_parse(&t, text, why) != 0)
            continue;
        assert_int_equal(argv_template_fill(t, &usual, &argv), 0);
        for (size_t i = 0; argv[i] != NULL; i++) {
            memcpy(ours + len, argv[i], strlen(argv[i]) + 1);
            len += strlen(argv[i]) + 1;
        }
        if (ask_shell(text, told, sizeof told) != len || memcmp(told, ours, len) != 0)
            fail_msg("a shell reads [%s] in another way", text);
        agreed++;
        free(argv);
        argv_template_destroy(&t);
    }
    assert_true(agreed > ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_split_as_a_shell_would),
        cmocka_unit_test(test_there_is_no_shell),
        cmocka_unit_test(test_values_are_parts_of_words),
        cmocka_unit_test(test_which_values_are_used_is_known),
        cmocka_unit_test(test_mistakes_are_told_with_their_place),
        cmocka_unit_test(test_what_is_no_value_is_refused),
        cmocka_unit_test(test_a_shell_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

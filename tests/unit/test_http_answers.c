/* What answers mean, and the two words of a look. */
#include "workers/http/answers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_a_status_decides(void **state)
{
    static const struct {
        int status;
        answer_t how;
    } rows[] = {
        {101, ANSWER_FAILED},    {200, ANSWER_GOOD},    {204, ANSWER_GOOD},      {299, ANSWER_GOOD},
        {301, ANSWER_REFUSED},   {304, ANSWER_REFUSED}, {400, ANSWER_REFUSED},   {404, ANSWER_REFUSED},
        {408, ANSWER_NOT_TAKEN}, {409, ANSWER_REFUSED}, {425, ANSWER_NOT_TAKEN}, {429, ANSWER_NOT_TAKEN},
        {451, ANSWER_REFUSED},   {500, ANSWER_FAILED},  {501, ANSWER_FAILED},    {502, ANSWER_FAILED},
        {503, ANSWER_FAILED},    {504, ANSWER_FAILED},  {599, ANSWER_FAILED},    {999, ANSWER_FAILED},
    };
    char text[ANSWER_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const http_answer_t a = {.end = HTTP_ANSWERED, .status = rows[i].status, .body = "", .why = ""};
        assert_int_equal(answer_judge(&a, text), rows[i].how);
        assert_true((text[0] == '\0') == (rows[i].how == ANSWER_GOOD));
    }
    http_answer_t a = {.end = HTTP_ANSWERED, .status = 503, .retry_ms = 1000, .body = "", .why = ""};
    assert_int_equal(answer_judge(&a, text), ANSWER_NOT_TAKEN);
    a = (http_answer_t){.end = HTTP_NOT_REACHED, .why = "refused"};
    assert_int_equal(answer_judge(&a, text), ANSWER_NOT_TAKEN);
    assert_string_equal(text, "the server was not reached: refused");
    a.end = HTTP_LOST;
    assert_int_equal(answer_judge(&a, text), ANSWER_FAILED);
    assert_string_equal(text, "no answer: refused");
    /* The first line of what it says, escaped. */
    const char body[] = "\r\n\n  over \x1b[31m quota\nand more";
    a = (http_answer_t){.end = HTTP_ANSWERED, .status = 429, .body = body, .len = sizeof body - 1};
    answer_judge(&a, text);
    assert_string_equal(text, "the server answered 429: over \\x1b[31m quota");
}

static void test_two_words_are_read(void **state)
{
    static const struct {
        const char *body;
        bool cut;
        const char *id; /* NULL: there is none */
        int64_t up_ms;
    } rows[] = {
        {"c0ffee 12.5\n", false, "c0ffee", 12500},
        {"  c0ffee\n12.34567 99.1 x", false, "c0ffee", 12345},
        {"c0ffee", false, "c0ffee", -1},
        {"c0ffee\n", false, "c0ffee", -1},
        {"c0ffee -5", false, "c0ffee", -1},
        {"c0ffee 5s", false, "c0ffee", -1},
        {"c0ffee 1.2.3", false, "c0ffee", -1},
        {"c0ffee 999999999999", false, "c0ffee", INT64_C(999999999999000)},
        {"c0ffee 9999999999999999999999", false, "c0ffee", -1},
        {"c0ffee 12", true, "c0ffee", -1},
        {"c0ffee 12 ", true, "c0ffee", 12000},
        {"c0ffee", true, NULL, 0},
        {"c0ff\xc3\xa4", false, NULL, 0},
        {"", false, NULL, 0},
        {" \n", false, NULL, 0},
        {"0123456789", false, NULL, 0}, /* as long as its place */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[10];
        int64_t up_ms;
        const http_answer_t a = {.body = rows[i].body, .len = strlen(rows[i].body), .cut = rows[i].cut};
        const int error = answer_words(&a, id, sizeof id, &up_ms);
        if (error != (rows[i].id != NULL ? 0 : -EPROTO))
            fail_msg("'%s': %d", rows[i].body, error);
        if (error != 0)
            continue;
        assert_string_equal(id, rows[i].id);
        if (up_ms != rows[i].up_ms)
            fail_msg("'%s': up for %lld ms", rows[i].body, (long long)up_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_status_decides),
        cmocka_unit_test(test_two_words_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

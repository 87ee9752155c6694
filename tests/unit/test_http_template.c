/* Templates: what is refused at the start, what is filled in, and that nothing from a message leaves its
 * place. What a URL means is judged by libcurl, which is what reads it in the end. */
#include "workers/http/template.h"

#include "common/core/backoff.h"
#include <curl/curl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOSTILE = 1000, VALUE_BYTES = 48, TEMPLATE_PIECES = 8 };

static template_value_t value(const char *text)
{
    return (template_value_t){text, strlen(text)};
}

static template_values_t usual(void)
{
    return (template_values_t){value("web-1.example.net"), value("web-1"), value("5d1e9a0c44f3b210-42"),
                               value("3"), value("c0ffee")};
}

static const char *fill(const char *text, template_form_t form, const template_values_t *v)
{
    static buffer_t out;
    buffer_clear(&out);
    if (template_fill(&out, text, form, v) != 0)
        return NULL;
    buffer_append(&out, "", 1);
    assert_false(out.failed);
    return (const char *)out.data;
}

static void expect(const char *text, template_form_t form, const char *expected)
{
    const template_values_t v = usual();
    char why[WHY_BYTES] = "";
    if (template_check(text, form, true, why) != 0)
        fail_msg("'%s' was refused: %s", text, why);
    assert_string_equal(fill(text, form, &v), expected);
}

static void test_places_are_filled_in(void **state)
{
    (void)state;
    expect("https://a.example:8443/x/{host}/{instance}?id={id}&n={try}&b={boot_id}", TEMPLATE_URL,
           "https://a.example:8443/x/web-1.example.net/web-1?id=5d1e9a0c44f3b210-42&n=3&b=c0ffee");
    expect("http://127.0.0.1", TEMPLATE_URL, "http://127.0.0.1");
    expect("http://[::1]:80?{host}", TEMPLATE_URL, "http://[::1]:80?web-1.example.net");
    expect("http://a/%7B{try}%7D", TEMPLATE_URL, "http://a/%7B3%7D");
    expect("{{\"host\": \"{host}\", \"deep\": {{\"n\": {try}}}}}", TEMPLATE_JSON,
           "{\"host\": \"web-1.example.net\", \"deep\": {\"n\": 3}}");
    expect("{instance}{instance}", TEMPLATE_PLAIN, "web-1web-1");
    expect("", TEMPLATE_PLAIN, "");
    expect("}}{{", TEMPLATE_PLAIN, "}{");
}

static void test_bad_ones_are_refused_by_their_position(void **state)
{
    static const struct {
        const char *text;
        template_form_t form;
        const char *says;
    } rows[] = {
        {"http://a/{hots}", TEMPLATE_URL, "'{hots}' at 10 is no placeholder; expected one of {host}"},
        {"http://a/{}", TEMPLATE_URL, "'{}' at 10"},
        {"http://a/{HOST}", TEMPLATE_URL, "'{HOST}' at 10"},
        {"http://a/{ host}", TEMPLATE_URL, "at 11 has no place in a URL"},
        {"http://a/{host", TEMPLATE_URL, "the '{' at 10 is not closed; a brace itself is written %7B"},
        {"http://a/host}", TEMPLATE_URL, "the '}' at 14 closes nothing"},
        {"http://a/{{host}}", TEMPLATE_URL, "the '{' at 10 is not closed"},
        {"http://a/{ho{st}}", TEMPLATE_URL, "the '{' at 10 is not closed"},
        {"http://{host}/", TEMPLATE_URL, "the '{' at 8 stands before the path"},
        {"http://a:{try}/", TEMPLATE_URL, "the '{' at 10 stands before the path"},
        {"http://{host}@a/", TEMPLATE_URL, "the '{' at 8 stands before the path"},
        {"http://a.{instance}?x", TEMPLATE_URL, "stands before the path"},
        {"{host}://a/", TEMPLATE_URL, "expected a whole URL"},
        {"http{try}://a/", TEMPLATE_URL, "expected a whole URL"},
        {"http://user:secret@a/", TEMPLATE_URL, "a user or a password has no place in a URL"},
        {"/hosts/{host}", TEMPLATE_URL, "expected a whole URL"},
        {"//a/{host}", TEMPLATE_URL, "expected a whole URL"},
        {"http:/a/{host}", TEMPLATE_URL, "expected a whole URL"},
        {"http:///{host}", TEMPLATE_URL, "expected a whole URL"},
        {"http://?{host}", TEMPLATE_URL, "expected a whole URL"},
        {"http://:80/{host}", TEMPLATE_URL, "expected a whole URL"},
        {"http://a/x#{host}", TEMPLATE_URL, "the '#' at 11"},
        {"http://a\\@b/", TEMPLATE_URL, "has no place in a URL; it is written %5C"},
        {"http://a/\r\nX: y", TEMPLATE_URL, "'\\x0d' at 10"},
        {"http://a/%2{host}", TEMPLATE_URL, "the '%' at 10 has no two digits"},
        {"http://a/%", TEMPLATE_URL, "the '%' at 10"},
        {"http://a/x/../y", TEMPLATE_URL, "an element of the path is '.' or '..'"},
        {"http://a/%2e%2E/y", TEMPLATE_URL, "an element of the path is '.' or '..'"},
        {"", TEMPLATE_URL, "is empty"},
        {"a\r\nb", TEMPLATE_PLAIN, "a control character (13) at 2"},
        {"{\"host\": \"{host}\"}", TEMPLATE_JSON, "the '{' at 1 is not closed; a brace itself is written {{"},
        {"{{{host}}", TEMPLATE_JSON, "the '}' at 9 closes nothing; a brace itself is written }}"},
        {"{nothing}", TEMPLATE_FORM, "'{nothing}' at 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[WHY_BYTES] = "";
        if (template_check(rows[i].text, rows[i].form, true, why) != -EINVAL ||
            strstr(why, rows[i].says) == NULL)
            fail_msg("'%s': '%s' instead of '%s'", rows[i].text, why, rows[i].says);
    }
    char why[WHY_BYTES], *endless = malloc(TEMPLATE_BYTES_MAX + 2);
    assert_int_equal(template_check("http://a/{boot_id}", TEMPLATE_URL, false, why), -EINVAL);
    assert_null(strstr(why, ", {boot_id}"));
    memset(endless, 'x', TEMPLATE_BYTES_MAX + 1);
    endless[TEMPLATE_BYTES_MAX + 1] = '\0';
    assert_int_equal(template_check(endless, TEMPLATE_PLAIN, false, why), -EINVAL);
    free(endless);
}

static void test_values_are_written_for_their_place(void **state)
{
    template_values_t v = usual();
    (void)state;
    v.host = value("a/b?c=d&e#f%2F\"\\\r\n\xc3\xa4 {id}");
    assert_string_equal(fill("http://a/{host}", TEMPLATE_URL, &v),
                        "http://a/a%2Fb%3Fc%3Dd%26e%23f%252F%22%5C%0D%0A%C3%A4%20%7Bid%7D");
    assert_string_equal(fill("h={host}", TEMPLATE_FORM, &v),
                        "h=a%2Fb%3Fc%3Dd%26e%23f%252F%22%5C%0D%0A%C3%A4%20%7Bid%7D");
    assert_string_equal(fill("\"{host}\"", TEMPLATE_JSON, &v),
                        "\"a/b?c=d&e#f%2F\\u0022\\u005C\\u000D\\u000A\\u00C3\\u00A4 {id}\"");
    assert_string_equal(fill("{host}", TEMPLATE_PLAIN, &v), "a/b?c=d&e#f%2F\"\\???? {id}");
    v.host = value("..");
    assert_null(fill("http://a/{host}", TEMPLATE_URL, &v));
    assert_null(fill("http://a/x/{host}/y?z", TEMPLATE_URL, &v));
    assert_non_null(fill("http://a/x{host}/y", TEMPLATE_URL, &v));
    assert_non_null(fill("http://a/x?y={host}", TEMPLATE_URL, &v));
    v.host = value(".");
    assert_null(fill("http://a/{host}", TEMPLATE_URL, &v));
    assert_null(fill("http://a/.{host}", TEMPLATE_URL, &v));
    v.host = value("");
    assert_null(fill("http://a/{host}/x", TEMPLATE_URL, &v));
}

/* --- whatever comes --- */

/* A URL, as libcurl takes it apart. */
typedef struct {
    char *scheme, *user, *host, *port, *path, *query, *fragment;
} parts_t;

static int parse(const char *url, parts_t *ret)
{
    CURLU *u = curl_url();
    *ret = (parts_t){0};
    const int bad = (int)curl_url_set(u, CURLUPART_URL, url, CURLU_PATH_AS_IS);
    if (bad == 0) {
        curl_url_get(u, CURLUPART_SCHEME, &ret->scheme, 0);
        curl_url_get(u, CURLUPART_USER, &ret->user, 0);
        curl_url_get(u, CURLUPART_HOST, &ret->host, 0);
        curl_url_get(u, CURLUPART_PORT, &ret->port, 0);
        curl_url_get(u, CURLUPART_PATH, &ret->path, 0);
        curl_url_get(u, CURLUPART_QUERY, &ret->query, 0);
        curl_url_get(u, CURLUPART_FRAGMENT, &ret->fragment, 0);
    }
    curl_url_cleanup(u);
    return bad;
}

static void parts_done(parts_t *p)
{
    char **all[] = {&p->scheme, &p->user, &p->host, &p->port, &p->path, &p->query, &p->fragment};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        curl_free(*all[i]);
}

static void expect_same(const char *url, const char *what, const char *a, const char *b)
{
    if ((a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0))
        fail_msg("%s: %s is %s instead of %s", url, what, a != NULL ? a : "(none)", b != NULL ? b : "(none)");
}

static unsigned count(const char *text, char c)
{
    unsigned n = 0;
    for (; text != NULL && *text != '\0'; text++)
        n += *text == c;
    return n;
}

/* The same server, path depth and query values as with a harmless message. */
static void expect_within(const char *template, const char *url)
{
    const template_values_t harmless = usual();
    char *wanted = strdup(fill(template, TEMPLATE_URL, &harmless));
    parts_t a, b;
    if (parse(wanted, &b) == 0) {
        if (parse(url, &a) != 0)
            fail_msg("%s is no URL, %s is", url, wanted);
        expect_same(url, "scheme", a.scheme, b.scheme);
        expect_same(url, "user", a.user, b.user);
        expect_same(url, "host", a.host, b.host);
        expect_same(url, "port", a.port, b.port);
        expect_same(url, "fragment", a.fragment, NULL);
        assert_int_equal(count(a.path, '/'), count(b.path, '/'));
        assert_int_equal(count(a.query, '&'), count(b.query, '&'));
        assert_int_equal(count(a.query, '='), count(b.query, '='));
        parts_done(&a);
        /* Nor does anybody else who takes "." and ".." out. */
        CURLU *u = curl_url();
        char *path = NULL;
        assert_int_equal(curl_url_set(u, CURLUPART_URL, url, 0), 0);
        curl_url_get(u, CURLUPART_PATH, &path, 0);
        assert_int_equal(count(path, '/'), count(b.path, '/'));
        curl_free(path);
        curl_url_cleanup(u);
    }
    parts_done(&b);
    free(wanted);
}

static const char *const nasty[] = {
    "/",
    "//",
    "..",
    ".",
    "../",
    "%2e%2e",
    "%2F",
    "?",
    "&",
    "=",
    "#",
    "@",
    ":",
    "\\",
    "\r\n",
    " ",
    "\t",
    "http://evil.example/",
    "evil.example",
    "user:pw@",
    ":8080",
    "[::1]",
    "{host}",
    "{",
    "}",
    "%00",
    "%",
    "\xff",
    "\xc3\xa4",
    "\xe2\x80\xae",
    ";",
    "'",
    "\"",
    "<",
    "$(id)",
    "`id`",
    "|",
    "-",
    "a",
    "web-1",
    "0",
};

static void draw(uint64_t *random, char *ret, size_t size, const char *const *pieces, size_t count_)
{
    const unsigned n = 1 + (unsigned)(random_next(random) % TEMPLATE_PIECES);
    ret[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        const char *piece = pieces[random_next(random) % count_];
        if (strlen(ret) + strlen(piece) < size)
            memcpy(ret + strlen(ret), piece, strlen(piece) + 1);
    }
}

static void test_no_value_leaves_its_place(void **state)
{
    static const char *const templates[] = {
        "https://api.example.org/v1/hosts/{host}/restart?id={id}",
        "http://10.0.0.1:8080/{instance}",
        "http://api.example.org?host={host}&i={instance}&b={boot_id}",
        "https://[2001:db8::1]/{host}/{instance}/{id}/{try}/{boot_id}",
        "http://a/.{host}.",
    };
    uint64_t random = 42;
    unsigned filled = 0;
    (void)state;
    for (unsigned i = 0; i < HOSTILE; i++) {
        char values[5][VALUE_BYTES];
        for (size_t n = 0; n < 5; n++)
            draw(&random, values[n], sizeof values[n], nasty, sizeof nasty / sizeof nasty[0]);
        const template_values_t v = {value(values[0]), value(values[1]), value(values[2]), value(values[3]),
                                     value(values[4])};
        for (size_t t = 0; t < sizeof templates / sizeof templates[0]; t++) {
            const char *url = fill(templates[t], TEMPLATE_URL, &v);
            if (url == NULL)
                continue;
            char *kept = strdup(url);
            filled++;
            expect_within(templates[t], kept);
            free(kept);
        }
    }
    assert_true(filled > HOSTILE);
}

static void test_no_template_lets_a_message_choose_the_server(void **state)
{
    static const char *const pieces[] = {
        "http://",    "https://",  "HTTP://",   "ftp://", "file://", "javascript:", "://",   "/",
        "//",         "a.example", "[::1]",     ":80",    ":",       "@",           "user@", "{host}",
        "{instance}", "{id}",      "{boot_id}", "{try}",  "{",       "}",           "{{",    "}}",
        "?",          "&",         "=",         "#",      "%",       "%2F",         "%2e",   ".",
        "..",         "\\",        " ",         "\r\n",   "\t",      ";",           "x",     "{host",
    };
    uint64_t random = 7;
    unsigned taken = 0;
    (void)state;
    for (unsigned i = 0; taken < HOSTILE && i < 1000 * HOSTILE; i++) {
        char template[256], why[WHY_BYTES], drawn[VALUE_BYTES];
        const template_values_t harmless = usual();
        draw(&random, template, sizeof template - 16, pieces, sizeof pieces / sizeof pieces[0]);
        if (random_next(&random) % 4 != 0) {
            char rest[256];
            snprintf(rest, sizeof rest, "http://a.example%.200s", template);
            snprintf(template, sizeof template, "%s", rest);
        }
        if (template_check(template, TEMPLATE_URL, true, why) != 0 || strchr(template, '{') == NULL ||
            fill(template, TEMPLATE_URL, &harmless) == NULL)
            continue;
        taken++;
        for (unsigned n = 0; n < 8; n++) {
            draw(&random, drawn, sizeof drawn, nasty, sizeof nasty / sizeof nasty[0]);
            const template_value_t d = value(drawn);
            const template_values_t v = {d, d, d, d, d};
            const char *url = fill(template, TEMPLATE_URL, &v);
            char *kept = url != NULL ? strdup(url) : NULL;
            if (kept != NULL)
                expect_within(template, kept);
            free(kept);
        }
    }
    assert_int_equal(taken, HOSTILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_filled_in),
        cmocka_unit_test(test_bad_ones_are_refused_by_their_position),
        cmocka_unit_test(test_values_are_written_for_their_place),
        cmocka_unit_test(test_no_value_leaves_its_place),
        cmocka_unit_test(test_no_template_lets_a_message_choose_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

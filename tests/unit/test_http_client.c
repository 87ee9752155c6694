/* The HTTP client against a server that fails: what it says of each end, whether a request was sent, and that
 * thousands are in flight at once. */
#include "workers/http/client.h"

#include "common/runtime/clock.h"
#include "tests/support/httpd.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 5000, BODY_MAX = 4096, LARGE = 1 << 20, A_WHILE_MS = 200, FILES = 20000 };

/* The clock (linked by --wrap), which may be set forward behind the back of who has looked at it. */
static struct {
    int64_t forward_ms;
    unsigned looks_left; /* until then; 0: it is, when there is anything to set */
} skew;

int64_t __real_clock_ms(void);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_ms(void)
{
    if (skew.looks_left > 0) {
        skew.looks_left--;
        return __real_clock_ms();
    }
    return __real_clock_ms() + skew.forward_ms;
}

typedef struct {
    http_answer_t answer;
    char body[64], why[WHY_BYTES];
    size_t len;
} told_t;

typedef struct {
    http_client_t *client;
    told_t *told; /* by number */
    unsigned count, turns;
} user_t;

static void done(void *arg, uint32_t number, const http_answer_t *a)
{
    user_t *u = arg;
    told_t *t = &u->told[number];
    t->answer = *a;
    t->len = a->len;
    snprintf(t->body, sizeof t->body, "%.*s", (int)(a->len < 60 ? a->len : 60), a->len > 0 ? a->body : "");
    snprintf(t->why, sizeof t->why, "%s", a->why != NULL ? a->why : "");
    u->count++;
}

static void open_user(user_t *u, const http_options_t *options)
{
    static told_t told[MANY];
    char why[WHY_BYTES];
    memset(told, 0, sizeof told);
    *u = (user_t){.told = told};
    if (http_client_new(&u->client, options, done, u, why) != 0)
        fail_msg("%s", why);
}

static void turn(user_t *u)
{
    const int64_t due_ms = http_due_ms(u->client), now_ms = clock_ms();
    struct pollfd fd = {.fd = http_fd(u->client), .events = POLLIN};
    poll(&fd, 1, due_ms <= now_ms ? 0 : due_ms - now_ms > 100 ? 100 : (int)(due_ms - now_ms));
    http_go_on(u->client);
    u->turns++;
}

#define USER_UNTIL(u, condition)                                                                             \
    do {                                                                                                     \
        const int64_t until_ms_ = test_now_ms() + WAIT_MS;                                                   \
        while (!(condition)) {                                                                               \
            if (test_now_ms() > until_ms_)                                                                   \
                fail_msg("waited %d ms for: %s", (int)WAIT_MS, #condition);                                  \
            turn(u);                                                                                         \
        }                                                                                                    \
    } while (0)

static http_ask_t ask_for(const char *url, bool once)
{
    return (http_ask_t){
        .method = once ? "POST" : "GET", .url = url, .once = once, .until_ms = clock_ms() + WAIT_MS};
}

/* One request to its end. */
static const told_t *ask(user_t *u, const http_ask_t *a)
{
    const unsigned before = u->count;
    assert_non_null(http_ask(u->client, a, 0));
    USER_UNTIL(u, u->count > before);
    return &u->told[0];
}

static void expect(user_t *u, const char *url, bool once, http_end_t end, const char *why)
{
    const http_ask_t a = ask_for(url, once);
    const told_t *t = ask(u, &a);
    if (t->answer.end != end || strstr(t->why, why) == NULL)
        fail_msg("end %d with '%s' instead of %d with '%s'", t->answer.end, t->why, end, why);
}

static const http_options_t plain = {.body_bytes_max = BODY_MAX};

static void test_answers_are_told(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    const char *const headers[] = {"X-One: 1", "Content-Type: text/x-test", "Accept:"};
    (void)state;
    open_user(&u, &plain);
    http_ask_t a = ask_for(httpd_url(h, "/hosts/web-1/restart"), true);
    a.headers = headers;
    a.headers_count = 3;
    a.body = "{\"a\": 1}";
    a.body_len = 8;
    const told_t *t = ask(&u, &a);
    assert_int_equal(t->answer.end, HTTP_ANSWERED);
    assert_int_equal(t->answer.status, 200);
    assert_string_equal(t->body, "ok\n");
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    assert_int_equal(httpd_saw(h, "POST /hosts/web-1/restart HTTP/1.1\r\n"), 1);
    assert_int_equal(httpd_saw(h, "X-One: 1\r\n") + httpd_saw(h, "Content-Type: text/x-test\r\n"), 2);
    assert_int_equal(httpd_saw(h, "\r\n\r\n{\"a\": 1}"), 1);
    assert_int_equal(httpd_saw(h, "User-Agent: mandrill/"), 1);
    assert_int_equal(httpd_saw(h, "Accept:") + httpd_saw(h, "Expect:"), 0);
    /* Without a body, no type. */
    a = (http_ask_t){.method = "DELETE", .url = a.url, .once = true, .until_ms = clock_ms() + WAIT_MS};
    assert_int_equal(ask(&u, &a)->answer.status, 200);
    assert_int_equal(httpd_saw(h, "DELETE /hosts/web-1/restart"), 1);
    assert_int_equal(httpd_saw(h, "Content-Type:"), 1);
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_what_was_not_sent_is_known(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    const char *url = httpd_url(h, "/hosts/web-1/restart");
    httpd_stop(h);
    expect(&u, url, true, HTTP_NOT_REACHED, "Connection refused");
    assert_int_equal(u.told[0].answer.error, 111);
    expect(&u, "http://no-such-host.invalid/", true, HTTP_NOT_REACHED, "Could not resolve host");
    expect(&u, "ftp://127.0.0.1/", true, HTTP_NOT_REACHED, "");
    httpd_start(h);
    httpd_plan(h, HTTPD_ACT, HTTPD_RESET, 0, 1);
    expect(&u, url, true, HTTP_LOST, "");
    assert_int_equal(httpd_restarts(h, "web-1"), 0);
    http_client_destroy(&u.client);
    httpd_close(h);
}

/* Whoever restarts something must not have it asked for twice, whatever libcurl would do. */
static void test_what_does_something_is_sent_once(void **state)
{
    static const httpd_fault_t faults[] = {HTTPD_RESET,         HTTPD_DONE_RESET, HTTPD_DONE_HALF,
                                           HTTPD_DONE_HEADLESS, HTTPD_DONE_SHORT, HTTPD_NO_HTTP,
                                           HTTPD_HEADERS};
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    const char *get = httpd_url(h, "/"), *post = httpd_url(h, "/hosts/web-1/restart");
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        /* There is a connection that could be used again, and its server is gone. */
        expect(&u, get, false, HTTP_ANSWERED, "");
        httpd_plan(h, HTTPD_ACT, faults[i], 0, 1);
        expect(&u, post, true, HTTP_LOST, "");
        assert_int_equal(httpd_calls(h, HTTPD_ACT), i + 1);
    }
    assert_int_equal(httpd_restarts(h, "web-1"), sizeof faults / sizeof faults[0] - 1);
    /* What only looks is asked again, over a new one. */
    expect(&u, get, false, HTTP_ANSWERED, "");
    httpd_plan(h, HTTPD_GET, HTTPD_RESET, 0, 1);
    expect(&u, get, false, HTTP_ANSWERED, "");
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_large_answers_are_cut(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    httpd_plan(h, HTTPD_GET, HTTPD_LARGE, LARGE, 1);
    expect(&u, httpd_url(h, "/"), false, HTTP_ANSWERED, "");
    assert_true(u.told[0].answer.cut);
    assert_int_equal(u.told[0].answer.status, 200);
    assert_int_equal(u.told[0].len, BODY_MAX);
    httpd_plan(h, HTTPD_GET, HTTPD_LARGE, BODY_MAX, 1);
    expect(&u, httpd_url(h, "/"), false, HTTP_ANSWERED, "");
    assert_false(u.told[0].answer.cut);
    assert_int_equal(u.told[0].len, BODY_MAX);
    httpd_plan(h, HTTPD_GET, HTTPD_HEADERS, 0, 2);
    expect(&u, httpd_url(h, "/"), false, HTTP_LOST, "more than 64 kB of headers");
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_a_server_says_when_to_come_again(void **state)
{
    static const struct {
        const char *header;
        int64_t min_ms, max_ms;
    } rows[] = {
        {"", 0, 0},
        {"Retry-After: 7", 7000, 7000},
        {"Retry-After: 0", 0, 0},
        {"Retry-After: soon", 0, 0},
        {"Retry-After: -7", 0, 0},
        {"Retry-After: 99999999999999999999999", 0, 86400000},
        {"Retry-After: 999999999", 86400000, 86400000},
        {"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", 0, 0},
        {"Retry-After: Fri, 31 Dec 2199 23:59:59 GMT", 86400000, 86400000},
    };
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        httpd_header(h, rows[i].header);
        httpd_plan(h, HTTPD_GET, HTTPD_STATUS, 503, 1);
        expect(&u, httpd_url(h, "/"), false, HTTP_ANSWERED, "");
        assert_int_equal(u.told[0].answer.status, 503);
        if (u.told[0].answer.retry_ms < rows[i].min_ms || u.told[0].answer.retry_ms > rows[i].max_ms)
            fail_msg("'%s': %lld ms", rows[i].header, (long long)u.told[0].answer.retry_ms);
    }
    /* In a minute, by the clock of the wall. */
    char line[64];
    const time_t at = (time_t)(clock_wall_ms() / 1000) + 60;
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(line, sizeof line, "Retry-After: %a, %d %b %Y %H:%M:%S GMT", &tm);
    httpd_header(h, line);
    expect(&u, httpd_url(h, "/"), false, HTTP_ANSWERED, "");
    assert_in_range(u.told[0].answer.retry_ms, 30000, 60000);
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_redirects_and_proxies_are_not_followed(void **state)
{
    httpd_t *h = httpd_open(NULL), *other = httpd_open(NULL);
    char line[128];
    user_t u;
    (void)state;
    setenv("http_proxy", httpd_url(other, ""), 1);
    setenv("ALL_PROXY", httpd_url(other, ""), 1);
    open_user(&u, &plain);
    snprintf(line, sizeof line, "Location: %s", httpd_url(other, "/hosts/web-1/restart"));
    httpd_header(h, line);
    httpd_plan(h, HTTPD_ACT, HTTPD_STATUS, 307, 1);
    expect(&u, httpd_url(h, "/hosts/web-1/restart"), true, HTTP_ANSWERED, "");
    assert_int_equal(u.told[0].answer.status, 307);
    assert_int_equal(httpd_calls(other, HTTPD_ACT) + httpd_calls(other, HTTPD_GET), 0);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    http_client_destroy(&u.client);
    httpd_close(h);
    httpd_close(other);
}

/* --- time --- */

static void test_times_are_kept(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    http_ask_t a = ask_for(httpd_url(h, "/hosts/web-1/restart"), true);
    httpd_plan(h, HTTPD_ACT, HTTPD_SILENT, 0, 1);
    a.until_ms = clock_ms() + A_WHILE_MS;
    const told_t *t = ask(&u, &a);
    assert_int_equal(t->answer.end, HTTP_LOST);
    assert_non_null(strstr(t->why, "timed out"));
    assert_true(clock_ms() >= a.until_ms);
    /* It has no time at all. */
    a.until_ms = clock_ms() - 1;
    assert_int_equal(ask(&u, &a)->answer.end, HTTP_NOT_REACHED);
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 1);
    http_client_destroy(&u.client);
    httpd_close(h);
}

/* The process stands still after it was begun: libcurl, which was not asked yet, sees nothing of that. */
static void test_what_does_something_is_not_sent_too_late(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    const http_ask_t a = ask_for(httpd_url(h, "/hosts/web-1/restart"), true);
    assert_non_null(http_ask(u.client, &a, 0));
    skew.forward_ms = 2 * WAIT_MS;
    skew.looks_left = 1;
    http_go_on(u.client);
    USER_UNTIL(&u, u.count == 1);
    skew.forward_ms = 0;
    assert_int_equal(u.told[0].answer.end, HTTP_NOT_REACHED);
    assert_string_equal(u.told[0].why, "its time was over before it could be sent");
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 0);
    assert_int_equal(httpd_restarts(h, "web-1"), 0);
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_an_aborted_request_is_told_no_more(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    const http_ask_t a = ask_for(httpd_url(h, "/"), false);
    httpd_plan(h, HTTPD_GET, HTTPD_SILENT, 0, 1);
    http_request_t *r = http_ask(u.client, &a, 1), *waits = http_ask(u.client, &a, 2);
    http_abort(u.client, &waits);
    assert_null(waits);
    USER_UNTIL(&u, httpd_calls(h, HTTPD_GET) == 1);
    http_abort(u.client, &r);
    USER_UNTIL(&u, httpd_connections(h) == 0);
    assert_int_equal(u.count, 0);
    /* At work and waiting when it ends. */
    httpd_plan(h, HTTPD_GET, HTTPD_SILENT, 0, 1);
    assert_non_null(http_ask(u.client, &a, 3));
    USER_UNTIL(&u, httpd_calls(h, HTTPD_GET) == 2);
    assert_non_null(http_ask(u.client, &a, 4));
    http_client_destroy(&u.client);
    assert_null(u.client);
    httpd_close(h);
}

/* --- many --- */

static void test_thousands_are_in_flight_at_once(void **state)
{
    httpd_t *h = httpd_open(NULL);
    user_t u;
    (void)state;
    open_user(&u, &plain);
    httpd_plan(h, HTTPD_ACT, HTTPD_SILENT, 0, MANY);
    http_ask_t a = ask_for(httpd_url(h, "/hosts/web-1/restart"), true);
    http_request_t **all = calloc(MANY, sizeof(http_request_t *));
    for (uint32_t i = 0; i < MANY; i++)
        assert_non_null(all[i] = http_ask(u.client, &a, i));
    USER_UNTIL(&u, httpd_calls(h, HTTPD_ACT) == MANY);
    assert_int_equal(httpd_connections(h), MANY);
    for (uint32_t i = 0; i < MANY; i++)
        http_abort(u.client, &all[i]);
    WAIT(httpd_connections(h) == 0);
    free(all);
    /* And each of them ends once. */
    httpd_plan(h, HTTPD_ACT, HTTPD_SLOW, A_WHILE_MS, MANY);
    u.count = u.turns = 0;
    a.until_ms = clock_ms() + WAIT_MS;
    const int64_t start_ms = clock_ms();
    for (uint32_t i = 0; i < MANY; i++)
        assert_non_null(http_ask(u.client, &a, i));
    USER_UNTIL(&u, u.count == MANY);
    print_message("%d requests of %d ms in %lld ms, %u turns, at most %u connections\n", MANY, A_WHILE_MS,
                  (long long)(clock_ms() - start_ms), u.turns, httpd_most_connections(h));
    for (uint32_t i = 0; i < MANY; i++)
        if (u.told[i].answer.status != 200)
            fail_msg("%u: %d %s", i, u.told[i].answer.status, u.told[i].why);
    assert_int_equal(httpd_restarts(h, "web-1"), MANY);
    http_client_destroy(&u.client);
    httpd_close(h);
}

/* A server whose backlog is full answers no connection. Those that have none yet wait for each other, and
 * their time runs meanwhile. */
static void test_a_server_that_takes_none_holds_up_nobody_for_long(void **state)
{
    enum { FEW = 16 };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    char url[64];
    user_t u;
    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(listener, 0), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    http_options_t options = plain;
    options.connect_ms = A_WHILE_MS;
    open_user(&u, &options);
    http_ask_t a = ask_for(url, true);
    /* The others have no time left when the first have had their own. */
    const int64_t start_ms = clock_ms();
    for (uint32_t i = 0; i < 3 * HTTP_CONNECTING_MAX; i++) {
        a.until_ms = start_ms + (i < HTTP_CONNECTING_MAX ? 5 * A_WHILE_MS : A_WHILE_MS / 2);
        assert_non_null(http_ask(u.client, &a, i));
    }
    USER_UNTIL(&u, u.count == 3 * HTTP_CONNECTING_MAX);
    assert_true(clock_ms() - start_ms < 20 * A_WHILE_MS);
    /* One or two got into the backlog, more where the processors had much to do, and as many others had their
     * turn. */
    unsigned waited = 0, timed_out = 0, other = 0;
    for (uint32_t i = 0; i < 3 * HTTP_CONNECTING_MAX; i++) {
        const bool not_reached = u.told[i].answer.end == HTTP_NOT_REACHED;
        const bool in_time = strstr(u.told[i].why, "before there was room for another connection") == NULL;
        waited += not_reached && !in_time;
        timed_out += not_reached && in_time;
        other += !not_reached;
    }
    assert_in_range(waited, 2 * HTTP_CONNECTING_MAX - FEW, 2 * HTTP_CONNECTING_MAX);
    assert_in_range(timed_out, HTTP_CONNECTING_MAX - FEW, HTTP_CONNECTING_MAX + FEW);
    assert_in_range(other, 0, FEW);
    http_client_destroy(&u.client);
    close(listener);
}

/* --- TLS --- */

static void expect_tls(httpd_certificate_t tls, const char *ca_file, http_end_t end, const char *why)
{
    http_options_t options = plain;
    user_t u;
    options.ca_file = ca_file;
    httpd_t *h = httpd_open(&tls);
    open_user(&u, &options);
    expect(&u, httpd_url(h, "/hosts/web-1/restart"), true, end, why);
    assert_int_equal(httpd_calls(h, HTTPD_ACT), end == HTTP_ANSWERED ? 1 : 0);
    http_client_destroy(&u.client);
    httpd_close(h);
}

static void test_certificates_are_looked_at(void **state)
{
    char own[] = "/tmp/mandrill-own-XXXXXX", other[] = "/tmp/mandrill-other-XXXXXX", why[WHY_BYTES];
    const int fds[] = {mkstemp(own), mkstemp(other)};
    const httpd_certificate_t good = {.name = "IP:127.0.0.1", .file = own};
    (void)state;
    expect_tls(good, own, HTTP_ANSWERED, "");
    expect_tls(good, NULL, HTTP_NOT_REACHED, "SSL certificate problem");
    expect_tls((httpd_certificate_t){.name = "IP:127.0.0.1", .file = other}, own, HTTP_NOT_REACHED,
               "SSL certificate problem");
    expect_tls((httpd_certificate_t){.name = "DNS:other.example", .file = own}, own, HTTP_NOT_REACHED,
               "no alternative certificate subject name matches");
    expect_tls((httpd_certificate_t){.name = "IP:127.0.0.1", .expired = true, .file = own}, own,
               HTTP_NOT_REACHED, "certificate has expired");
    /* No server that speaks TLS; no file. */
    http_options_t options = plain;
    options.ca_file = own;
    user_t u;
    httpd_t *h = httpd_open(NULL);
    open_user(&u, &options);
    char url[64];
    snprintf(url, sizeof url, "https%s", httpd_url(h, "/") + 4);
    httpd_stop(h);
    httpd_start(h);
    http_ask_t a = ask_for(url, true);
    a.until_ms = clock_ms() + A_WHILE_MS; /* the server waits for the end of a line */
    assert_int_equal(ask(&u, &a)->answer.end, HTTP_NOT_REACHED);
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 0);
    http_client_destroy(&u.client);
    httpd_close(h);
    options.ca_file = "/no/such/file";
    assert_int_equal(http_client_new(&u.client, &options, done, &u, why), -2);
    assert_string_equal(why, "cannot read /no/such/file: No such file or directory");
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    unlink(own);
    unlink(other);
}

int main(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &files);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_told),
        cmocka_unit_test(test_what_was_not_sent_is_known),
        cmocka_unit_test(test_what_does_something_is_sent_once),
        cmocka_unit_test(test_large_answers_are_cut),
        cmocka_unit_test(test_a_server_says_when_to_come_again),
        cmocka_unit_test(test_redirects_and_proxies_are_not_followed),
        cmocka_unit_test(test_times_are_kept),
        cmocka_unit_test(test_what_does_something_is_not_sent_too_late),
        cmocka_unit_test(test_an_aborted_request_is_told_no_more),
        cmocka_unit_test(test_thousands_are_in_flight_at_once),
        cmocka_unit_test(test_a_server_that_takes_none_holds_up_nobody_for_long),
        cmocka_unit_test(test_certificates_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

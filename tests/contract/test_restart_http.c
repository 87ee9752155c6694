/* restart-http: what it asks, what it makes of each answer, and that what may have been done is not asked for
 * again. The server is one that fails when it is told to (tests/support/httpd.h). */
#include "tests/contract/contract.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    LIMIT_MS = 400,
    RETRY_S = 7,
    MANY = 1000,
    SLOW_MS = 500,
    LARGE = 3 << 20,
    ARGUMENTS = 40,
};

/* Short enough to be waited out. */
#define SOON  "--act-timeout", "300ms", "--return-timeout", "200ms", "--poll", "20ms"
#define TOKEN "s3cr3t.t0ken-1"

static uint64_t ask(contract_t *c, const char *host)
{
    return contract_ask(c, host, CONTRACT_PUBLISHED_MS, NULL);
}

static void expect_host(contract_t *c, const char *host, outcome_t outcome, const char *text)
{
    contract_expect(c, ask(c, host), outcome, text);
}

/* A worker with options of the test's own. */
static process_t *start_with(contract_t *c, const char *const *args)
{
    boss_t *b = &c->boss;
    const char *list[ARGUMENTS] = {"--kind", "restart-http", "--log-messages", "--consumer", b->endpoint};
    size_t n = 5;

    while (*args != NULL)
        list[n++] = *args++;
    const unsigned before = b->workers_count;
    process_t *p = rig_spawn(c->rig, "own", "mandrill-worker", list);
    BOSS_UNTIL(b, b->workers_count > before && b->workers[before].welcomed && b->workers[before].window > 0);
    return p;
}

/* --- what is asked --- */

static void test_a_host_is_restarted_and_seen_to_be_back(void **state)
{
    contract_t *c = *state;
    httpd_t *h = c->httpd;
    char key[128];

    process_t *p = contract_start(c, "worker", ARGS("--log-messages"));
    const uint64_t ref = ask(c, "web-1");
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    assert_int_equal(httpd_saw(h, "POST /hosts/web-1/restart HTTP/1.1\r\n"), 1);
    snprintf(key, sizeof key, "\r\nIdempotency-Key: %016" PRIx64 "-", BOSS_STREAM);
    assert_int_equal(httpd_saw(h, key), 1);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net ("), 1);
    rig_passed(c->rig);
}

static void test_templates_make_the_request(void **state)
{
    contract_t *c = *state;
    httpd_t *h = c->httpd;

    start_with(c,
               ARGS("--http-url", httpd_url(h, "/hosts/{instance}/restart?boot={boot_id}"), "--http-method",
                    "PUT", "--http-observe", httpd_url(h, "/hosts/{instance}/boot?of={host}"),
                    "--http-header", "X-Host: {host}, try {try}", "--http-body",
                    "{{\"host\": \"{host}\", \"boot\": \"{boot_id}\"}}", "--http-key-header", "X-Message",
                    "--http-health", httpd_url(h, "/health/{host}"), SOON));
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    assert_int_equal(httpd_saw(h, "PUT /hosts/web-1/restart?boot=boot-0 HTTP/1.1\r\n"), 1);
    assert_int_equal(httpd_saw(h, "\r\n\r\n{\"host\": \"web-1.example.net\", \"boot\": \"boot-0\"}"), 1);
    assert_int_equal(httpd_saw(h, "Content-Type: application/json\r\n"), 1);
    assert_int_equal(httpd_saw(h, "X-Message: "), 1);
    assert_true(httpd_saw(h, "GET /hosts/web-1/boot?of=web-1.example.net ") >= 2);
    assert_int_equal(httpd_saw(h, "GET /health/web-1.example.net "), 1);
    assert_true(httpd_saw(h, "X-Host: web-1.example.net, try 1\r\n") >= 4);
    rig_passed(c->rig);
}

/* A target that compares closes the gap between the look and the act. */
static void test_a_server_that_compares_does_not_restart_another_one(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;

    start_with(c, ARGS("--http-url", httpd_url(h, "/hosts/{instance}/restart?boot={boot_id}"),
                       "--http-observe", httpd_url(h, "/hosts/{instance}/boot"), SOON));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = ask(c, "web-1");
    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    /* Somebody else was faster. */
    httpd_restart(h, "web-1");
    boss_answer(b, 0, ref, true);
    contract_expect(c, ref, OUTCOME_OK, "");
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 1);
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    rig_passed(c->rig);
}

/* --- what an answer means --- */

static void test_an_answer_decides(void **state)
{
    static const struct {
        long status;
        outcome_t outcome;
        const char *text;
        bool taken_back; /* it was certainly not done */
    } rows[] = {
        {503, OUTCOME_TRANSIENT, "the server answered 503: planned \\x07", true},
        {429, OUTCOME_TRANSIENT, "the server answered 429", true},
        {408, OUTCOME_TRANSIENT, "the server answered 408", true},
        {425, OUTCOME_TRANSIENT, "the server answered 425", true},
        {400, OUTCOME_PERMANENT, "the server answered 400: planned", true},
        {401, OUTCOME_PERMANENT, "the server answered 401", true},
        {404, OUTCOME_PERMANENT, "the server answered 404", true},
        {409, OUTCOME_PERMANENT, "the server answered 409", true},
        {301, OUTCOME_PERMANENT, "the server answered 301: redirects are not followed", true},
        {500, OUTCOME_TRANSIENT, "the server answered 500", false},
        {502, OUTCOME_TRANSIENT, "the server answered 502", false},
        {504, OUTCOME_TRANSIENT, "the server answered 504", false},
    };
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    char line[64];

    contract_start(c, "worker", ARGS(SOON));
    snprintf(line, sizeof line, "Retry-After: %d", RETRY_S);
    httpd_header(h, line);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        httpd_plan(h, HTTPD_ACT, HTTPD_STATUS, rows[i].status, 1);
        const uint64_t ref = ask(c, "web-1");
        contract_expect(c, ref, rows[i].outcome, rows[i].text);
        assert_int_equal(boss_intent(b, ref)->voids > 0, rows[i].taken_back);
        if (rows[i].taken_back && rows[i].outcome == OUTCOME_TRANSIENT)
            assert_int_equal(boss_result(b, ref)->ms, RETRY_S * 1000);
    }
    assert_int_equal(httpd_calls(h, HTTPD_ACT), sizeof rows / sizeof rows[0]);
    assert_int_equal(httpd_restarts(h, "web-1"), 0);
    rig_passed(c->rig);
}

/* Whatever was done and not heard of is seen. */
static void test_what_was_done_is_found_out(void **state)
{
    static const struct {
        httpd_fault_t fault;
        long value;
    } rows[] = {{HTTPD_DONE_RESET, 0},    {HTTPD_DONE_HALF, 0},     {HTTPD_DONE_HEADLESS, 0},
                {HTTPD_DONE_SHORT, 0},    {HTTPD_NO_HTTP, 0},       {HTTPD_HEADERS, 0},
                {HTTPD_LARGE, LARGE},     {HTTPD_DONE_STATUS, 500}, {HTTPD_DONE_STATUS, 502},
                {HTTPD_DONE_STATUS, 503}, {HTTPD_SLOW, 600},        {HTTPD_DONE_STATUS, 201}};
    contract_t *c = *state;
    httpd_t *h = c->httpd;
    char host[32];

    contract_start(c, "worker", ARGS("--act-timeout", "300ms", "--return-timeout", "20s", "--poll", "20ms"));
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(host, sizeof host, "web-%u", i);
        httpd_plan(h, HTTPD_ACT, rows[i].fault, rows[i].value, 1);
        expect_host(c, host, OUTCOME_OK, "");
        assert_int_equal(httpd_restarts(h, host), 1);
    }
    assert_int_equal(httpd_calls(h, HTTPD_ACT), sizeof rows / sizeof rows[0]);
    rig_passed(c->rig);
}

static void test_what_was_not_done_is_tried_again(void **state)
{
    static const struct {
        httpd_fault_t fault;
        const char *text;
    } rows[] = {{HTTPD_RESET, "no answer"}, {HTTPD_SILENT, "timed out"}, {HTTPD_UNTOUCHED, ""}};
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    char host[32];

    contract_start(c, "worker", ARGS(SOON));
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(host, sizeof host, "web-%u", i);
        httpd_plan(h, HTTPD_ACT, rows[i].fault, 0, 1);
        const uint64_t ref = ask(c, host);
        contract_expect(c, ref, OUTCOME_TRANSIENT, rows[i].text);
        assert_int_equal(httpd_restarts(h, host), 0);
        const boss_intent_t note = *boss_intent(b, ref);
        contract_expect(c, contract_ask(c, host, CONTRACT_PUBLISHED_MS, &note), OUTCOME_OK, "");
        assert_int_equal(httpd_restarts(h, host), 1);
    }
    rig_passed(c->rig);
}

static void test_a_server_that_is_away_has_done_nothing(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;

    contract_start(c, "worker", ARGS(SOON));
    expect_host(c, "web-1", OUTCOME_OK, "");
    httpd_stop(h);
    const uint64_t ref = ask(c, "web-2");
    contract_expect(c, ref, OUTCOME_TRANSIENT, "the server was not reached: Connection refused");
    assert_null(boss_intent(b, ref));
    httpd_start(h);
    expect_host(c, "web-2", OUTCOME_OK, "");
    assert_int_equal(httpd_restarts(h, "web-2"), 1);
    rig_passed(c->rig);
}

/* --- what cannot be seen --- */

static void test_without_a_look_nobody_knows(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;

    start_with(c, ARGS("--http-url", httpd_url(h, "/hosts/{instance}/restart"), SOON));
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    httpd_plan(h, HTTPD_ACT, HTTPD_DONE_RESET, 0, 1);
    const uint64_t ref = ask(c, "web-2");
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_true(boss_result(b, ref)->outcome == OUTCOME_UNKNOWN ||
                boss_result(b, ref)->outcome == OUTCOME_TRANSIENT);
    const boss_intent_t note = *boss_intent(b, ref);
    assert_true(note.len > 0);
    contract_expect(c, contract_ask(c, "web-2", CONTRACT_PUBLISHED_MS, &note), OUTCOME_UNKNOWN, "");
    assert_int_equal(httpd_restarts(h, "web-2"), 1);
    rig_passed(c->rig);
}

static void test_a_server_that_knows_the_key_is_asked_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    char key[128];
    buffer_t body;

    buffer_init(&body);
    boss_body(&body, "web-2");
    httpd_remember(h);
    start_with(c, ARGS("--http-url", httpd_url(h, "/hosts/{instance}/restart"), "--http-idempotent", SOON));
    httpd_plan(h, HTTPD_ACT, HTTPD_DONE_RESET, 0, 1);
    const uint64_t ref = boss_give_noted(b, 0, 1, 1, body.data, body.len, NULL, 0);
    contract_expect(c, ref, OUTCOME_TRANSIENT, "");
    const boss_intent_t note = *boss_intent(b, ref);
    const uint64_t again = boss_give_noted(b, 0, 1, 2, body.data, body.len, note.bytes, note.len);
    contract_expect(c, again, OUTCOME_OK, "");
    snprintf(key, sizeof key, "\r\nIdempotency-Key: %016" PRIx64 "-1\r\n", BOSS_STREAM);
    assert_int_equal(httpd_saw(h, key), 2);
    assert_int_equal(httpd_restarts(h, "web-2"), 1);
    buffer_done(&body);
    rig_passed(c->rig);
}

/* --- looks and health --- */

static void test_a_look_decides(void **state)
{
    static const struct {
        const char *answer; /* NULL: a status */
        long status;
        outcome_t outcome;
        const char *text;
    } rows[] = {
        {NULL, 404, OUTCOME_PERMANENT, "the server answered 404"},
        {NULL, 403, OUTCOME_PERMANENT, "the server answered 403"},
        {NULL, 302, OUTCOME_PERMANENT, "redirects are not followed"},
        {NULL, 500, OUTCOME_TRANSIENT, "the server answered 500"},
        {NULL, 429, OUTCOME_TRANSIENT, "the server answered 429"},
        {"", 0, OUTCOME_TRANSIENT, "begins with no id"},
        {"<html>", 0, OUTCOME_TRANSIENT, "begins with no id"},
        {"{\"id\": 1}", 0, OUTCOME_TRANSIENT, "begins with no id"},
        {"0123456789012345678901234567890123456789012345678901234567890123456789", 0, OUTCOME_TRANSIENT,
         "no id"},
        /* Up for a minute, and the message is years old. */
        {"boot-7 60.5 ignored\n", 0, OUTCOME_OK, ""},
    };
    contract_t *c = *state;
    httpd_t *h = c->httpd;

    contract_start(c, "worker", ARGS(SOON));
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        httpd_text(h, rows[i].answer != NULL ? rows[i].answer : "");
        httpd_plan(h, HTTPD_LOOK, rows[i].answer != NULL ? HTTPD_TEXT : HTTPD_STATUS, rows[i].status, 1);
        expect_host(c, "web-1", rows[i].outcome, rows[i].text);
    }
    httpd_plan(h, HTTPD_LOOK, HTTPD_LARGE, LARGE, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "begins with no id");
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 0);
    rig_passed(c->rig);
}

static void test_a_host_that_is_not_well_is_not_done(void **state)
{
    contract_t *c = *state;
    httpd_t *h = c->httpd;
    char url[128];

    snprintf(url, sizeof url, "%s", httpd_url(h, "/health/{host}"));
    contract_start(c, "worker", ARGS("--http-health", url, "--return-timeout", "20s", "--poll", "20ms"));
    httpd_plan(h, HTTPD_GET, HTTPD_STATUS, 503, 3);
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(httpd_calls(h, HTTPD_GET), 4);
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    rig_passed(c->rig);
}

/* --- time, and many --- */

static void test_a_task_whose_time_is_over_is_cancelled(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    process_t *p = contract_start(
        c, "worker",
        ARGS("--act-timeout", "100ms", "--return-timeout", "100ms", "--grant", "100ms", "--poll", "20ms"));

    b->limit_ms = LIMIT_MS;
    httpd_plan(h, HTTPD_LOOK, HTTPD_SILENT, 0, 1000);
    const uint64_t ref = ask(c, "web-1");
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_int_equal(boss_result(b, ref)->outcome, OUTCOME_TRANSIENT);
    httpd_plan(h, HTTPD_LOOK, HTTPD_FINE, 0, 0);
    expect_host(c, "web-1", OUTCOME_OK, "");
    WAIT(httpd_connections(h) <= 2);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_thousands_run_side_by_side(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    httpd_plan(h, HTTPD_ACT, HTTPD_SLOW, SLOW_MS, MANY);
    const uint64_t first = b->next_ref;
    const int64_t start_ms = test_now_ms();
    boss_give_many(b, 0, "web", 1, MANY);
    BOSS_UNTIL(b, b->results_count == MANY);
    boss_expect_each_once(b, first, MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_true(test_now_ms() - start_ms < 40 * SLOW_MS); /* one after the other: 500 s */
    for (unsigned i = 1; i <= MANY; i++) {
        char host[32];
        snprintf(host, sizeof host, "web-%u", i);
        assert_int_equal(httpd_restarts(h, host), 1);
    }
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

/* --- a token --- */

static void test_a_token_is_sent_and_never_shown(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    char file[TEST_PATH_MAX];
    const char before[] = TOKEN "\n", after[] = "an0ther-t0ken\n", bad[] = "two words\n";

    test_write_file(rig_path(c->rig, "token", file), before, sizeof before - 1);
    assert_int_equal(chmod(file, 0644), 0);
    process_t *p = contract_start(c, "worker", ARGS("--http-token-file", file, "--log-level", "debug"));
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(httpd_saw(h, "\r\nAuthorization: Bearer " TOKEN "\r\n"),
                     httpd_calls(h, HTTPD_LOOK) + httpd_calls(h, HTTPD_ACT));
    assert_int_equal(process_log_count(p, "holds a token and is open to others (mode 0644)"), 1);
    /* A file without one changes nothing. */
    test_write_file(file, bad, sizeof bad - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(b, process_log_count(p, "holds no token") == 1);
    expect_host(c, "web-2", OUTCOME_OK, "");
    assert_int_equal(chmod(file, 0600), 0);
    test_write_file(file, after, sizeof after - 1);
    process_signal(p, SIGHUP);
    unsigned n = 3;
    do {
        char host[32];
        snprintf(host, sizeof host, "web-%u", n);
        expect_host(c, host, OUTCOME_OK, "");
    } while (httpd_saw(h, "Bearer an0ther-t0ken\r\n") == 0 && n++ < 1000);
    assert_true(n < 1000);
    assert_int_equal(process_log_count(p, TOKEN) + process_log_count(p, "an0ther-t0ken"), 0);
    rig_passed(c->rig);
}

/* --- TLS --- */

static void test_a_certificate_that_does_not_hold_is_refused(void **state)
{
    contract_t *c = *state;
    char file[TEST_PATH_MAX], url[128];

    const httpd_certificate_t tls = {.name = "IP:127.0.0.1", .file = rig_path(c->rig, "ca.pem", file)};
    httpd_t *h = httpd_open(&tls);
    snprintf(url, sizeof url, "%s", httpd_url(h, "/hosts/{instance}/restart"));
    process_t *p = start_with(c, ARGS("--http-url", url));
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "the server was not reached: SSL certificate problem");
    assert_int_equal(httpd_calls(h, HTTPD_ACT), 0);
    assert_int_equal(contract_stop(c, p), 0);
    boss_dismiss(&c->boss);
    start_with(c, ARGS("--http-url", url, "--http-ca", file));
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(httpd_restarts(h, "web-1"), 1);
    httpd_close(h);
    rig_passed(c->rig);
}

/* --- options --- */

static void test_options_are_checked(void **state)
{
    contract_t *c = *state;
    httpd_t *h = c->httpd, *away = httpd_open(NULL);
    char none[TEST_PATH_MAX], fifo[TEST_PATH_MAX], url[128], gone[128];
    const struct {
        const char *flags[7];
        int code;
        const char *says;
    } rows[] = {
        {{NULL}, EXIT_USAGE, "restart-http needs --http-url"},
        {{"--http-url", "http://{host}/restart"},
         EXIT_USAGE,
         "--http-url: the '{' at 8 stands before the path"},
        {{"--http-url", "http://a/{hots}"}, EXIT_USAGE, "--http-url: '{hots}' at 10 is no placeholder"},
        {{"--http-url", "http://a/{host"}, EXIT_USAGE, "--http-url: the '{' at 10 is not closed"},
        {{"--http-url", "http://a/{boot_id}"}, EXIT_USAGE, "--http-url: '{boot_id}' at 10 is no placeholder"},
        {{"--http-url", "ftp://a/{host}"}, EXIT_USAGE, "expected http:// or https://"},
        {{"--http-url", "http://a:99999/{host}"}, EXIT_USAGE, "--http-url: is no URL"},
        {{"--http-url", url, "--http-observe", "{host}"}, EXIT_USAGE, "--http-observe: expected a whole URL"},
        {{"--http-url", url, "--http-method", "HEAD"}, EXIT_USAGE, "--http-method"},
        {{"--http-url", url, "--http-method", "GET", "--http-body", "x"}, EXIT_USAGE, "a GET has no body"},
        {{"--http-url", url, "--http-body", "{\"host\": 1}"}, EXIT_USAGE, "a brace itself is written {{"},
        {{"--http-url", url, "--http-header", "X-Secret"}, EXIT_USAGE, "'X-Secret' begins no header"},
        {{"--http-url", url, "--http-header", "X: a\r\nY: b"},
         EXIT_USAGE,
         "the value of X: a control character (13)"},
        {{"--http-url", url, "--http-header", "X Y: b"}, EXIT_USAGE, "begins no header"},
        {{"--http-url", url, "--http-header", "host: {host}"}, EXIT_USAGE, "the connection sets itself"},
        {{"--http-url", url, "--http-key-header", "a b"}, EXIT_USAGE, "--http-key-header: 'a b' is no name"},
        {{"--http-url", url, "--http-header", "Idempotency-Key: 1"},
         EXIT_USAGE,
         "is given by --http-header, too"},
        {{"--http-url", url, "--http-token-file", none}, EXIT_FAILED, "--http-token-file: cannot read"},
        {{"--http-url", url, "--http-token-file", fifo}, EXIT_USAGE, "holds no token"},
        {{"--http-url", url, "--http-token-file", none, "--http-header", "Authorization: x"},
         EXIT_USAGE,
         "contradicts the Authorization of --http-header"},
        {{"--http-url", url, "--http-ca", none}, EXIT_FAILED, "cannot read"},
        {{"--http-url", gone}, EXIT_FAILED, "--http-url: the server cannot be reached: Connection refused"},
        {{"--http-url", url, "--http-health", gone},
         EXIT_FAILED,
         "--http-health: the server cannot be reached"},
        {{"--http-url", url}, 0, ""},
    };

    snprintf(url, sizeof url, "%s", httpd_url(h, "/hosts/{host}"));
    snprintf(gone, sizeof gone, "%s", httpd_url(away, "/hosts/{host}"));
    httpd_stop(away);
    rig_path(c->rig, "none", none);
    assert_int_equal(mkfifo(rig_path(c->rig, "fifo", fifo), 0600), 0);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        contract_ends(c, "mandrill-worker", ARGS("--kind", "restart-http", "-n"), rows[i].flags, 7,
                      rows[i].code, rows[i].says);
    }
    /* Only looked at: nothing was asked. */
    assert_int_equal(httpd_calls(h, HTTPD_ACT) + httpd_calls(h, HTTPD_GET), 0);
    httpd_close(away);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("restart-http");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_is_restarted_and_seen_to_be_back),
        cmocka_unit_test(test_templates_make_the_request),
        cmocka_unit_test(test_a_server_that_compares_does_not_restart_another_one),
        cmocka_unit_test(test_an_answer_decides),
        cmocka_unit_test(test_what_was_done_is_found_out),
        cmocka_unit_test(test_what_was_not_done_is_tried_again),
        cmocka_unit_test(test_a_server_that_is_away_has_done_nothing),
        cmocka_unit_test(test_without_a_look_nobody_knows),
        cmocka_unit_test(test_a_server_that_knows_the_key_is_asked_again),
        cmocka_unit_test(test_a_look_decides),
        cmocka_unit_test(test_a_host_that_is_not_well_is_not_done),
        cmocka_unit_test(test_a_task_whose_time_is_over_is_cancelled),
        cmocka_unit_test(test_thousands_run_side_by_side),
        cmocka_unit_test(test_a_token_is_sent_and_never_shown),
        cmocka_unit_test(test_a_certificate_that_does_not_hold_is_refused),
        cmocka_unit_test(test_options_are_checked),
    };
    return contract_run("restart-http", tests, sizeof tests / sizeof tests[0], &row, 1);
}

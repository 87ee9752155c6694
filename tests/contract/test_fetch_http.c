/* fetch-http: what it fetches, and what it makes of each answer. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    LIMIT_MS = 300,
    RETRY_S = 7,
    MANY = 500,
    SLOW_MS = 500,
    LARGE = 3 << 20
};

static uint64_t ask(contract_t *c, const char *host)
{
    return contract_ask(c, host, CONTRACT_PUBLISHED_MS, NULL);
}

static void expect_host(contract_t *c, const char *host, outcome_t outcome, const char *text)
{
    contract_expect(c, ask(c, host), outcome, text);
}

static void test_a_url_is_fetched_for_each_message(void **state)
{
    contract_t *c = *state;
    httpd_t *h = c->httpd;

    process_t *p =
        contract_start(c, "worker", ARGS("--log-messages", "--fetch-header", "X-Who: {host}, {try}"));
    expect_host(c, "web-1", OUTCOME_OK, "200, 3 bytes");
    assert_int_equal(httpd_saw(h, "GET /web-1 HTTP/1.1\r\n"), 1);
    assert_int_equal(httpd_saw(h, "X-Who: web-1.example.net, 1\r\n"), 1);
    assert_int_equal(process_log_count(p, "Fetched web-1.example.net 200, 3 bytes ("), 1);
    rig_passed(c->rig);
}

static void test_an_answer_decides(void **state)
{
    static const struct {
        httpd_fault_t fault;
        long value;
        outcome_t outcome;
        const char *text;
    } rows[] = {
        {HTTPD_STATUS, 204, OUTCOME_OK, "204, "},
        {HTTPD_LARGE, LARGE, OUTCOME_OK, "200, more than 1048576 bytes"},
        {HTTPD_STATUS, 404, OUTCOME_PERMANENT, "the server answered 404: planned \\x07"},
        {HTTPD_STATUS, 301, OUTCOME_PERMANENT, "redirects are not followed"},
        {HTTPD_STATUS, 408, OUTCOME_TRANSIENT, "the server answered 408"},
        {HTTPD_STATUS, 425, OUTCOME_TRANSIENT, "the server answered 425"},
        {HTTPD_STATUS, 429, OUTCOME_TRANSIENT, "the server answered 429"},
        {HTTPD_STATUS, 500, OUTCOME_TRANSIENT, "the server answered 500"},
        {HTTPD_STATUS, 503, OUTCOME_TRANSIENT, "the server answered 503"},
        {HTTPD_DONE_SHORT, 0, OUTCOME_TRANSIENT, "no answer: "},
        {HTTPD_NO_HTTP, 0, OUTCOME_TRANSIENT, "no answer: "},
        {HTTPD_HEADERS, 0, OUTCOME_TRANSIENT, "more than 64 kB of headers"},
        {HTTPD_SILENT, 0, OUTCOME_TRANSIENT, "timed out"},
    };
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;
    char line[64];

    contract_start(c, "worker", ARGS("--fetch-timeout", "300ms"));
    snprintf(line, sizeof line, "Retry-After: %d", RETRY_S);
    httpd_header(h, line);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        httpd_plan(h, HTTPD_GET, rows[i].fault, rows[i].value, 2); /* over an old connection, and a new one */
        const uint64_t ref = ask(c, "web-1");
        contract_expect(c, ref, rows[i].outcome, rows[i].text);
        if (rows[i].fault == HTTPD_STATUS && rows[i].outcome == OUTCOME_TRANSIENT)
            assert_int_equal(boss_result(b, ref)->ms, RETRY_S * 1000);
        httpd_plan(h, HTTPD_GET, HTTPD_FINE, 0, 0);
    }
    httpd_stop(h);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "the server was not reached: Connection refused");
    httpd_start(h);
    expect_host(c, "web-1", OUTCOME_OK, "200");
    rig_passed(c->rig);
}

static void test_a_fetch_that_takes_too_long_is_cancelled(void **state)
{
    contract_t *c = *state;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    c->boss.limit_ms = LIMIT_MS;
    httpd_plan(c->httpd, HTTPD_GET, HTTPD_SILENT, 0, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "cancelled after 300 ms");
    WAIT(httpd_connections(c->httpd) == 0);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_slots_bound_what_runs_at_once(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    httpd_t *h = c->httpd;

    contract_start(c, "worker", ARGS("--slots", "20"));
    httpd_plan(h, HTTPD_GET, HTTPD_SLOW, 20, MANY);
    const uint64_t first = b->next_ref;
    boss_give_many(b, 0, "web", 1, MANY);
    BOSS_UNTIL(b, b->results_count == MANY);
    boss_expect_each_once(b, first, MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_in_range(httpd_most_connections(h), 10, 40);
    rig_passed(c->rig);
}

static void test_options_are_checked(void **state)
{
    contract_t *c = *state;
    char url[128];
    const struct {
        const char *flags[5];
        int code;
        const char *says;
    } rows[] = {
        {{NULL}, EXIT_USAGE, "fetch-http needs --fetch-url"},
        {{"--fetch-url", "http://{host}/"}, EXIT_USAGE, "--fetch-url: the '{' at 8 stands before the path"},
        {{"--fetch-url", "http://a/{boot_id}"}, EXIT_USAGE, "is no placeholder"},
        {{"--fetch-url", url, "--fetch-header", "X"}, EXIT_USAGE, "--fetch-header: 'X' begins no header"},
        {{"--fetch-url", url, "--fetch-timeout", "0"}, EXIT_USAGE, "--fetch-timeout"},
        {{"--fetch-url", url, "--fetch-ca", "/no/such/file"}, EXIT_FAILED, "cannot read /no/such/file"},
        {{"--fetch-url", "http://127.0.0.1:1/{host}"},
         EXIT_FAILED,
         "--fetch-url: the server cannot be reached"},
        {{"--fetch-url", url}, 0, ""},
    };

    snprintf(url, sizeof url, "%s", httpd_url(c->httpd, "/{host}"));
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        contract_ends(c, "mandrill-worker", ARGS("--kind", "fetch-http", "-n"), rows[i].flags, 5,
                      rows[i].code, rows[i].says);
    }
    assert_int_equal(httpd_calls(c->httpd, HTTPD_GET), 0);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("fetch-http");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_url_is_fetched_for_each_message),
        cmocka_unit_test(test_an_answer_decides),
        cmocka_unit_test(test_a_fetch_that_takes_too_long_is_cancelled),
        cmocka_unit_test(test_slots_bound_what_runs_at_once),
        cmocka_unit_test(test_options_are_checked),
    };
    return contract_run("fetch-http", tests, sizeof tests / sizeof tests[0], &row, 1);
}

/* What the flags are taken for, and which do not go together. */
#include "common/runtime/clock.h"
#include "publisher/settings.h"
#include "tests/unit/capture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static config_t *config;
static settings_t settings;
static const char *told;

/* Words separated by single spaces. */
static int read_flags(const char *flags)
{
    static char words[512];
    char *argv[32] = {(char *)(uintptr_t) "mandrill-publisher"};
    int argc = 1;
    config_destroy(&config);
    snprintf(words, sizeof words, "%s", flags);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    memset(&settings, 0, sizeof settings);
    capture_begin(STDERR_FILENO);
    int r = config_load(&config, &publisher_program, argc, argv);
    if (r == CONFIG_RUN)
        r = settings_read(&settings, config);
    told = capture_end();
    return r;
}

static void expect_refused(const char *flags, const char *flag)
{
    assert_int_equal(read_flags(flags), -EINVAL);
    if (!strstr(told, flag))
        fail_msg("\"%s\" is answered \"%s\", without %s", flags, told, flag);
}

static void expect_taken(const char *flags)
{
    if (read_flags(flags) != 0)
        fail_msg("\"%s\" is refused: %s", flags, told);
}

static int done(void **state)
{
    (void)state;
    config_destroy(&config);
    return 0;
}

static void defaults(void **state)
{
    (void)state;
    expect_taken("");
    assert_string_equal(settings.listen, "tcp://127.0.0.1:5555");
    assert_string_equal(settings.clients, "tcp://127.0.0.1:5557");
    assert_string_equal(settings.outbox, "mandrill-data/outbox.db");
    assert_int_equal(settings.legs_count, 2);
    assert_string_equal(settings.legs[1], "restart");
    assert_int_equal(settings.limits.ack_deadline_ms, 10000);
    assert_int_equal(settings.limits.lease_cap_ms, 3600000);
    assert_int_equal(settings.limits.max_deliveries, 5);
    assert_int_equal(settings.batch, 1024);
    assert_true(settings.outbox_max == (int64_t)10 << 30);
    assert_int_equal(settings.drain_ms, 10000);
    assert_int_equal(settings.load, 0);
    assert_null(settings.from);
    assert_false(settings.stay);
    assert_int_equal(settings.report, REPORT_TEXT);
}

static void loads(void **state)
{
    (void)state;
    expect_taken("--load 25 --rate 2.5 --report json");
    assert_int_equal(settings.load, 25);
    assert_true(settings.rate > 2.49 && settings.rate < 2.51);
    assert_int_equal(settings.report, REPORT_JSON);
    expect_taken("--load forever --rate random");
    assert_true(settings.load == LOAD_FOREVER);
    assert_true(settings.rate_random);
    expect_refused("--load 0", "--load");
    expect_refused("--load -3", "--load");
    expect_refused("--load many", "--load");
    expect_refused("--load 3 --rate 0", "--rate");
    expect_refused("--load 3 --rate fast", "--rate");
    expect_refused("--load 3 --rate nan", "--rate");
    expect_refused("--rate 3", "--rate");
    expect_refused("--size 300", "--size");
}

static void lines(void **state)
{
    (void)state;
    expect_taken("--from hosts.txt --load-id x");
    expect_taken("--from -");
    expect_refused("--from - --load 3", "--from");
    expect_refused("--from - --load-id x", "--load-id");
    expect_refused("--load-id x", "--load-id");
}

static void names(void **state)
{
    (void)state;
    expect_taken("--legs only");
    assert_int_equal(settings.legs_count, 1);
    expect_refused("--legs save,save", "--legs");
    expect_refused("--legs Save", "--legs");
    expect_refused("--legs a,b,c,d,e,f,g,h,i", "--legs");
    expect_refused("--domain no_domain", "--domain");
    expect_refused("--listen udp://127.0.0.1:1", "udp://127.0.0.1:1");
    expect_refused("--clients nowhere", "--clients");
}

/* --size is the whole body's. */
static void sizes(void **state)
{
    (void)state;
    char flags[64], why[WHY_BYTES];
    buffer_t body;
    buffer_init(&body);
    for (size_t size = 80; size <= BODY_BYTES_MAX; size += size < 400 ? 1 : 1977) {
        snprintf(flags, sizeof flags, "--load 1 --size %zu", size);
        expect_taken(flags);
        buffer_clear(&body);
        assert_int_equal(
            body_make("cattle-abcd", 11, settings.domain, clock_wall_ms(), settings.pad, &body, why), 0);
        /* Where the length of the filling needs a byte more, there is no body of just this size. */
        if (body.len != size && !(body.len == size - 1 && (settings.pad == 31 || settings.pad == 255)))
            fail_msg("--size %zu makes %zu", size, body.len);
    }
    buffer_done(&body);
    expect_refused("--load 1 --size 30", "--size");
    expect_refused("--load 1 --size 70000", "--size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults), cmocka_unit_test(loads), cmocka_unit_test(lines),
        cmocka_unit_test(names),    cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}

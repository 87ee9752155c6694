#include "cli/bench_report.h"
#include "cli/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bench_result_t example(void)
{
    return (bench_result_t){
        .count = 1000,
        .acked = 1000,
        .executions = 2003,
        .legs = 2,
        .seconds = 0.5,
        .latency_ms = {0.7504, 1, 2.5, 3},
        .parts = {[PART_PUBLISHER] = {2000, 10240},
                  [PART_CONSUMER] = {1000, 5120},
                  [PART_SAVE] = {1500, 1024},
                  [PART_RESTART] = {500, 1024}},
        .size_bytes = 100,
        .store = "sqlite",
        .save = 1,
        .restart = 1,
        .transport = "ipc",
    };
}

static void the_json_is_exactly_as_documented(void **state)
{
    (void)state;
    bench_result_t b = example();
    char *text = bench_json(&b);
    assert_string_equal(
        text,
        "{\"count\":1000,\"acked\":1000,\"duplicates\":3,\"dead\":0,\"seconds\":0.5,\"rate\":2000.0,"
        "\"cpu_us_per_message\":5.0,\"latency_ms\":{\"p50\":0.75,\"p90\":1.0,\"p99\":2.5,\"max\":3.0},"
        "\"roles\":{\"publisher\":{\"cpu_us\":2000,\"rss_mb\":10.0},\"consumer\":{\"cpu_us\":1000,"
        "\"rss_mb\":5.0},\"save\":{\"cpu_us\":1500,\"rss_mb\":1.0},\"restart\":{\"cpu_us\":500,"
        "\"rss_mb\":1.0}},\"settings\":{\"rate\":null,\"size\":100,\"store\":\"sqlite\",\"save\":1,"
        "\"restart\":1,\"slots\":null,\"transport\":\"ipc\",\"data\":null,\"version\":\"" MANDRILL_VERSION
        "\"}}");
    free(text);
}

static void settings_that_were_given_are_told(void **state)
{
    (void)state;
    bench_result_t b = example();
    b.rate = 10000;
    b.slots = 8;
    b.data_dir = "some \"dir\"";
    char *text = bench_json(&b);
    json_t *report = report_parse(text, strlen(text));
    assert_non_null(report);
    assert_true(report_real(report, "settings.rate", 0) == 10000);
    assert_int_equal(report_int(report, "settings.slots", 0), 8);
    assert_string_equal(report_text(report, "settings.data", ""), "some \"dir\"");
    json_decref(report);
    free(text);
}

static void nothing_done_is_zero_and_not_nan(void **state)
{
    (void)state;
    bench_result_t b = {.transport = "tcp"};
    char *text = bench_json(&b);
    json_t *report = report_parse(text, strlen(text));
    assert_non_null(report);
    assert_true(report_real(report, "rate", -1) == 0);
    assert_true(report_real(report, "cpu_us_per_message", -1) == 0);
    json_decref(report);
    free(text);
}

static void duplicates_are_what_is_beyond_one_for_each_leg(void **state)
{
    (void)state;
    bench_result_t b = example();
    b.executions = 2000;
    assert_int_equal(bench_duplicates(&b), 0);
    b.executions = 2001;
    assert_int_equal(bench_duplicates(&b), 1);
    b.executions = 1999; /* not all were acked */
    assert_int_equal(bench_duplicates(&b), 0);
}

static void the_table_has_a_row_for_each_role(void **state)
{
    (void)state;
    char text[2048] = "";
    bench_result_t b = example();
    FILE *f = fmemopen(text, sizeof(text), "w");
    bench_table(&b, f);
    fclose(f);
    assert_non_null(strstr(text, "1000 messages of 100 bytes, 1000 acked, 0 dead, 3 duplicates\n"));
    assert_non_null(strstr(text, "0.50 s, 2000 messages/s, 5.00 us CPU for each\n"));
    assert_non_null(strstr(text, "\npublisher "));
    assert_non_null(strstr(text, "\nconsumer "));
    assert_non_null(strstr(text, "\nsave "));
    assert_non_null(strstr(text, "\nrestart "));
}

/* --- reports of the programs */

static void values_are_found_by_path(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":{\"b\":{\"c\":7}},\"r\":1.5,\"t\":\"x\",\"a.b\":9}";
    json_t *report = report_parse(text, strlen(text));
    assert_int_equal(report_int(report, "a.b.c", -1), 7);
    assert_int_equal(report_int(report, "a.b.d", -1), -1);
    assert_int_equal(report_int(report, "a.b", -1), -1);
    assert_int_equal(report_int(report, "t", -1), -1);
    assert_int_equal(report_int(report, "r", -1), 1);
    assert_true(report_real(report, "r", 0) == 1.5);
    assert_true(report_real(report, "a.b.c", 0) == 7);
    assert_string_equal(report_text(report, "t", "-"), "x");
    assert_string_equal(report_text(report, "r", "-"), "-");
    assert_int_equal(report_int(NULL, "r", -1), -1);
    json_decref(report);
}

static void only_objects_are_reports(void **state)
{
    (void)state;
    assert_null(report_parse("[1]", 3));
    assert_null(report_parse("{\"a\":1", 6));
    assert_null(report_parse("", 0));
    assert_null(report_parse("2026-11-21 INFO x", 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_is_exactly_as_documented),
        cmocka_unit_test(settings_that_were_given_are_told),
        cmocka_unit_test(nothing_done_is_zero_and_not_nan),
        cmocka_unit_test(duplicates_are_what_is_beyond_one_for_each_leg),
        cmocka_unit_test(the_table_has_a_row_for_each_role),
        cmocka_unit_test(values_are_found_by_path),
        cmocka_unit_test(only_objects_are_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

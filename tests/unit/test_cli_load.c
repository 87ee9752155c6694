#include "cli/load_report.h"
#include "cli/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static load_watch_t watch;

static int setup(void **state)
{
    (void)state;
    load_watch_init(&watch);
    return 0;
}

static bool report(const char *text)
{
    json_t *status = report_parse(text, strlen(text));
    assert_non_null(status);
    bool moved = load_watch_report(&watch, status);
    json_decref(status);
    return moved;
}

static void an_empty_outbox_settles_all(void **state)
{
    (void)state;
    report("{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":0,\"dead\":2}");
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    assert_false(watch.settled);
    report("{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":0,\"dead\":3}");
    assert_true(watch.settled);
    assert_int_equal(watch.dead, 1);
}

/* Others publish too: what came later than ours does not matter. */
static void what_is_left_must_be_later(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    report(
        "{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":9,\"oldest_epoch\":3,\"oldest_seq\":10}");
    assert_false(watch.settled);
    report(
        "{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":9,\"oldest_epoch\":2,\"oldest_seq\":99}");
    assert_false(watch.settled);
    report(
        "{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":9,\"oldest_epoch\":3,\"oldest_seq\":11}");
    assert_true(watch.settled);
}

static void a_publisher_that_was_started_again_knows_ours_as_older(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    report(
        "{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":9,\"oldest_epoch\":3,\"oldest_seq\":1}");
    report(
        "{\"session\":\"00000000000000bb\",\"epoch\":4,\"backlog\":9,\"oldest_epoch\":3,\"oldest_seq\":10}");
    assert_false(watch.settled);
    report(
        "{\"session\":\"00000000000000bb\",\"epoch\":4,\"backlog\":9,\"oldest_epoch\":4,\"oldest_seq\":1}");
    assert_true(watch.settled);
}

static void a_start_that_was_never_seen_is_older_too(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    report(
        "{\"session\":\"00000000000000bb\",\"epoch\":5,\"backlog\":9,\"oldest_epoch\":4,\"oldest_seq\":11}");
    assert_false(watch.settled);
    report(
        "{\"session\":\"00000000000000bb\",\"epoch\":5,\"backlog\":9,\"oldest_epoch\":5,\"oldest_seq\":1}");
    assert_true(watch.settled);
}

static void without_ids_only_an_empty_outbox_will_do(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0, 0});
    report(
        "{\"session\":\"00000000000000bb\",\"epoch\":5,\"backlog\":1,\"oldest_epoch\":5,\"oldest_seq\":9}");
    assert_false(watch.settled);
    report("{\"epoch\":5,\"backlog\":0}");
    assert_true(watch.settled);
}

/* An older publisher says nothing of the oldest. */
static void a_status_that_says_little_settles_nothing(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    report("{\"session\":\"00000000000000aa\",\"epoch\":3,\"backlog\":4}");
    assert_false(watch.settled);
    report("{}");
    assert_false(watch.settled);
}

static void what_moves_is_told(void **state)
{
    (void)state;
    load_watch_confirmed(&watch, (message_id_t){0xaa, 10});
    assert_true(report("{\"epoch\":3,\"backlog\":9,\"dead\":0}"));
    assert_false(report("{\"epoch\":3,\"backlog\":9,\"dead\":0}"));
    assert_true(report("{\"epoch\":3,\"backlog\":8,\"dead\":0}"));
    assert_true(report("{\"epoch\":3,\"backlog\":8,\"dead\":1}"));
}

static void the_result_as_text_and_as_json(void **state)
{
    (void)state;
    char text[512] = "";
    static load_result_t r = {
        .count = 100, .confirmed = 99, .refused = 1, .acked = 90, .dead = 4, .seconds = 3};
    FILE *f = fmemopen(text, sizeof text, "w");
    assert_non_null(f);
    load_result_text(&r, f);
    fclose(f);
    assert_string_equal(text,
                        "90 messages acked in 3.0 s: 30 a second; 4 died; 1 were refused; 5 are still in the "
                        "outbox; confirms took 0.0 ms (p50), 0.0 ms (p99)\n");
    char *json = load_result_json(&r);
    assert_non_null(json);
    json_t *read = report_parse(json, strlen(json));
    assert_int_equal(report_int(read, "acked", 0), 90);
    assert_int_equal(report_int(read, "confirmed", 0), 99);
    assert_non_null(report_at(read, "confirm_ms.p99"));
    json_decref(read);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_outbox_settles_all, setup),
        cmocka_unit_test_setup(what_is_left_must_be_later, setup),
        cmocka_unit_test_setup(a_publisher_that_was_started_again_knows_ours_as_older, setup),
        cmocka_unit_test_setup(a_start_that_was_never_seen_is_older_too, setup),
        cmocka_unit_test_setup(without_ids_only_an_empty_outbox_will_do, setup),
        cmocka_unit_test_setup(a_status_that_says_little_settles_nothing, setup),
        cmocka_unit_test_setup(what_moves_is_told, setup),
        cmocka_unit_test(the_result_as_text_and_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

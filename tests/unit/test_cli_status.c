#include "cli/report.h"
#include "cli/status_table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char page[8192];
static size_t consumers_asked = 1;

static const char *table(const char *publisher, const char *consumer)
{
    json_t *p = publisher ? report_parse(publisher, strlen(publisher)) : NULL;
    json_t *c = consumer ? report_parse(consumer, strlen(consumer)) : NULL;
    assert_true((p != NULL) == (publisher != NULL) && (c != NULL) == (consumer != NULL));
    memset(page, 0, sizeof(page));
    FILE *f = fmemopen(page, sizeof(page), "w");
    const json_t *const consumers[] = {c, NULL, c};
    const status_view_t view = {.publisher = p,
                                .consumers = consumers,
                                .endpoints = (const char *const[]){"ep-1", "ep-2", "ep-3"},
                                .consumers_count = c ? consumers_asked : 0,
                                .dead_command = "mandrill dead list"};
    status_table(f, &view);
    fclose(f);
    json_decref(p);
    json_decref(c);
    return page;
}

static void assert_has(const char *text)
{
    if (!strstr(page, text))
        fail_msg("\"%s\" is not in:\n%s", text, page);
}

static void a_running_publisher(void **state)
{
    (void)state;
    table("{\"role\":\"publisher\",\"version\":\"1.2\",\"uptime_ms\":192000,\"published\":12000,\"acked\":"
          "10796,"
          "\"dead\":3,\"suspects\":4,\"backlog\":1204,\"ready\":900,\"leased\":300,\"parked\":4,\"limbo\":0,"
          "\"oldest_age_ms\":12300,\"outbox_bytes\":12897484,\"outbox_max_bytes\":10737418240,"
          "\"consumers\":1,\"credit\":788,\"redelivered\":2,\"rate\":{\"published\":210,\"acked\":208.25},"
          "\"refused\":{\"body\":5,\"gap\":0,\"full\":1},\"load\":{\"position\":12000,\"total\":20000},"
          "\"draining\":1}",
          NULL);
    assert_has("publisher 1.2, up 3 min, draining\n");
    assert_has("  backlog     1204       oldest 12 s\n");
    assert_has("ready 900, leased 300, waiting 4, unsure 0\n");
    assert_has("  published   12000      210.0/s\n");
    assert_has("  acked       10796      208.2/s\n");
    assert_has("  dead        3          see: mandrill dead list\n");
    assert_has("  suspects    4          each was out when two or more consumers were lost\n");
    assert_has("  load        12000 of 20000\n");
    assert_has("  outbox      12.3 MiB of 10.0 GiB\n");
    assert_has("  consumers   1          credit 788\n");
    assert_has("  refused     body 5, full 1\n");
    assert_null(strstr(page, "consumer 1"));
}

static void an_idle_outbox_tells_what_it_can(void **state)
{
    (void)state;
    table("{\"role\":\"publisher\",\"version\":\"1.2\",\"backlog\":0,\"dead\":1,\"outbox_bytes\":500}", NULL);
    assert_string_equal(page, "publisher 1.2\n"
                              "  backlog     0         \n"
                              "  dead        1          see: mandrill dead list\n"
                              "  outbox      500 bytes\n");
}

static void a_consumer_has_a_row_for_each_leg(void **state)
{
    (void)state;
    table(
        NULL,
        "{\"role\":\"consumer\",\"version\":\"1.2\",\"uptime_ms\":900,\"held\":30,\"window\":1152,"
        "\"consumed\":500,\"acked\":470,\"publishers\":{\"connected\":2},\"workers\":{\"save\":{\"count\":1,"
        "\"kind\":\"save-sqlite\",\"window\":4096,\"outstanding\":6,\"waiting\":7,\"running\":8,"
        "\"backing_off\":9,\"done\":480,\"bad\":11,\"retries\":12},\"restart\":{\"count\":0}}}");
    assert_has("consumer 1.2, up 0.9 s\n");
    assert_has("  in flight   30         window 1152\n");
    assert_has("  publishers  2\n");
    assert_has(
        "  save       save-sqlite              1       8    4090       7       9        480      11      "
        "12\n");
    assert_has("  restart    -                        0 ");
}

static void of_several_the_shares_are_shown(void **state)
{
    (void)state;
    table("{\"consumers\":2,\"sessions\":{\"0\":{\"name\":\"c1:7\",\"window\":100,\"outstanding\":3,"
          "\"given\":30},"
          "\"1\":{\"name\":\"c2:7\",\"window\":200,\"outstanding\":4,\"given\":10}}}",
          "{\"workers\":{\"save\":{\"each\":{\"0\":{\"name\":\"alone\"}}},\"restart\":{\"each\":{"
          "\"0\":{\"name\":\"w1:7\",\"window\":64,\"given\":0},\"1\":{\"name\":\"w2:7\",\"given\":0},\"2\":5}"
          "}}}");
    assert_has("              c1:7                           got 30 (75.0 %), has 3 of 100\n");
    assert_has("              c2:7                           got 10 (25.0 %), has 4 of 200\n");
    assert_has("  restart     w1:7                           got 0 (0.0 %), has 0 of 64\n");
    assert_has("  restart     ?                              got 0 (0.0 %), has 0 of 0\n");
    assert_null(strstr(page, "alone"));
}

static void both_are_told_apart(void **state)
{
    (void)state;
    table("{\"version\":\"1\"}", "{\"version\":\"2\"}");
    assert_has("\n\nconsumer 2\n");
    table(NULL, NULL);
    assert_string_equal(page, "");
}

static void consumers_that_are_not_shown_are_told_of(void **state)
{
    (void)state;
    const char *publisher = "{\"version\":\"1\",\"consumers\":3,\"credit\":0}";
    consumers_asked = 3; /* the second has not answered */
    table(publisher, "{\"version\":\"2\"}");
    assert_non_null(strstr(strstr(page, "\n\nconsumer 2 at ep-1\n") + 1, "\n\nconsumer 2 at ep-3\n"));
    assert_has(
        "\n3 consumers are connected, 2 shown: --control EP for each, or --data DIR of the `mandrill up`\n");
    consumers_asked = 1;
    table("{\"version\":\"1\",\"consumers\":1}", "{\"version\":\"2\"}");
    assert_null(strstr(page, "shown"));
}

static void values_of_another_type_do_no_harm(void **state)
{
    (void)state;
    table("{\"version\":7,\"backlog\":\"many\",\"refused\":[1],\"rate\":5,\"load\":{\"total\":\"x\"}}",
          "{\"workers\":{\"save\":3},\"refused\":{\"a\":\"b\"}}");
    assert_has("publisher ?");
    assert_has("  backlog     0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_publisher),
        cmocka_unit_test(an_idle_outbox_tells_what_it_can),
        cmocka_unit_test(a_consumer_has_a_row_for_each_leg),
        cmocka_unit_test(of_several_the_shares_are_shown),
        cmocka_unit_test(both_are_told_apart),
        cmocka_unit_test(consumers_that_are_not_shown_are_told_of),
        cmocka_unit_test(values_of_another_type_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

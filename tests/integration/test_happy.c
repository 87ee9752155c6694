/* Messages go the whole way: from each of the sources, over every leg, to the ack. */
#include "tests/support/pipeline.h"
#include "tests/support/saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_a_load_runs_through(void **state)
{
    rig_t *rig = *state;
    char database[TEST_PATH_MAX];
    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "300"));
    process_t *consumer = start_consumer(rig, 0, 1, NO_ARGS);
    process_t *save = start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..20", "--log-messages"));

    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(report_number(publisher, "published"), 300);
    assert_int_equal(report_number(publisher, "acked"), 300);
    assert_int_equal(report_number(publisher, "dead"), 0);
    assert_int_equal(report_number(publisher, "backlog"), 0);
    assert_int_equal(report_number(publisher, "redelivered"), 0);
    assert_int_equal(report_number(publisher, "legs.save.done"), 300);
    assert_int_equal(report_number(publisher, "legs.restart.done"), 300);
    rig_path(rig, "saved-0.db", database);
    assert_int_equal(saved_rows(database), 300);
    assert_int_equal(
        saved_number(database,
                     "SELECT count(*) FROM messages WHERE host LIKE 'cattle-%.example.net' AND host = "
                     "instance || '.example.net' AND published_at > 0 AND saved_at >= published_at",
                     NULL),
        300);
    assert_int_equal(process_log_count(restart, "Restarted "), 300);
    assert_int_equal(process_stop(consumer), 0);
    assert_int_equal(process_stop(save), 0);
    assert_int_equal(process_stop(restart), 0);
    assert_int_equal(report_number(consumer, "consumed"), 300);
    assert_int_equal(report_number(consumer, "acked"), 300);
    assert_int_equal(report_number(save, "tasks"), 300);
    assert_int_equal(report_number(save, "ok"), 300);
    assert_int_equal(report_number(restart, "ok"), 300);
    rig_passed(rig);
}

/* The line of a journal with the host: its id. */
static void journal_id(const process_t *publish, const char *host, char *id, size_t size)
{
    char *out = test_read_file(publish->out);
    char *end = strstr(out, host);

    assert_true(end != NULL && end > out && end[-1] == ' ');
    end[-1] = '\0';
    const char *line = strrchr(out, '\n');
    snprintf(id, size, "%s", line != NULL ? line + 1 : out);
    free(out);
}

static void test_a_published_host_leaves_its_trace_everywhere(void **state)
{
    rig_t *rig = *state;
    char id[64], line[256], database[TEST_PATH_MAX], seen[16];

    start_publisher(rig, 0, NO_ARGS);
    process_t *consumer = start_consumer(rig, 0, 1, ARGS("--log-messages"));
    process_t *save = start_save(rig, 0, 1, ARGS("--log-messages"));
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..5", "--log-messages"));
    process_t *publish = SPAWN(rig, "publish", "mandrill", "publish", "--clients",
                               rig_endpoint(rig, "clients-0"), "web-1", "db-7.example.org");

    assert_int_equal(process_wait(publish, WAIT_MS), 0);
    assert_int_equal(process_out_count(publish, "\n"), 2);
    WAIT(process_log_count(consumer, "Acked ") == 2);
    journal_id(publish, "db-7.example.org", id, sizeof id);
    snprintf(line, sizeof line, "Consumed %s db-7.example.org", id);
    assert_int_equal(process_log_count(consumer, line), 1);
    snprintf(line, sizeof line, "Done. Acked %s db-7.example.org extended_cnt=0", id);
    assert_int_equal(process_log_count(consumer, line), 1);
    snprintf(line, sizeof line, "Saved db-7.example.org into database (%s)", id);
    assert_int_equal(process_log_count(save, line), 1);
    snprintf(line, sizeof line, "Restarted db-7.example.org (%s)", id);
    assert_int_equal(process_log_count(restart, line), 1);
    journal_id(publish, "web-1", id, sizeof id);
    snprintf(line, sizeof line, "Consumed %s web-1.example.net", id);
    assert_int_equal(process_log_count(consumer, line), 1);
    assert_true(saved_text(rig_path(rig, "saved-0.db", database),
                           "SELECT printf('%016x-%d', stream, seq) = ? FROM messages WHERE host = "
                           "'web-1.example.net'",
                           id, seen, sizeof seen));
    assert_string_equal(seen, "1");
    rig_passed(rig);
}

static void test_lines_of_standard_input_arrive(void **state)
{
    rig_t *rig = *state;
    char hosts[TEST_PATH_MAX], database[TEST_PATH_MAX], attributes[128];
    static const char LINES[] = "web-1\nweb-2\n{\"instance\":\"web-3\",\"reason\":\"disk\",\"count\":7}\n";

    test_write_file(rig_path(rig, "hosts", hosts), LINES, strlen(LINES));
    rig->stdin_file = hosts;
    process_t *publisher = start_publisher(rig, 0, ARGS("--from", "-"));
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
    assert_int_equal(process_wait(publisher, WAIT_MS), 0);
    assert_int_equal(report_number(publisher, "acked"), 3);
    assert_int_equal(saved(rig, 0), 3);
    assert_int_equal(saved_host(rig, 0, "web-2.example.net"), 1);
    assert_true(saved_text(rig_path(rig, "saved-0.db", database),
                           "SELECT attributes FROM messages WHERE instance = ?", "web-3", attributes,
                           sizeof attributes));
    assert_non_null(strstr(attributes, "\"disk\""));
    assert_non_null(strstr(attributes, "7"));
    rig_passed(rig);
}

static void test_ports_are_chosen_and_announced(void **state)
{
    rig_t *rig = *state;
    char outbox[TEST_PATH_MAX], database[TEST_PATH_MAX], leases[TEST_PATH_MAX], clients[TEST_PATH_MAX],
        tasks[TEST_PATH_MAX], path[TEST_PATH_MAX], value[TEST_PATH_MAX];
    static const char ANY[] = "tcp://127.0.0.1:0";

    process_t *publisher =
        SPAWN(rig, "publisher", "mandrill-publisher", "--listen", ANY, "--clients", ANY, "--outbox",
              rig_path(rig, "outbox.db", outbox), "--announce", rig_path(rig, "publisher.announce", path));
    process_announced(publisher, "listen", leases);
    process_announced(publisher, "clients", clients);
    process_announced(publisher, "pid", value);
    assert_int_equal(atol(value), publisher->pid);
    assert_string_not_equal(leases, ANY);
    process_t *consumer = SPAWN(rig, "consumer", "mandrill-consumer", "--publisher", leases, "--listen", ANY,
                                "--control", ANY, "--announce", rig_path(rig, "consumer.announce", path));
    process_announced(consumer, "listen", tasks);
    process_announced(consumer, "control", value);
    process_t *save =
        SPAWN(rig, "save", "mandrill-worker", "--kind", "save-sqlite", "--consumer", tasks, "--database",
              rig_path(rig, "saved.db", database), "--announce", rig_path(rig, "save.announce", path));
    process_announced(save, "ready", value);
    assert_string_equal(value, "1");
    SPAWN(rig, "restart", "mandrill-worker", "--kind", "restart-simulate", "--simulate", "0..5", "--consumer",
          tasks);
    assert_int_equal(RUN(rig, "publish", "mandrill", "publish", "--clients", clients, "web-1", "web-2"), 0);
    WAIT(saved_rows(database) == 2);
    rig_passed(rig);
}

static void test_status_tells_the_backlog(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    publish_hosts(rig, 0, "web", 7);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 7);
    assert_int_equal(RUN(rig, "status", "mandrill", "status", "--json", "--clients",
                         rig_endpoint(rig, "clients-0"), "--control", rig_endpoint(rig, "control-0")),
                     0);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(saved(rig, 0), 7);
    json_t *status = status_query(rig, "control-0");
    assert_non_null(status);
    json_decref(status);
    rig_passed(rig);
}

/* Both kinds of failure, as in the tutorial: transient ones are tried again, permanent ones end among the
 * dead. */
static void test_failures_are_tried_again_or_buried(void **state)
{
    rig_t *rig = *state;
    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "200"));

    start_consumer(rig, 0, 1, ARGS("--backoff", "20ms", "--max-tries", "20"));
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..5", "--fail", "0.3", "--seed", "1"));
    assert_int_equal(process_wait(publisher, WAIT_MS), 1);
    int64_t dead = report_number(publisher, "dead");
    assert_true(dead > 0);
    assert_int_equal(report_number(publisher, "acked") + dead, 200);
    assert_int_equal(saved(rig, 0), 200);
    assert_int_equal(process_stop(restart), 0);
    assert_true(report_number(restart, "transient") > 0);
    assert_int_equal(report_number(restart, "permanent"), dead);
    assert_int_equal(report_number(restart, "ok"), 200 - dead);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_a_load_runs_through),
        RIG_TESTS(test_a_published_host_leaves_its_trace_everywhere),
        RIG_TESTS(test_lines_of_standard_input_arrive),
        RIG_TEST(test_ports_are_chosen_and_announced, "tcp"),
        RIG_TESTS(test_status_tells_the_backlog),
        RIG_TESTS(test_failures_are_tried_again_or_buried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

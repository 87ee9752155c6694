/* The judge is tried first: databases and journals made by hand, one fault in each. */
#include "tests/support/load.h"
#include "tests/support/saved.h"

#include <stdio.h>
#include <string.h>

#define TABLE "CREATE TABLE messages(stream, seq, instance, host, published_at, saved_at, attributes);"
#define ROW(stream, seq, host)                                                                               \
    "INSERT INTO messages(stream, seq, host) VALUES(" #stream ", " #seq ", '" host "');"

static const char JOURNAL[] = "0000000000000007-1 web-1\n"
                              "0000000000000007-2 web-2.example.org\n"
                              "7fffffffffffffff-1 db-1\n";
static const char REQUESTS[] = "web-1\nweb-2.example.org\ndb-1\nmaybe-1\n";

static checked_t judge(void **state, const char *rows, const char *journal, const char *requests)
{
    rig_t *rig = *state;
    char database[TEST_PATH_MAX], journal_path[TEST_PATH_MAX], requests_path[TEST_PATH_MAX];

    database_change(rig_path(rig, "saved-0.db", database), TABLE);
    database_change(database, rows);
    test_write_file(rig_path(rig, "journal", journal_path), journal, strlen(journal));
    if (requests != NULL)
        test_write_file(rig_path(rig, "requests", requests_path), requests, strlen(requests));
    checked_t v = check_saved(rig, 0, journal_path, requests != NULL ? requests_path : NULL);
    rig_passed(rig);
    return v;
}

static void assert_verdict(checked_t v, int code, unsigned lost, unsigned unexpected, unsigned duplicate)
{
    assert_int_equal(v.lost, lost);
    assert_int_equal(v.unexpected, unexpected);
    assert_int_equal(v.duplicate, duplicate);
    assert_int_equal(v.code, code);
}

#define GOOD                                                                                                 \
    ROW(7, 1, "web-1.example.net")                                                                           \
    ROW(7, 2, "web-2.example.org") ROW(9223372036854775807, 1, "db-1.example.net")

static void test_all_is_well(void **state)
{
    checked_t v = judge(state, GOOD, JOURNAL, REQUESTS);

    assert_verdict(v, 0, 0, 0, 0);
    assert_int_equal(v.confirmed, 3);
    assert_int_equal(v.saved, 3);
}

/* Rows that were written out by another store. */
static checked_t judge_rows(rig_t *rig, const char *rows)
{
    char file[TEST_PATH_MAX], journal[TEST_PATH_MAX];

    test_write_file(rig_path(rig, "rows", file), rows, strlen(rows));
    test_write_file(rig_path(rig, "journal", journal), JOURNAL, strlen(JOURNAL));
    return check_rows(rig, file, journal, NULL);
}

static void test_rows_as_text_are_judged_too(void **state)
{
    rig_t *rig = *state;
    const char good[] =
        "7 1 web-1.example.net\n7 2 web-2.example.org\n9223372036854775807 1 db-1.example.net\n";
    const char twice[] = "7 1 web-1.example.net\n7 1 web-1.example.net\n7 2 x.example.org\n";

    assert_verdict(judge_rows(rig, good), 0, 0, 0, 0);
    assert_verdict(judge_rows(rig, twice), 1, 1, 1, 1);
    rig_passed(rig);
}

static void test_an_unanswered_request_may_be_saved(void **state)
{
    assert_verdict(judge(state, GOOD ROW(8, 1, "maybe-1.example.net"), JOURNAL, REQUESTS), 0, 0, 0, 0);
}

static void test_a_cut_last_line_promises_nothing(void **state)
{
    assert_verdict(judge(state, GOOD, "0000000000000007-1 web-1\n0000000000000007-99 web", REQUESTS), 0, 0, 0,
                   0);
}

static void test_a_missing_row_is_lost(void **state)
{
    assert_verdict(
        judge(state, ROW(7, 1, "web-1.example.net") ROW(7, 2, "web-2.example.org"), JOURNAL, REQUESTS), 1, 1,
        0, 0);
}

static void test_the_last_rows_are_looked_at(void **state)
{
    assert_verdict(judge(state, ROW(7, 0, "maybe-1.example.net"), JOURNAL, REQUESTS), 1, 3, 0, 0);
}

static void test_two_confirms_of_one_id_share_a_row(void **state)
{
    assert_verdict(judge(state, GOOD, "0000000000000007-1 web-1\n0000000000000007-1 web-1\n", REQUESTS), 1, 1,
                   0, 0);
}

static void test_a_second_row_of_an_id_is_a_duplicate(void **state)
{
    assert_verdict(judge(state, GOOD ROW(7, 1, "web-1.example.net"), JOURNAL, NULL), 1, 0, 0, 1);
}

static void test_a_second_row_of_an_id_counts_once(void **state)
{
    assert_verdict(judge(state, GOOD ROW(7, 1, "web-1.example.net"), JOURNAL, REQUESTS), 1, 0, 0, 1);
}

static void test_a_request_stored_under_two_ids_is_a_duplicate(void **state)
{
    assert_verdict(judge(state, GOOD ROW(7, 9, "web-1.example.net"), JOURNAL, REQUESTS), 1, 0, 0, 1);
}

static void test_a_host_asked_for_twice_may_have_two_rows(void **state)
{
    assert_verdict(judge(state, GOOD ROW(7, 9, "web-1.example.net"), JOURNAL,
                         "web-1\nweb-2.example.org\nweb-1\ndb-1\nmaybe-1\n"),
                   0, 0, 0, 0);
}

static void test_a_row_nobody_asked_for_is_unexpected(void **state)
{
    assert_verdict(judge(state, GOOD ROW(8, 1, "evil-1.example.net"), JOURNAL, REQUESTS), 1, 0, 1, 0);
}

static void test_a_row_of_another_host_is_unexpected(void **state)
{
    assert_verdict(judge(state,
                         ROW(7, 1, "db-1.example.net") ROW(7, 2, "web-2.example.org")
                             ROW(9223372036854775807, 1, "db-1.example.net"),
                         JOURNAL, REQUESTS),
                   1, 0, 1, 0);
}

static void test_without_a_list_only_the_journal_is_judged(void **state)
{
    assert_verdict(judge(state, GOOD ROW(8, 1, "evil-1.example.net"), JOURNAL, NULL), 0, 0, 0, 0);
}

static void test_the_same_seq_of_another_stream_is_no_row(void **state)
{
    assert_verdict(judge(state, ROW(8, 1, "maybe-1.example.net"), "0000000000000007-1 maybe-1\n", REQUESTS),
                   1, 1, 0, 0);
}

static void test_work_done_again_is_counted_and_no_fault(void **state)
{
    static const char LOG[] =
        "Z info mandrill-worker: connected to consumer tcp://127.0.0.1:1 (0000000000000007-1)\n"
        "Z info mandrill-worker: Saved web-1.example.net into database (0000000000000007-1)\n"
        "Z info mandrill-worker: Restarted web-1.example.net (0000000000000007-1)\n"
        "Z info mandrill-worker: Restarted web-1.example.net (0000000000000007-1)\n"
        "Z info mandrill-worker: Restarted web-1.example.net (0000000000000008-1)\n"
        "Z info mandrill-worker: Restarted web-1.example.net (0000000000000007-1";
    rig_t *rig = *state;
    char log[TEST_PATH_MAX], database[TEST_PATH_MAX];

    database_change(rig_path(rig, "saved.db", database), TABLE);
    test_write_file(rig_path(rig, "log", log), LOG, strlen(LOG));
    process_t *p = SPAWN(rig, "checker", "checker", "--saved", database, "--work", log);
    assert_int_equal(process_wait(p, WAIT_MS), 0);
    assert_int_equal(process_out_count(p, " work 4 again 1\n"), 1);
    rig_passed(rig);
}

static void test_what_cannot_be_read_is_an_error(void **state)
{
    rig_t *rig = *state;
    char text[TEST_PATH_MAX], database[TEST_PATH_MAX], journal[TEST_PATH_MAX];

    test_write_file(rig_path(rig, "text", text), "no database\n", 12);
    database_change(rig_path(rig, "saved.db", database), TABLE);
    test_write_file(rig_path(rig, "journal", journal), "confirmed, honestly\n", 20);
    assert_int_equal(RUN(rig, "text", "checker", "--saved", text), 2);
    assert_int_equal(RUN(rig, "nothing", "checker", "--saved", "/nowhere/saved.db"), 2);
    assert_int_equal(RUN(rig, "journal-", "checker", "--saved", database, "--journal", journal), 2);
    assert_int_equal(RUN(rig, "no-journal", "checker", "--saved", database, "--journal", "/nowhere/j"), 2);
    assert_int_equal(RUN(rig, "usage", "checker", "--journal", journal), 2);
    assert_int_equal(RUN(rig, "empty", "checker", "--saved", database), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_all_is_well, "ipc"),
        RIG_TEST(test_rows_as_text_are_judged_too, "ipc"),
        RIG_TEST(test_an_unanswered_request_may_be_saved, "ipc"),
        RIG_TEST(test_a_cut_last_line_promises_nothing, "ipc"),
        RIG_TEST(test_a_missing_row_is_lost, "ipc"),
        RIG_TEST(test_the_last_rows_are_looked_at, "ipc"),
        RIG_TEST(test_two_confirms_of_one_id_share_a_row, "ipc"),
        RIG_TEST(test_a_second_row_of_an_id_is_a_duplicate, "ipc"),
        RIG_TEST(test_a_second_row_of_an_id_counts_once, "ipc"),
        RIG_TEST(test_a_request_stored_under_two_ids_is_a_duplicate, "ipc"),
        RIG_TEST(test_a_host_asked_for_twice_may_have_two_rows, "ipc"),
        RIG_TEST(test_a_row_nobody_asked_for_is_unexpected, "ipc"),
        RIG_TEST(test_a_row_of_another_host_is_unexpected, "ipc"),
        RIG_TEST(test_without_a_list_only_the_journal_is_judged, "ipc"),
        RIG_TEST(test_the_same_seq_of_another_stream_is_no_row, "ipc"),
        RIG_TEST(test_work_done_again_is_counted_and_no_fault, "ipc"),
        RIG_TEST(test_what_cannot_be_read_is_an_error, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

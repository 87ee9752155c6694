/* save-sqlite: what its file holds, and who may have it. */
#include "tests/contract/contract.h"
#include "tests/support/saved.h"

#include "common/runtime/clock.h"
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, MANY = 20000, PUBLISHED_MS = 1234567890 };

static char file[TEST_PATH_MAX];

static process_t *start_save_worker(contract_t *c, const char *name, const char *const *args)
{
    assert_non_null(contract_file(c, file));
    return contract_start(c, name, args);
}

static int64_t number(const char *column, uint64_t seq)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT %s FROM messages WHERE seq = %llu", column, (unsigned long long)seq);
    return saved_number(file, sql, NULL);
}

static void expect_text(const char *column, uint64_t seq, const char *expected)
{
    char sql[128], text[256] = "";
    snprintf(sql, sizeof sql, "SELECT %s FROM messages WHERE seq = %llu", column, (unsigned long long)seq);
    assert_true(saved_text(file, sql, NULL, text, sizeof text));
    assert_string_equal(text, expected);
}

static void wait_result(contract_t *c, uint64_t ref, outcome_t outcome)
{
    boss_t *b = &c->boss;
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_int_equal(boss_result(b, ref)->outcome, outcome);
}

static void test_a_row_says_what_the_message_said(void **state)
{
    contract_t *c = *state;
    char why[WHY_BYTES];
    buffer_t given, body;

    start_save_worker(c, "worker", NO_ARGS);
    buffer_init(&given);
    buffer_init(&body);
    write_map(&given, 5);
    write_str(&given, "instance", 8);
    write_str(&given, "db-1", 4);
    write_str(&given, "published_at", 12);
    write_uint(&given, PUBLISHED_MS);
    write_str(&given, "why", 3);
    write_str(&given, "a \"quote\"", 9);
    write_str(&given, "n", 1);
    write_int(&given, -7);
    write_str(&given, "none", 4);
    write_nil(&given);
    assert_int_equal(body_normalise(given.data, given.len, "example.net", 1, &body, why), 0);
    const int64_t before_ms = clock_wall_ms();
    wait_result(c, boss_give(&c->boss, 0, 1, 1, body.data, body.len), OUTCOME_OK);
    wait_result(c, boss_ask(&c->boss, 0, 2, 1, "web-2.example.org"), OUTCOME_OK);

    /* Read while the worker runs. */
    assert_int_equal(saved_rows(file), 2);
    assert_int_equal(number("stream", 1), BOSS_STREAM);
    expect_text("instance", 1, "db-1");
    expect_text("host", 1, "db-1.example.net");
    expect_text("attributes", 1, "{\"why\":\"a \\\"quote\\\"\",\"n\":-7,\"none\":null}");
    assert_int_equal(number("published_at", 1), PUBLISHED_MS);
    assert_in_range(number("saved_at", 1), before_ms, clock_wall_ms());
    expect_text("host", 2, "web-2.example.org");
    assert_int_equal(number("attributes IS NULL", 2), 1);
    buffer_done(&given);
    buffer_done(&body);
    rig_passed(c->rig);
}

static void test_a_message_has_one_row_however_often_it_comes(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    start_save_worker(c, "worker", NO_ARGS);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    database_change(file, "UPDATE messages SET saved_at = 1");
    for (uint32_t try_no = 2; try_no < 6; try_no++)
        wait_result(c, boss_ask(b, 0, 1, try_no, "web-1"), OUTCOME_OK);
    /* Also twice in one batch. */
    boss_flood(b, 0, "web", 10, 1);
    boss_flood(b, 0, "web", 10, 1);
    BOSS_UNTIL(b, b->results_count == 7);
    assert_int_equal(b->outcomes[OUTCOME_OK], 7);
    assert_int_equal(saved_rows(file), 2);
    assert_int_equal(number("saved_at", 1), 1); /* the first row stays as it was */
    rig_passed(c->rig);
}

/* Whatever was answered is there after kill -9, and giving all again makes no second row. */
static void test_killed_under_load_it_keeps_every_row(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = start_save_worker(c, "worker", NO_ARGS);
    const uint64_t first = b->next_ref;
    uint32_t given = 0;

    while (b->results_count < MANY / 4) {
        boss_give_many(b, 0, "web", given + 1, 500);
        given += 500;
        boss_turn(b, 0);
    }
    process_kill(p);
    boss_turn(b, 0);
    assert_true(b->results_count < given);
    for (size_t i = 0; i < b->results_count; i += 97)
        assert_int_equal(number("count(*)", b->results[i].ref - first + 1), 1);
    assert_true(saved_rows(file) >= (int64_t)b->results_count);

    process_start(p);
    BOSS_UNTIL(b, b->workers_count == 2 && b->workers[1].welcomed);
    b->results_count = 0;
    const uint64_t again = b->next_ref;
    boss_give_many(b, 1, "web", 1, given);
    BOSS_UNTIL(b, b->results_count == given);
    boss_expect_each_once(b, again, given);
    assert_int_equal(saved_rows(file), given);
    assert_int_equal(saved_number(file, "SELECT count(DISTINCT seq) FROM messages", NULL), given);
    rig_passed(c->rig);
}

static void test_rows_are_logged_on_request(void **state)
{
    contract_t *c = *state;
    process_t *p = start_save_worker(c, "worker", ARGS("--log-messages"));

    wait_result(c, boss_ask(&c->boss, 0, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(process_log_count(p, "Saved web-1.example.net into database (5d1e9a0c44f3b210-1)"), 1);
    rig_passed(c->rig);
}

/* --- who may have the file --- */

static void expect_refused(contract_t *c, const char *name, const char *database, const char *says)
{
    process_t *p = SPAWN(c->rig, name, "mandrill-worker", "--kind", "save-sqlite", "--database", database);
    boss_t *b = &c->boss;

    BOSS_UNTIL(b, !process_running(p));
    if (process_code(p) != EXIT_FAILED || process_log_count(p, says) == 0)
        fail_msg("%s: ended with %d and did not say '%s'", name, process_code(p), says);
}

static void test_a_second_worker_on_one_file_is_refused(void **state)
{
    contract_t *c = *state;
    char link_path[TEST_PATH_MAX];
    process_t *p = start_save_worker(c, "worker", NO_ARGS);

    expect_refused(c, "second", file, "in use by another save worker");
    assert_int_equal(symlink(file, rig_path(c->rig, "alias.db", link_path)), 0);
    expect_refused(c, "alias", link_path, "in use by another save worker");
    /* The first goes on, and the file is free when it has ended, however. */
    wait_result(c, boss_ask(&c->boss, 0, 1, 1, "web-1"), OUTCOME_OK);
    process_kill(p);
    start_save_worker(c, "third", NO_ARGS);
    assert_int_equal(saved_rows(file), 1);
    rig_passed(c->rig);
}

static void test_a_file_that_is_something_else_is_refused_and_left_alone(void **state)
{
    contract_t *c = *state;
    char path[TEST_PATH_MAX];
    const char text[] = "This is no database, but it is longer than the head of one and must stay as it is, "
                        "to the last byte.";

    test_write_file(rig_path(c->rig, "text.db", path), text, sizeof text - 1);
    expect_refused(c, "text", path, "no SQLite database");
    char *after = test_read_file(path);
    assert_string_equal(after, text);
    free(after);

    database_change(rig_path(c->rig, "other.db", path), "CREATE TABLE t(x)");
    expect_refused(c, "other", path, "not of save-sqlite");
    database_change(rig_path(c->rig, "numbered.db", path), "PRAGMA user_version=1");
    expect_refused(c, "numbered", path, "not of save-sqlite");

    assert_int_equal(mkdir(rig_path(c->rig, "folder.db", path), 0700), 0);
    expect_refused(c, "folder", path, "folder.db");
    expect_refused(c, "deep", "/no/such/folder/x.db", "/no/such");
    rig_passed(c->rig);
}

static void test_a_file_of_another_version_is_refused(void **state)
{
    contract_t *c = *state;
    process_t *p = start_save_worker(c, "worker", NO_ARGS);

    wait_result(c, boss_ask(&c->boss, 0, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(contract_stop(c, p), 0);
    database_change(file, "PRAGMA user_version=2");
    expect_refused(c, "older", file, "has version 2, this program needs version 1");
    assert_int_equal(saved_rows(file), 1);
    rig_passed(c->rig);
}

static void test_an_empty_file_and_a_missing_folder_are_fine(void **state)
{
    contract_t *c = *state;
    char path[TEST_PATH_MAX];

    assert_non_null(contract_file(c, file));
    test_write_file(file, "", 0);
    start_save_worker(c, "empty", NO_ARGS);
    wait_result(c, boss_ask(&c->boss, 0, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(saved_rows(file), 1);
    contract_start(c, "folder", ARGS("--database", rig_path(c->rig, "new/saved.db", path)));
    wait_result(c, boss_ask(&c->boss, 1, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(saved_rows(path), 1);
    rig_passed(c->rig);
}

/* Somebody with a sqlite3 shell: tasks are BLOCKED as long as he writes, and then saved. */
static void test_a_foreign_writer_is_waited_for(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    sqlite3 *db = NULL;

    start_save_worker(c, "worker", NO_ARGS);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_BLOCKED);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    BOSS_UNTIL(b, b->workers[0].window == contract_window(c));
    wait_result(c, boss_ask(b, 0, 1, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(saved_rows(file), 1);
    sqlite3_close(db);
    rig_passed(c->rig);
}

/* A long reader keeps the log from being emptied; nothing waits for him. */
static void test_a_long_reader_stops_nobody(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    sqlite3 *db = NULL;

    start_save_worker(c, "worker", NO_ARGS);
    wait_result(c, boss_ask(b, 0, 999999, 1, "web-1"), OUTCOME_OK);
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM messages", NULL, NULL, NULL), SQLITE_OK);
    boss_give_many(b, 0, "web", 1, MANY);
    BOSS_UNTIL(b, b->results_count == MANY + 1);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY + 1);
    sqlite3_close(db);
    assert_int_equal(saved_rows(file), MANY + 1);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("save-sqlite");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_says_what_the_message_said),
        cmocka_unit_test(test_a_message_has_one_row_however_often_it_comes),
        cmocka_unit_test(test_killed_under_load_it_keeps_every_row),
        cmocka_unit_test(test_rows_are_logged_on_request),
        cmocka_unit_test(test_a_second_worker_on_one_file_is_refused),
        cmocka_unit_test(test_a_file_that_is_something_else_is_refused_and_left_alone),
        cmocka_unit_test(test_a_file_of_another_version_is_refused),
        cmocka_unit_test(test_an_empty_file_and_a_missing_folder_are_fine),
        cmocka_unit_test(test_a_foreign_writer_is_waited_for),
        cmocka_unit_test(test_a_long_reader_stops_nobody),
    };
    return contract_run("save-sqlite", tests, sizeof tests / sizeof tests[0], &row, 1);
}

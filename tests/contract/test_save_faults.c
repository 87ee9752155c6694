/* save-sqlite when the disk is full or fails: nothing is answered OK that is not on the disk, and nothing is
 * saved twice. */
#include "tests/contract/faulty_disk.h"
#include "tests/support/saved.h"
#include "tests/support/wait.h"
#include "workers/worker.h"

#include "common/runtime/log.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TASKS = 40, DATABASE_BYTES = 64 };

extern const worker_kind_t save_sqlite;

/* What the kind says. */
struct worker_sink {
    unsigned results[TASKS];
    outcome_t outcomes[TASKS];
    unsigned count, said_before_sync;
};

static worker_sink_t sink;
static char directory[] = "/tmp/test_save_faults.XXXXXX";
static char database[DATABASE_BYTES];
static unsigned files; /* databases so far */
static config_t *config;
static void *self;
static buffer_t body;
static worker_task_t tasks[TASKS];

static void keep(worker_sink_t *s, uint32_t number, outcome_t outcome)
{
    assert_true(number < TASKS);
    assert_int_equal(++s->results[number], 1);
    s->outcomes[number] = outcome;
    s->count++;
}

void worker_ok(worker_sink_t *s, uint32_t number)
{
    s->said_before_sync += faulty_disk.unsynced > 0 || faulty_disk.lost > 0;
    keep(s, number, OUTCOME_OK);
}

void worker_ok_because(worker_sink_t *s, uint32_t number, const char *text)
{
    assert_non_null(text);
    worker_ok(s, number);
}

/* This kind has none. */
void worker_note(worker_sink_t *s, uint32_t number, int64_t grant_ms, const void *note, uint32_t len)
{
    (void)s, (void)grant_ms, (void)note;
    fail_msg("a note of %u bytes for task %u", len, number);
}

void worker_fail(worker_sink_t *s, uint32_t number, outcome_t outcome, int64_t ms, const char *text)
{
    assert_true(ms > 0 || outcome != OUTCOME_BLOCKED);
    assert_non_null(text);
    keep(s, number, outcome);
}

void worker_say(worker_sink_t *s, const char *what, const worker_task_t *task, const char *rest)
{
    (void)s, (void)what, (void)task, (void)rest;
}

/* The kind's log lines are expected here. */
static void swallow(void *arg, const char *line, size_t len)
{
    (void)arg, (void)line, (void)len;
}

/* The file that was there before. */
static int open_again(void)
{
    char why[WHY_BYTES] = "";
    char name[] = "test", flag[] = "--database";
    char *argv[] = {name, flag, database, NULL};
    const config_program_t program = {.name = "test",
                                      .section = "test",
                                      .summary = "",
                                      .arguments = "",
                                      .examples = "",
                                      .options = save_sqlite.options,
                                      .options_count = save_sqlite.options_count};
    sink = (worker_sink_t){0};
    if (config_load(&config, &program, 3, argv) != CONFIG_RUN)
        return -1;
    if (save_sqlite.open(&self, config, false, why) != 0)
        fprintf(stderr, "%s\n", why);
    return self == NULL ? -1 : 0;
}

static int open_store(void **state)
{
    (void)state;
    snprintf(database, sizeof database, "%s/%u.db", directory, files++);
    faulty_disk_reset();
    faulty_disk.lost = 0;
    for (uint32_t i = 0; i < TASKS; i++)
        tasks[i].id = (message_id_t){1, i + 1};
    return open_again();
}

static int close_store(void **state)
{
    (void)state;
    faulty_disk_reset();
    save_sqlite.close(&self);
    config_destroy(&config);
    return 0;
}

static int prepare(void **state)
{
    char why[WHY_BYTES];
    (void)state;
    log_divert(swallow, NULL);
    faulty_disk_mount();
    buffer_init(&body);
    if (mkdtemp(directory) == NULL || body_make("web-1", 5, "example.net", 1, 2000, &body, why) != 0)
        return -1;
    for (uint32_t i = 0; i < TASKS; i++) {
        tasks[i] = (worker_task_t){.number = i, .try_no = 1};
        if (body_parse(body.data, body.len, &tasks[i].body) != 0)
            return -1;
    }
    return 0;
}

static int clean_up(void **state)
{
    char command[DATABASE_BYTES * 2];
    (void)state;
    buffer_done(&body);
    for (unsigned i = 0; i < files; i++) {
        static const char *const ends[] = {"", "-wal", "-shm"};
        for (size_t e = 0; e < sizeof ends / sizeof ends[0]; e++) {
            snprintf(command, sizeof command, "%s/%u.db%s", directory, i, ends[e]);
            unlink(command);
        }
    }
    return rmdir(directory);
}

static int save(void)
{
    sink = (worker_sink_t){0};
    return save_sqlite.run_batch(self, tasks, TASKS, &sink);
}

static void expect_all(outcome_t outcome)
{
    assert_int_equal(sink.count, TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(sink.outcomes[i], outcome);
}

static void results_come_after_the_fsync(void **state)
{
    (void)state;
    assert_int_equal(save(), 0);
    expect_all(OUTCOME_OK);
    assert_int_equal(sink.said_before_sync, 0);
    assert_true(faulty_disk.syncs > 0);
    assert_int_equal(saved_rows(database), TASKS);
}

/* Each write in turn is the first that does not fit. */
static void a_full_disk_blocks_and_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        assert_int_equal(close_store(NULL), 0);
        assert_int_equal(open_store(NULL), 0);
        faulty_disk_reset();
        faulty_disk.write_error = SQLITE_FULL;
        faulty_disk.fail_from = n;
        const int wait_ms = save();
        const bool failed = faulty_disk.writes >= n;
        if (!failed) {
            assert_true(n > 10); /* a batch is many writes */
            assert_int_equal(wait_ms, 0);
            expect_all(OUTCOME_OK);
            return;
        }
        assert_true(wait_ms > 0);
        expect_all(OUTCOME_BLOCKED);
        /* Still full, then not. */
        assert_true(save() > 0);
        expect_all(OUTCOME_BLOCKED);
        faulty_disk_reset();
        assert_int_equal(saved_rows(database), 0);
        assert_int_equal(save(), 0);
        expect_all(OUTCOME_OK);
        assert_int_equal(saved_rows(database), TASKS);
    }
}

static void a_failed_fsync_answers_nothing(void **state)
{
    (void)state;
    faulty_disk.sync_error = SQLITE_IOERR_FSYNC;
    assert_int_equal(save(), -EIO);
    assert_int_equal(sink.count, 0);
}

static void a_failed_write_answers_nothing(void **state)
{
    (void)state;
    faulty_disk.write_error = SQLITE_IOERR_WRITE;
    assert_int_equal(save(), -EIO);
    assert_int_equal(sink.count, 0);
}

/* SQLite's own checkpoint at a commit would keep it to itself, and the next one would believe the same pages
 * to be on the disk. */
static void a_failed_checkpoint_ends_it(void **state)
{
    (void)state;
    int result = save();
    faulty_disk.sync_error = SQLITE_IOERR_FSYNC;
    faulty_disk.log_syncs = true;
    for (unsigned batch = 1; result == 0; batch++) {
        assert_true(batch < 1000);
        for (uint32_t i = 0; i < TASKS; i++)
            tasks[i].id.seq = (uint64_t)batch * TASKS + i;
        result = save();
    }
    assert_int_equal(result, -EIO);
    assert_int_equal(sink.count, 0);
    assert_int_equal(save_sqlite.finish(self), -EIO);
    const uint64_t syncs = faulty_disk.syncs;
    save_sqlite.close(&self);
    assert_int_equal(faulty_disk.syncs, syncs); /* closing does not try again */
    assert_true(saved_rows(database) > TASKS);
}

/* The next worker finds the rows of the failed commit in the log, where the kernel shows them and the disk
 * does not have them. They come again and need no write of their own: OK, but not before all has been written
 * anew. */
static void after_a_failed_fsync_a_restart_writes_all_anew(void **state)
{
    (void)state;
    assert_int_equal(save(), 0);
    expect_all(OUTCOME_OK);
    for (uint32_t i = 0; i < TASKS; i++)
        tasks[i].id.stream = 2;
    faulty_disk.sync_error = SQLITE_IOERR_FSYNC;
    assert_int_equal(save(), -EIO);
    assert_int_equal(sink.count, 0);
    save_sqlite.close(&self);
    config_destroy(&config);
    assert_true(faulty_disk.lost > 0);
    faulty_disk_reset();
    assert_int_equal(open_again(), 0);
    assert_int_equal(saved_rows(database), 2 * TASKS);
    assert_int_equal(save(), 0);
    expect_all(OUTCOME_OK);
    assert_int_equal(sink.said_before_sync, 0);
    assert_int_equal(saved_rows(database), 2 * TASKS);
}

static void after_a_failed_write_a_restart_goes_on(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 10; n++) {
        faulty_disk_reset();
        faulty_disk.write_error = SQLITE_IOERR_WRITE;
        faulty_disk.write_errno = EIO;
        faulty_disk.fail_from = n;
        for (uint32_t i = 0; i < TASKS; i++)
            tasks[i].id.seq += TASKS;
        assert_int_equal(save(), -EIO);
        assert_int_equal(sink.count, 0);
        save_sqlite.close(&self);
        config_destroy(&config);
        faulty_disk_reset();
        assert_int_equal(open_again(), 0);
        assert_int_equal(save(), 0);
        expect_all(OUTCOME_OK);
        assert_int_equal(sink.said_before_sync, 0);
        assert_int_equal(saved_rows(database), n * TASKS);
    }
}

/* A file system that became read-only, or a quota that is used up: as a disk that is full. */
static void a_disk_that_takes_nothing_blocks(void **state)
{
    static const int errors[] = {EROFS, EDQUOT};
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        faulty_disk_reset();
        faulty_disk.write_error = SQLITE_IOERR_WRITE;
        faulty_disk.write_errno = errors[i];
        for (int times = 0; times < 10; times++) {
            assert_true(save() > 0);
            expect_all(OUTCOME_BLOCKED);
        }
    }
    faulty_disk_reset();
    assert_int_equal(saved_rows(database), 0);
    assert_int_equal(save(), 0);
    expect_all(OUTCOME_OK);
    assert_int_equal(saved_rows(database), TASKS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_store, close_store)
    const struct CMUnitTest tests[] = {
        TEST(results_come_after_the_fsync),
        TEST(a_full_disk_blocks_and_loses_nothing),
        TEST(a_failed_fsync_answers_nothing),
        TEST(a_failed_write_answers_nothing),
        TEST(a_failed_checkpoint_ends_it),
        TEST(after_a_failed_fsync_a_restart_writes_all_anew),
        TEST(after_a_failed_write_a_restart_goes_on),
        TEST(a_disk_that_takes_nothing_blocks),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}

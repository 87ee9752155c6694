/* A disk that is full or fails. */
#define _DEFAULT_SOURCE     /* syscall(): the real calls */
#define _LARGEFILE64_SOURCE /* pwrite64 is what SQLite calls */
#include "tests/unit/disk_faults.h"
#include "tests/unit/outbox_sql.h"
#include <sys/stat.h>

static int disk_mended(void **state)
{
    write_errno = sync_errno = writes_left = 0;
    return fixture_open(state);
}

static bool reserve_there(const fixture_t *f)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s.reserve", f->path);
    return stat(path, &st) == 0 && (int64_t)st.st_blocks * 512 >= 12 * 1024 * 1024;
}

static int64_t log_size(const fixture_t *f)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void each_commit_is_one_sync(void **state)
{
    outbox_t *o = open_outbox(*state);
    unsigned before = syncs;
    insert_messages(o, 10);
    assert_int_equal(syncs, before + 1);
    change_one(o, &(delivery_change_t){.id = TEST_EPOCH(1, 1), .kind = CHANGE_DELETE}, 0);
    assert_int_equal(syncs, before + 2);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_commit(o), 0); /* nothing was written */
    assert_int_equal(syncs, before + 2);
    outbox_close(&o, true);
}

/* At whatever write of the round the disk is full: all of it is undone, and it can be done again. */
static void full_disk_undoes_the_round(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    static char body[3000];
    uint64_t id, first = insert_messages(o, 4);
    int failed = 0;
    assert_true(reserve_there(f));
    for (int left = 0; left < 40; left++) {
        uint64_t rows = rows_of(o);
        write_errno = ENOSPC;
        writes_left = left;
        int r = outbox_begin(o);
        for (int i = 0; r == 0 && i < 20; i++)
            r = outbox_insert(o, 3, body, sizeof body, &id);
        if (r == 0)
            r = outbox_change(o, &(delivery_change_t){.id = first, .kind = CHANGE_MARK, .done = 1}, 0);
        if (r == 0)
            r = outbox_commit(o);
        else
            outbox_rollback(o);
        write_errno = 0;
        if (r == 0) {
            assert_int_equal(rows_of(o), rows + 20);
            continue;
        }
        failed++;
        assert_int_equal(r, -ENOSPC);
        assert_non_null(strstr(outbox_why(o), "no space"));
        assert_false(reserve_there(f));
        assert_int_equal(rows_of(o), rows);
        assert_int_equal(scan_all(o).count, rows);
        assert_int_equal(scan_all(o).rows[0].done, 0);
    }
    assert_true(failed > 20);
    insert_messages(o, 1);
    outbox_close(&o, true);
}

static void room_is_probed_for(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t id;
    assert_true(outbox_has_room(o));
    write_errno = EDQUOT; /* a quota is as good as a full disk */
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_insert(o, 3, "x", 1, &id), 0);
    assert_int_equal(outbox_commit(o), -ENOSPC);
    write_errno = 0;
    /* The disk that this test runs on has room: the probe finds it, makes the reserve anew, and only then. */
    for (int i = 0; i < 1000000 && !outbox_has_room(o); i++)
        assert_false(reserve_there(f));
    assert_true(outbox_has_room(o));
    assert_true(reserve_there(f));
    assert_int_equal(insert_messages(o, 1), TEST_EPOCH(1, 1));
    outbox_close(&o, true);
}

/* An outbox whose last commit failed at its fsync; rows and a dead letter were committed before. */
static outbox_t *with_failed_sync(fixture_t *f)
{
    outbox_t *o = open_outbox(f);
    uint64_t id;
    insert_messages(o, 5000);
    change_one(o, &(delivery_change_t){.id = TEST_EPOCH(1, 1), .kind = CHANGE_BURY, .bad = 3}, 0);
    sync_errno = EIO;
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_insert(o, 3, "x", 1, &id), 0);
    assert_int_equal(outbox_commit(o), -EIO);
    return o;
}

/* After an fsync that failed nothing can be known about the file: no second try. */
static void failed_sync_ends_it(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = with_failed_sync(f);
    assert_non_null(strstr(outbox_why(o), "Input/output error"));
    assert_non_null(strstr(outbox_why(o), f->path));
    sync_errno = 0;
    unsigned before = syncs;
    assert_int_equal(outbox_begin(o), -EIO);
    assert_int_equal(outbox_idle(o), -EIO);
    assert_false(outbox_has_room(o));
    outbox_close(&o, true);
    assert_int_equal(syncs, before); /* closing does not try either */
    /* What is committed from now on does not lie behind what the disk may not have. */
    const int64_t log_bytes = log_size(f);
    o = open_outbox(f);
    assert_in_range(rows_of(o), 5000, 5001); /* a dead letter among them; an unconfirmed message may appear */
    insert_messages(o, 1);
    assert_true(log_size(f) < log_bytes);
    outbox_close(&o, true);
}

/* The same when it is opened without a new epoch: a look changes nothing, until something is written. */
static void a_look_writes_behind_nothing_unknown(void **state)
{
    fixture_t *f = *state;
    char why[WHY_BYTES];
    outbox_t *o = with_failed_sync(f);
    sync_errno = 0;
    outbox_close(&o, false);
    const int64_t log_bytes = log_size(f);
    assert_int_equal(outbox_open(&o, f->path, NULL, 0, INT64_MAX, why), 0);
    assert_int_equal(log_size(f), log_bytes);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_purge(o, TEST_EPOCH(1, 1)), 0);
    assert_int_equal(outbox_commit(o), 0);
    assert_true(log_size(f) < log_bytes);
    assert_int_equal(outbox_dead(o), 0);
    outbox_close(&o, false);
}

static void full_disk_from_fsync_is_a_failure(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t id;
    sync_errno = ENOSPC;
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_insert(o, 3, "x", 1, &id), 0);
    assert_int_equal(outbox_commit(o), -EIO);
    sync_errno = 0;
    outbox_close(&o, false);
}

static void failed_write_ends_it(void **state)
{
    outbox_t *o = open_outbox(*state);
    uint64_t id;
    write_errno = EIO;
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_insert(o, 3, "x", 1, &id), 0);
    assert_int_equal(outbox_commit(o), -EIO);
    write_errno = 0;
    assert_int_equal(outbox_begin(o), -EIO);
    outbox_close(&o, false);
}

/* Checkpoints: the WAL does not grow for ever, and a failing one does no harm. */
static void wal_stays_small(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    for (int i = 0; i < 400; i++) {
        uint64_t first = insert_messages(o, 500);
        assert_int_equal(outbox_begin(o), 0);
        for (uint64_t id = first; id < first + 500; id++)
            assert_int_equal(outbox_change(o, &(delivery_change_t){.id = id, .kind = CHANGE_DELETE}, 0), 0);
        assert_int_equal(outbox_commit(o), 0);
    }
    assert_in_range(log_size(f), 1, 6 * 1024 * 1024);
    outbox_gauges_t g;
    outbox_gauges(o, &g);
    assert_in_range(g.bytes, 1, 1024 * 1024);
    outbox_idle(o);
    unsigned before = syncs;
    outbox_idle(o); /* nothing left to do */
    assert_int_equal(syncs, before);
    outbox_close(&o, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, disk_mended, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_commit_is_one_sync),
        TEST(full_disk_undoes_the_round),
        TEST(room_is_probed_for),
        TEST(failed_sync_ends_it),
        TEST(full_disk_from_fsync_is_a_failure),
        TEST(failed_write_ends_it),
        TEST(a_look_writes_behind_nothing_unknown),
        TEST(wal_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

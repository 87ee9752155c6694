/* Opening: settings, lock, files that are no outbox, epochs, streams, legs. */
#include "tests/unit/outbox_sql.h"
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int open_error(fixture_t *f, const char *const *legs, size_t count)
{
    outbox_t *o = NULL;
    int r = outbox_open(&o, f->path, legs, count, TEST_MAX, f->why);
    assert_null(o);
    return r;
}

static void file_has_the_settings(void **state)
{
    fixture_t *f = *state;
    char shm[128];
    struct stat st;
    outbox_t *o = open_outbox(f);
    insert_messages(o, 1);
    snprintf(shm, sizeof shm, "%s-shm", f->path);
    assert_int_equal(stat(shm, &st), -1); /* exclusive before WAL */
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    outbox_close(&o, true);
    assert_null(o);
    assert_int_equal(ask_sql(f->path, "PRAGMA page_size"), 8192);
    assert_int_equal(ask_sql(f->path, "PRAGMA auto_vacuum"), 0);
    assert_int_equal(ask_sql(f->path, "PRAGMA application_id"), 0x4d44524c);
    assert_string_equal(ask_text(f->path, "PRAGMA journal_mode"), "wal");
}

/* A file of an earlier program, or one that somebody has made anew: its pages keep their size. */
static void pages_of_another_size_are_counted_as_they_are(void **state)
{
    fixture_t *f = *state;
    outbox_gauges_t g;
    outbox_t *o = open_outbox(f);
    outbox_close(&o, true);
    run_sql(f->path, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM");
    o = open_outbox(f);
    insert_messages(o, 5000);
    outbox_gauges(o, &g);
    outbox_close(&o, true);
    assert_int_equal(ask_sql(f->path, "PRAGMA page_size"), 4096);
    const int64_t pages = ask_sql(f->path, "PRAGMA page_count") - ask_sql(f->path, "PRAGMA freelist_count");
    assert_int_equal(g.bytes, pages * 4096);
}

static void second_opener_is_told(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);

    /* A real second process: SQLite's idea of who holds a lock would survive a mere fork. */
    char program[] = "test_outbox_open", flag[] = "--open", *const argv[] = {program, flag, f->path, NULL};
    char *const envp[] = {NULL};
    pid_t pid;
    int status;
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, envp), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(open_error(f, test_legs, 2), -EBUSY); /* and within one process */
    insert_messages(o, 1);
    outbox_close(&o, true);
    o = open_outbox(f);
    outbox_close(&o, true);
}

static void other_files_are_refused_and_left_alone(void **state)
{
    fixture_t *f = *state;
    FILE *file = fopen(f->path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(open_error(f, test_legs, 2), -EINVAL);
    assert_non_null(strstr(f->why, f->path));
    assert_non_null(strstr(f->why, "not a database"));
    unlink(f->path);

    run_sql(f->path, "CREATE TABLE songs(a)");
    assert_int_equal(open_error(f, test_legs, 2), -EINVAL);
    assert_non_null(strstr(f->why, "no outbox"));
    assert_string_equal(ask_text(f->path, "PRAGMA journal_mode"), "delete");
    assert_int_equal(ask_sql(f->path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void other_versions_are_refused(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    outbox_close(&o, true);
    run_sql(f->path, "PRAGMA user_version = 7");
    assert_int_equal(open_error(f, test_legs, 2), -EINVAL);
    assert_non_null(strstr(f->why, "format 7"));
    assert_non_null(strstr(f->why, f->path));
    run_sql(f->path, "PRAGMA user_version = 1"); /* with histories in lines of text */
    assert_int_equal(open_error(f, test_legs, 2), -EINVAL);
    assert_non_null(strstr(f->why, "format 1"));
    run_sql(f->path, "PRAGMA user_version = 3");
    o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 2); /* the refused start took none */
    outbox_close(&o, true);
}

static void set_write_version(const fixture_t *f, int version)
{
    FILE *file = fopen(f->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 18, SEEK_SET), 0); /* as SQLite's file format has it */
    assert_int_equal(fputc(version, file), version);
    assert_int_equal(fclose(file), 0);
}

/* SQLite opens such a file all the same, and then says that it may not be written. */
static void a_file_for_reading_only_is_refused(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    outbox_close(&o, true);
    set_write_version(f, 3);
    assert_int_equal(open_error(f, test_legs, 2), -EINVAL);
    assert_non_null(strstr(f->why, "may only be read"));
    assert_non_null(strstr(f->why, f->path));
    set_write_version(f, 2);
    o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 2);
    outbox_close(&o, true);
}

static void missing_directory(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/no/such/outbox.db", f->dir);
    assert_int_equal(outbox_open(&o, path, test_legs, 2, TEST_MAX, f->why), -ENOENT);
    assert_non_null(strstr(f->why, path));
    assert_int_equal(open_error(f, NULL, 0), -ENOENT); /* a look creates nothing */
    assert_int_equal(access(f->path, F_OK), -1);
}

static void each_start_is_an_epoch(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 1);
    uint64_t first = outbox_stream(o, 1);
    assert_true(first > 0 && first <= INT64_MAX);
    assert_int_equal(insert_messages(o, 3), TEST_EPOCH(1, 1));
    outbox_close(&o, true);

    o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 2);
    uint64_t second = outbox_stream(o, 2);
    assert_true(second != 0 && second != first);
    assert_int_equal(outbox_stream(o, 1), first);
    assert_int_equal(outbox_stream(o, 3), 0);
    assert_int_equal(outbox_stream_epoch(o, first), 1);
    assert_int_equal(outbox_stream_epoch(o, second), 2);
    assert_int_equal(outbox_stream_epoch(o, 12345), 0);
    assert_int_equal(insert_messages(o, 1), TEST_EPOCH(2, 1));
    outbox_close(&o, true);
}

/* Streams are kept as long as something refers to them. */
static void unused_streams_are_forgotten(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t id = insert_messages(o, 1);
    outbox_close(&o, true);

    o = open_outbox(f); /* 2: referred to by a client */
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_client_set(o, 77, 1, TEST_EPOCH(2, 1), 1, 0), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_close(&o, true);

    o = open_outbox(f); /* 3: nothing */
    outbox_close(&o, true);

    o = open_outbox(f);
    assert_int_not_equal(outbox_stream(o, 1), 0);
    assert_int_not_equal(outbox_stream(o, 2), 0);
    assert_int_equal(outbox_stream(o, 3), 0);
    assert_int_not_equal(outbox_stream(o, 4), 0);
    change_one(o, &(delivery_change_t){.id = id, .kind = CHANGE_BURY}, 0);
    outbox_close(&o, true);

    o = open_outbox(f);
    assert_int_not_equal(outbox_stream(o, 1), 0); /* of a dead letter */
    change_one(o, &(delivery_change_t){.id = id, .kind = CHANGE_DELETE}, 0);
    outbox_close(&o, true);
    o = open_outbox(f);
    assert_int_equal(outbox_stream(o, 1), 0);
    outbox_close(&o, true);
}

static void legs_keep_their_bits(void **state)
{
    fixture_t *f = *state;
    const char *const *names;
    outbox_t *o = open_outbox(f);
    assert_int_equal(outbox_legs(o, &names), 3);
    assert_string_equal(names[0], "save");
    assert_string_equal(names[1], "restart");
    assert_null(names[2]);
    outbox_close(&o, true);

    const char *const turned[] = {"restart", "notify"};
    assert_int_equal(outbox_open(&o, f->path, turned, 2, TEST_MAX, f->why), 0);
    assert_int_equal(outbox_legs(o, &names), 6);
    assert_string_equal(names[0], "save");
    assert_string_equal(names[2], "notify");
    outbox_close(&o, true);

    const char *const bad[] = {"save", "No Name"};
    assert_int_equal(open_error(f, bad, 2), -EINVAL);
    const char *const many[] = {"a", "b", "c", "d", "e", "f"};
    assert_int_equal(open_error(f, many, 6), -EINVAL);
    assert_non_null(strstr(f->why, "legs"));
    assert_int_equal(outbox_open(&o, f->path, many, 5, TEST_MAX, f->why),
                     0); /* the failed one left nothing */
    assert_int_equal(outbox_legs(o, &names), 0xf8);
    outbox_close(&o, true);
}

static void a_look_changes_nothing(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    uint64_t id = insert_messages(o, 2);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_dispatch(o, id), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_close(&o, false);

    assert_int_equal(outbox_open(&o, f->path, NULL, 0, TEST_MAX, f->why), 0);
    assert_int_equal(outbox_epoch(o), 1);
    assert_int_equal(rows_of(o), 2);
    outbox_close(&o, true);
    o = open_outbox(f);
    assert_int_equal(outbox_epoch(o), 2);
    assert_int_equal(outbox_dispatched_to(o), id);
    outbox_close(&o, true);
}

static void clean_close_clears_dispatched_to(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    assert_int_equal(outbox_dispatched_to(o), 0);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(outbox_dispatch(o, 500), 0);
    assert_int_equal(outbox_dispatch(o, 400), 0); /* only ever rises */
    assert_int_equal(outbox_dispatched_to(o), 0); /* not before the commit */
    assert_int_equal(outbox_commit(o), 0);
    assert_int_equal(outbox_dispatched_to(o), 500);
    outbox_close(&o, false);
    o = open_outbox(f);
    assert_int_equal(outbox_dispatched_to(o), 500);
    outbox_close(&o, true);
    o = open_outbox(f);
    assert_int_equal(outbox_dispatched_to(o), 0);
    outbox_close(&o, true);
}

/* A copy of an outbox that is opened elsewhere has another stream: no id is minted twice. */
static void copies_part_ways(void **state)
{
    fixture_t *f = *state;
    char command[256], copy[128];
    outbox_t *o = open_outbox(f);
    outbox_close(&o, true);
    snprintf(copy, sizeof copy, "%s/copy.db", f->dir);
    FILE *in = fopen(f->path, "r"), *out = fopen(copy, "w");
    size_t n;
    while ((n = fread(command, 1, sizeof command, in)) > 0)
        fwrite(command, 1, n, out);
    fclose(in);
    fclose(out);
    o = open_outbox(f);
    uint64_t one = outbox_stream(o, 2);
    outbox_close(&o, true);
    assert_int_equal(outbox_open(&o, copy, test_legs, 2, TEST_MAX, f->why), 0);
    assert_int_not_equal(outbox_stream(o, 2), one);
    outbox_close(&o, true);
    unlink(copy);
    snprintf(copy, sizeof copy, "%s/copy.db.reserve", f->dir);
    unlink(copy);
}

/* The counts live in meta: a start with many rows does not count them. */
static void start_does_not_count(void **state)
{
    fixture_t *f = *state;
    outbox_t *o = open_outbox(f);
    insert_messages(o, 3);
    outbox_close(&o, true);
    run_sql(f->path, "UPDATE meta SET rows = 1000000");
    o = open_outbox(f);
    assert_int_equal(rows_of(o), 1000000);
    outbox_close(&o, true);
}

static void close_of_nothing(void **state)
{
    (void)state;
    outbox_t *o = NULL;
    outbox_close(&o, true);
    outbox_close(NULL, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

/* Run as the second process: 0 when it was refused in the right words. */
static int open_as_second(const char *path)
{
    char why[WHY_BYTES] = "";
    outbox_t *o = NULL;
    int r = outbox_open(&o, path, test_legs, 2, TEST_MAX, why);
    return r == -EBUSY && !o && strstr(why, path) && strstr(why, "in use") ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--open") == 0)
        return open_as_second(argv[2]);
    const struct CMUnitTest tests[] = {
        TEST(file_has_the_settings),
        TEST(pages_of_another_size_are_counted_as_they_are),
        TEST(second_opener_is_told),
        TEST(other_files_are_refused_and_left_alone),
        TEST(other_versions_are_refused),
        TEST(a_file_for_reading_only_is_refused),
        TEST(missing_directory),
        TEST(each_start_is_an_epoch),
        TEST(unused_streams_are_forgotten),
        TEST(legs_keep_their_bits),
        TEST(a_look_changes_nothing),
        TEST(clean_close_clears_dispatched_to),
        TEST(copies_part_ways),
        TEST(start_does_not_count),
        TEST(close_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

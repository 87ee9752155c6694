/* Files of an outbox that were damaged while nobody looked: bytes changed, the end cut off, in the database
 * or in its log. A publisher over them ends with 1 and a reason that names the file, or serves; it never
 * crashes and never hangs. What a power cut leaves, where nothing may be missing, is test_disk_torture's. */
#include "common/core/backoff.h"
#include "tests/support/fake.h"
#include "tests/support/frames.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CASES = 60, LONG_CASES = 5000, HOSTS = 2000, BYTES_MAX = 64, PAGE = 4096, SESSION = 4713 };

static unsigned cases = CASES;

/* An outbox with a backlog in its database and more in its log: its publisher was killed. */
static process_t *make_outbox(rig_t *rig)
{
    process_t *p = start_publisher(rig, 0, NO_ARGS);

    publish_hosts(rig, 0, "web", HOSTS);
    assert_int_equal(process_stop(p), 0);
    process_start(p);
    publish_hosts(rig, 0, "more", HOSTS);
    process_kill(p);
    return p;
}

/* `from` and `to` are files of the rig. */
static void copy(rig_t *rig, const char *from, const char *to)
{
    char path[TEST_PATH_MAX];
    struct stat st;
    FILE *f = fopen(rig_path(rig, from, path), "r");

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *bytes = malloc((size_t)st.st_size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, f), st.st_size);
    fclose(f);
    test_write_file(rig_path(rig, to, path), bytes, (size_t)st.st_size);
    free(bytes);
}

/* Some bytes anywhere, some in one page, or the end. */
static void damage(rig_t *rig, const char *file, uint64_t *seed)
{
    char path[TEST_PATH_MAX];
    struct stat st;
    int fd = open(rig_path(rig, file, path), O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint64_t size = (uint64_t)st.st_size, how = random_next(seed) % 3;
    assert_true(size > PAGE);
    if (how == 2) {
        assert_int_equal(ftruncate(fd, (off_t)(random_next(seed) % size)), 0);
    } else {
        uint64_t from = how == 1 ? random_next(seed) % (size / PAGE) * PAGE : 0,
                 span = how == 1 ? PAGE : size;

        for (uint64_t n = 1 + random_next(seed) % BYTES_MAX; n > 0; n--) {
            uint8_t byte = (uint8_t)random_next(seed);
            off_t at = (off_t)(from + random_next(seed) % span);
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
    }
    close(fd);
}

/* Opens it, reads the backlog, takes a message, drains. Whether it got so far. */
static bool serve(rig_t *rig, process_t *p)
{
    fake_t client;
    unsigned told = process_log_count(p, "damaged.db");

    process_start(p);
    WAIT(!process_running(p) || process_is_announced(p));
    fake_raw(&client, rig, rig_endpoint(rig, "clients-1"));
    fake_publish(&client, SESSION, 1, "late", 1);
    WAIT(!process_running(p) || fake_recv_any(&client, 0) >= 0);
    fake_close(&client);
    if (process_running(p))
        process_signal(p, SIGTERM);
    int code = process_wait(p, WAIT_MS);
    if (code != 0 && code != 1)
        fail_msg("a damaged outbox ended the publisher with %d", code);
    if (code == 1)
        assert_true(process_log_count(p, "damaged.db") > told);
    return code == 0;
}

/* A pipeline does all that the outbox holds; what was confirmed under the prefixes is to be among it. */
static void judge(rig_t *rig, process_t *publisher, const char *row, figures_t *f,
                  const char *const *prefixes)
{
    process_start(publisher);
    WAIT(process_is_announced(publisher));
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, ARGS("--log-messages"));
    start_restart(rig, 0, 1, ARGS("--simulate", "0..0", "--log-messages"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    checked_t c = check_published(rig, 0, prefixes);
    f->messages = c.confirmed;
    figures_judged(f, &c);
    figures_row(row, f);
    assert_judged(&c);
    rig_passed(rig);
}

static unsigned damage_often(rig_t *rig, const char *file, figures_t *f)
{
    uint64_t seed = frames_seed();
    char outbox[TEST_PATH_MAX], announce[TEST_PATH_MAX], damaged[PROCESS_NAME_MAX];
    unsigned served = 0;

    memset(f, 0, sizeof *f);
    process_t *p =
        rig_program(rig, "damaged", "mandrill-publisher",
                    ARGS("--listen", rig_endpoint(rig, "leases-1"), "--clients",
                         rig_endpoint(rig, "clients-1"), "--outbox", rig_path(rig, "damaged.db", outbox),
                         "--report", "none", "--announce", rig_path(rig, "damaged.announce", announce)));
    snprintf(damaged, sizeof damaged, "damaged%s", strchr(file, '.'));
    for (f->cycles = 0; f->cycles < cases; f->cycles++) {
        copy(rig, "outbox-0.db", "damaged.db");
        copy(rig, "outbox-0.db-wal", "damaged.db-wal");
        damage(rig, damaged, &seed);
        served += serve(rig, p);
    }
    print_message("%u of %u were served\n", served, cases);
    return served;
}

static void test_a_damaged_database(void **state)
{
    rig_t *rig = *state;
    figures_t *f = rig_alloc(rig, sizeof *f);
    process_t *publisher = make_outbox(rig);
    unsigned served = damage_often(rig, "outbox-0.db", f);

    /* Else the damage is none, or nothing is left that could be served. */
    assert_true(served > 0);
    assert_true(served < cases);
    /* The outbox itself, which was only copied: all this was done to one that holds everything. */
    judge(rig, publisher, "outbox damaged at random", f, ARGS("web", "more"));
}

static void test_a_damaged_log(void **state)
{
    rig_t *rig = *state;
    uint64_t seed = frames_seed();
    figures_t *f = rig_alloc(rig, sizeof *f);
    process_t *publisher = make_outbox(rig);

    /* Its checksums tell where the good part ends. */
    assert_int_equal(damage_often(rig, "outbox-0.db-wal", f), cases);
    /* What was in the database before is not touched, and of the rest nothing comes out wrong. */
    damage(rig, "outbox-0.db-wal", &seed);
    judge(rig, publisher, "log of an outbox damaged at random", f, ARGS("web"));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_damaged_database, "ipc"),
        RIG_TEST(test_a_damaged_log, "ipc"),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        cases = LONG_CASES;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* An outbox that is full, by --outbox-max or because its disk is: clients are refused and nothing else, what
 * is there goes on to be delivered and settled, and then there is room again. A save worker's disk that is
 * full: its tasks wait, and no try is counted. */
#include "tests/support/fake.h"
#include "tests/support/trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SESSION = 4711, BATCH = 1000, BATCHES_MAX = 1000, LEASE_MS = 2000, FURTHER = 100 };

/* A client that keeps a journal of what it was told, for the checker. What is refused was not asked for: it
 * must not appear. */
typedef struct {
    fake_t peer;
    uint64_t number;
    unsigned stored;
    FILE *journal, *requests;
    char journal_path[TEST_PATH_MAX], requests_path[TEST_PATH_MAX];
} client_t;

static void open_client(client_t *c, rig_t *rig)
{
    *c = (client_t){.number = 1};
    fake_raw(&c->peer, rig, rig_endpoint(rig, "clients-0"));
    c->journal = fopen(rig_path(rig, "journal", c->journal_path), "w");
    c->requests = fopen(rig_path(rig, "requests", c->requests_path), "w");
    assert_true(c->journal != NULL && c->requests != NULL);
}

/* What CONFIRM says about "<prefix>-0" ... */
static void note_confirm(client_t *c, const char *prefix, unsigned n)
{
    confirm_t confirm;
    static refusal_t refusals[RECORDS_MAX];

    assert_int_equal(decode_confirm(c->peer.room->frame, c->peer.len, &confirm, refusals), 0);
    assert_int_equal(confirm.stored, n);
    for (unsigned i = 0; i < n; i++) {
        fprintf(c->journal, "%016" PRIx64 "-%" PRIu64 " %s-%u\n", confirm.first.stream, confirm.first.seq + i,
                prefix, i);
        fprintf(c->requests, "%s-%u\n", prefix, i);
    }
    c->number++;
    c->stored += n;
}

/* Whether it was confirmed; else it was refused because the outbox is full. */
static bool publish(client_t *c, const char *prefix, unsigned n)
{
    peer_error_t e;

    fake_publish(&c->peer, SESSION, c->number, prefix, n);
    int command = fake_recv_any(&c->peer, WAIT_MS);
    if (command == CMD_CONFIRM) {
        note_confirm(c, prefix, n);
        return true;
    }
    assert_int_equal(command, CMD_ERROR);
    assert_int_equal(decode_error(c->peer.room->frame, c->peer.len, &e), 0);
    assert_int_equal(e.code, ERR_FULL);
    return false;
}

/* PUBLISH after PUBLISH until one is refused. */
static void publish_until_full(client_t *c)
{
    for (unsigned i = 0; i < BATCHES_MAX; i++)
        if (!publish(c, "web", BATCH))
            return;
    fail_msg("it is never full");
}

/* All that was confirmed has been saved, once, and nothing else. */
static void judge(rig_t *rig, client_t *c, const char *fault, unsigned cycles)
{
    figures_t *f = rig_alloc(rig, sizeof *f);
    char row[128];

    assert_int_equal(fclose(c->journal), 0);
    assert_int_equal(fclose(c->requests), 0);
    checked_t verdict = check_saved(rig, 0, c->journal_path, c->requests_path);
    memset(f, 0, sizeof *f);
    f->cycles = cycles;
    f->messages = c->stored;
    figures_judged(f, &verdict);
    snprintf(row, sizeof row, "%s, %s", fault, rig->transport);
    figures_row(row, f);
    assert_judged(&verdict);
    assert_int_equal(verdict.confirmed, c->stored);
}

/* The restart worker of a pipeline that has done everything. */
static process_t *finish(rig_t *rig)
{
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, ARGS("--log-messages"));
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..0", "--log-messages"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    return restart;
}

static void test_outbox_max(void **state)
{
    rig_t *rig = *state;
    client_t c;

    start_publisher(rig, 0, ARGS("--outbox-max", "2M"));
    open_client(&c, rig);
    publish_until_full(&c);
    assert_true(c.stored > 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), c.stored);
    assert_int_equal(status_number(rig, "clients-0", "outbox_full"), 1);
    assert_true(status_number(rig, "clients-0", "refused.full") > 0);
    finish(rig);
    WAIT(publish(&c, "more", 1));
    assert_int_equal(status_number(rig, "clients-0", "outbox_full"), 0);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    judge(rig, &c, "outbox full by --outbox-max", 1);
    rig_passed(rig);
}

typedef struct {
    const char *name;
    const char *mount; /* a shell's words; $DISK is the folder */
} small_disk_t;

static const small_disk_t TMPFS = {"a tmpfs of 20 MB", "mount -t tmpfs -o size=20m tmpfs $DISK"};
static const small_disk_t EXT4 = {
    "an ext4 of 26 MB",
    "truncate -s 26M $DISK.image && mkfs.ext4 -q $DISK.image && mount -o loop $DISK.image $DISK"};
/* A quarter of it is taken up by a file that a test may remove. */
static const small_disk_t TINY = {
    "a tmpfs of 1 MB", "mount -t tmpfs -o size=1m tmpfs $DISK && head -c 262144 /dev/zero >$DISK/ballast"};

/* A program in a mount namespace of its own, where `file` of its arguments lies on a small disk: a script, in
 * a buffer of TEST_PATH_MAX. Skips the test where that is not allowed, and says so. */
static const char *on_a_small_disk(rig_t *rig, const small_disk_t *disk, const char *program,
                                   const char *file, char *script)
{
    char folder[TEST_PATH_MAX], name[PROCESS_NAME_MAX], text[2048];

    assert_int_equal(mkdir(rig_path(rig, "disk", folder), 0700), 0);
    snprintf(name, sizeof name, "%s-small", program);
    int n = snprintf(text, sizeof text,
                     "#!/bin/sh\n"
                     "[ -n \"$MOUNTS\" ] || MOUNTS=1 exec unshare -m \"$0\" \"$@\"\n"
                     "DISK=%s\n"
                     "(%s) || exit 1\n"
                     "[ $# -gt 0 ] || exit 0\n"
                     "for word in \"$@\"; do\n"
                     "  shift\n"
                     "  case $word in */%s) word=$DISK/%s ;; esac\n"
                     "  set -- \"$@\" \"$word\"\n"
                     "done\n"
                     "exec " TEST_PROGRAMS_DIR "/%s \"$@\"\n",
                     folder, disk->mount, file, file, program);
    assert_true(n > 0 && n < (int)sizeof text);
    test_write_file(rig_path(rig, name, script), text, (size_t)n);
    assert_int_equal(chmod(script, 0700), 0);
    if (RUN(rig, "allowed", script, NULL) != 0) {
        rig_passed(rig);
        print_message("SKIPPED: %s can't be mounted here (that needs root, and for ext4 a loop device)\n",
                      disk->name);
        skip();
    }
    return script;
}

static void fill_outbox(rig_t *rig, const small_disk_t *disk)
{
    char script[TEST_PATH_MAX], fault[96];
    client_t c;

    process_t *publisher = start_publisher_as(
        rig, 0, on_a_small_disk(rig, disk, "mandrill-publisher", "outbox-0.db", script), NO_ARGS);
    open_client(&c, rig);
    publish_until_full(&c);
    assert_true(c.stored > 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), c.stored);
    /* Again and again, with what little is left. */
    for (unsigned i = 0; i < 20; i++)
        publish(&c, "more", 1);
    publish_until_full(&c);
    process_t *restart = finish(rig);
    assert_int_equal(saved(rig, 0), c.stored);
    WAIT(publish(&c, "more", 1));
    /* And a second time, with a file that has grown to what the disk allows. */
    assert_int_equal(process_stop(restart), 0);
    publish_until_full(&c);
    process_start(restart);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    snprintf(fault, sizeof fault, "outbox fills %s", disk->name);
    judge(rig, &c, fault, 2);
    assert_int_equal(process_stop(publisher), 0);
    assert_int_equal(publisher->starts, 1);
    rig_passed(rig);
}

static void test_a_disk_without_room(void **state)
{
    fill_outbox(*state, &TMPFS);
}

static void test_a_file_system_without_room(void **state)
{
    fill_outbox(*state, &EXT4);
}

/* The worker's disk as others see it: a path in a buffer of TEST_PATH_MAX. */
static const char *inside(const rig_t *rig, const process_t *worker, const char *file, char *path)
{
    char disk[TEST_PATH_MAX];

    int n = snprintf(path, TEST_PATH_MAX, "/proc/%d/root%.100s/%s", (int)worker->pid,
                     rig_path(rig, "disk", disk), file);
    assert_true(n < TEST_PATH_MAX);
    return path;
}

/* More and more until the worker's disk is full; then there is room again. */
static void test_a_save_worker_without_room(void **state)
{
    rig_t *rig = *state;
    char script[TEST_PATH_MAX], path[TEST_PATH_MAX], log[TEST_PATH_MAX];
    trial_t *t = rig_alloc(rig, sizeof *t);

    trial_load(t, rig);
    on_a_small_disk(rig, &TINY, "mandrill-worker", "saved-0.db", script);
    start_sturdy_publisher(rig, 0, LEASE_MS);
    start_sturdy_consumer(rig, 0, 1, LEASE_MS);
    process_t *save = start_save_as(rig, 0, script, 1, ARGS("--log-messages"));
    start_restart(rig, 0, 1, ARGS("--simulate", "0..1", "--log-messages"));
    TRIAL_WAIT(t, process_log_count(save, "the disk is full") > 0);
    trial_publish(t, FURTHER);
    for (unsigned i = 0; i < TRIAL_LOADS; i++)
        load_finish(&t->loads[i]);
    assert_true(status_number(rig, "clients-0", STATUS_BACKLOG) > 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.window"), 0);
    assert_int_equal(status_number(rig, "control-0", "workers.save.retries"), 0);
    int64_t room_ms = test_now_ms();
    assert_int_equal(unlink(inside(rig, save, "ballast", path)), 0);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    figures_recovered(&t->figures, test_now_ms() - room_ms);
    t->figures.cycles = 1;
    assert_int_equal(status_number(rig, "control-0", "workers.save.bad"), 0);
    /* For the judge, who is not in there; nobody writes now. */
    assert_int_equal(RUN(rig, "copy", "/bin/cp", inside(rig, save, "saved-0.db", path),
                         inside(rig, save, "saved-0.db-wal", log), rig->dir),
                     0);
    trial_judge(t, "saved rows fill a tmpfs of 1 MB");
    assert_int_equal(process_stop(save), 0);
    assert_int_equal(save->starts, 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_outbox_max),
        RIG_TESTS(test_a_disk_without_room),
        RIG_TEST(test_a_file_system_without_room, "ipc"),
        RIG_TESTS(test_a_save_worker_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

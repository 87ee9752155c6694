/* An outbox that is full, by --outbox-max or because its disk is: clients are refused and nothing else, what
 * is there goes on to be delivered and settled, and then there is room again. */
#include "tests/support/fake.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SAVE = 1, RESTART = 2, SESSION = 4711, BATCH = 1000, BATCHES_MAX = 1000 };

/* PUBLISH after PUBLISH until one is refused; how many were stored. */
static unsigned publish_until_full(fake_t *client, uint64_t *number)
{
    unsigned stored = 0;

    for (unsigned i = 0; i < BATCHES_MAX; i++) {
        fake_publish(client, SESSION, *number, "web", BATCH);
        int command = fake_recv_any(client, WAIT_MS);
        if (command == CMD_CONFIRM) {
            stored += BATCH;
            ++*number;
            continue;
        }
        peer_error_t e;
        assert_int_equal(command, CMD_ERROR);
        assert_int_equal(decode_error(client->room->frame, client->len, &e), 0);
        assert_int_equal(e.code, ERR_FULL);
        return stored;
    }
    fail_msg("it is never full");
    return 0;
}

static bool takes(fake_t *client, uint64_t *number)
{
    fake_publish(client, SESSION, *number, "more", 1);
    int command = fake_recv_any(client, WAIT_MS);
    assert_true(command == CMD_CONFIRM || command == CMD_ERROR);
    *number += command == CMD_CONFIRM;
    return command == CMD_CONFIRM;
}

/* The restart worker of a pipeline that has done everything. */
static process_t *finish(rig_t *rig)
{
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(rig, 0, 1, ARGS("--simulate", "0..0"));
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    return restart;
}

static void test_outbox_max(void **state)
{
    rig_t *rig = *state;
    fake_t client;
    uint64_t number = 1;

    start_publisher(rig, 0, ARGS("--outbox-max", "2M"));
    fake_raw(&client, rig, rig_endpoint(rig, "clients-0"));
    unsigned stored = publish_until_full(&client, &number);
    assert_true(stored > 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), stored);
    assert_int_equal(status_number(rig, "clients-0", "outbox_full"), 1);
    assert_true(status_number(rig, "clients-0", "refused.full") > 0);
    finish(rig);
    WAIT(takes(&client, &number));
    assert_int_equal(status_number(rig, "clients-0", "outbox_full"), 0);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(saved(rig, 0), stored + 1);
    rig_passed(rig);
}

/* A publisher in a mount namespace of its own, its outbox on a disk of 24 MB there; skips the test where that
 * is not allowed. */
static process_t *publisher_on_a_small_disk(rig_t *rig)
{
    char disk[TEST_PATH_MAX], script[TEST_PATH_MAX], text[2048];

    assert_int_equal(mkdir(rig_path(rig, "disk", disk), 0700), 0);
    if (RUN(rig, "allowed", "/usr/bin/unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", disk) != 0) {
        rig_passed(rig);
        skip();
    }
    int n = snprintf(text, sizeof text,
                     "#!/bin/sh\n"
                     "[ -n \"$MOUNTS\" ] || MOUNTS=1 exec unshare -m \"$0\" \"$@\"\n"
                     "mount -t tmpfs -o size=24m tmpfs %s || exit 1\n"
                     "for word in \"$@\"; do\n"
                     "  shift\n"
                     "  case $word in */outbox-0.db) word=%s/outbox.db ;; esac\n"
                     "  set -- \"$@\" \"$word\"\n"
                     "done\n"
                     "exec " TEST_PROGRAMS_DIR "/mandrill-publisher \"$@\"\n",
                     disk, disk);
    assert_true(n > 0 && n < (int)sizeof text);
    test_write_file(rig_path(rig, "small", script), text, (size_t)n);
    assert_int_equal(chmod(script, 0700), 0);
    return start_publisher_as(rig, 0, script, NO_ARGS);
}

static void test_a_disk_without_room(void **state)
{
    rig_t *rig = *state;
    fake_t client;
    uint64_t number = 1;

    process_t *publisher = publisher_on_a_small_disk(rig);
    fake_raw(&client, rig, rig_endpoint(rig, "clients-0"));
    unsigned stored = publish_until_full(&client, &number);
    assert_true(stored > 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), stored);
    /* Again and again, with what little is left. */
    for (unsigned i = 0; i < 20; i++)
        stored += takes(&client, &number);
    stored += publish_until_full(&client, &number);
    process_t *restart = finish(rig);
    assert_int_equal(saved(rig, 0), stored);
    WAIT(takes(&client, &number));
    stored++;
    /* And a second time, with a file that has grown to what the disk allows. */
    assert_int_equal(process_stop(restart), 0);
    stored += publish_until_full(&client, &number);
    process_start(restart);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(saved(rig, 0), stored);
    assert_int_equal(process_stop(publisher), 0);
    assert_int_equal(publisher->starts, 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_outbox_max),
        RIG_TESTS(test_a_disk_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* kill -9 of each process in turn, and of all at once, while clients publish: what was confirmed is saved,
 * once. */
#include "common/core/backoff.h"
#include "tests/support/frames.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/saved.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 2, LONG_ROUNDS = 25, LOADS = 2, CONFIRMS = 150 };

typedef struct {
    rig_t *rig;
    process_t *programs[PIPELINE_PROGRAMS];
    load_t loads[LOADS];
    uint64_t seed;
} victim_t;

static void start_all(victim_t *v, rig_t *rig)
{
    *v = (victim_t){.rig = rig, .seed = frames_seed()};
    start_sturdy(rig, v->programs);
    for (unsigned i = 0; i < LOADS; i++) {
        char name[PROCESS_NAME_MAX];

        snprintf(name, sizeof name, "load-%u", i);
        load_init(&v->loads[i], rig, name, 0, 50);
    }
}

static unsigned confirmed(victim_t *v)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LOADS; i++) {
        load_tick(&v->loads[i]);
        n += v->loads[i].confirmed;
    }
    return n;
}

/* Goes on until `n` more are confirmed, and then for a moment of any length: so kills hit everywhere. */
static void keep_publishing(victim_t *v, unsigned n)
{
    unsigned before = confirmed(v);

    WAIT(confirmed(v) >= before + n);
    for (uint64_t pauses = random_next(&v->seed) % 10; pauses > 0; pauses--) {
        confirmed(v);
        test_pause();
    }
}

static void settle(victim_t *v)
{
    rig_t *rig = v->rig;
    char path[TEST_PATH_MAX], text[64];

    for (unsigned i = 0; i < LOADS; i++)
        load_finish(&v->loads[i]);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    char journal[TEST_PATH_MAX], requests[TEST_PATH_MAX];
    load_merge(v->loads, LOADS, rig_path(rig, "journal", journal), rig_path(rig, "requests", requests));
    checked_t c = check_saved(rig, 0, journal, requests);
    assert_int_equal(c.lost, 0);
    assert_int_equal(c.unexpected, 0);
    assert_int_equal(c.duplicate, 0);
    assert_int_equal(c.code, 0);
    assert_true(c.confirmed > 0);
    for (int i = 0; i < PIPELINE_PROGRAMS; i++)
        assert_int_equal(process_stop(v->programs[i]), 0);
    assert_true(
        saved_text(rig_path(rig, "saved-0.db", path), "PRAGMA integrity_check", NULL, text, sizeof text));
    assert_string_equal(text, "ok");
    assert_true(
        saved_text(rig_path(rig, "outbox-0.db", path), "PRAGMA integrity_check", NULL, text, sizeof text));
    assert_string_equal(text, "ok");
    rig_passed(rig);
}

static void kill_each(rig_t *rig, unsigned rounds)
{
    victim_t v;

    start_all(&v, rig);
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < PIPELINE_PROGRAMS; i++) {
            keep_publishing(&v, CONFIRMS);
            process_kill(v.programs[i]);
            process_start(v.programs[i]);
        }
        keep_publishing(&v, CONFIRMS);
        load_kill(&v.loads[round % LOADS]);
    }
    settle(&v);
}

static void kill_all(rig_t *rig, unsigned rounds)
{
    victim_t v;

    start_all(&v, rig);
    for (unsigned round = 0; round < rounds; round++) {
        keep_publishing(&v, CONFIRMS);
        for (int i = 0; i < PIPELINE_PROGRAMS; i++)
            process_kill(v.programs[(i + (int)round) % PIPELINE_PROGRAMS]);
        load_kill(&v.loads[0]);
        for (int i = 0; i < PIPELINE_PROGRAMS; i++)
            process_start(v.programs[i]);
    }
    settle(&v);
}

static void test_kill_each(void **state)
{
    kill_each(*state, ROUNDS);
}

static void test_kill_all_at_once(void **state)
{
    kill_all(*state, ROUNDS);
}

static void test_kill_each_many_times(void **state)
{
    kill_each(*state, LONG_ROUNDS);
}

static void test_kill_all_many_times(void **state)
{
    kill_all(*state, LONG_ROUNDS);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {RIG_TESTS(test_kill_each), RIG_TESTS(test_kill_all_at_once)};
    static const struct CMUnitTest long_tests[] = {RIG_TESTS(test_kill_each_many_times),
                                                   RIG_TESTS(test_kill_all_many_times)};

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        return cmocka_run_group_tests(long_tests, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

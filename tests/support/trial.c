#include "tests/support/trial.h"

#include "common/core/backoff.h"
#include "tests/support/frames.h"
#include "tests/support/saved.h"
#include <stdio.h>
#include <string.h>

/* Some hundreds of messages a second: enough that every kill hits some, and a journal of an hour can be read.
 */
enum { BATCH = 20, EVERY_MS = 100, PAUSES_MAX = 10 };

void trial_load(trial_t *t, rig_t *rig)
{
    *t = (trial_t){.rig = rig, .seed = frames_seed()};
    for (unsigned i = 0; i < TRIAL_LOADS; i++) {
        char name[PROCESS_NAME_MAX];

        snprintf(name, sizeof name, "load-%u", i);
        load_init(&t->loads[i], rig, name, 0, BATCH);
        t->loads[i].every_ms = EVERY_MS;
    }
}

void trial_start_wide(trial_t *t, rig_t *rig, unsigned lease_ms, unsigned consumers)
{
    trial_load(t, rig);
    start_sturdy(rig, t->programs, lease_ms, consumers);
}

void trial_start(trial_t *t, rig_t *rig, unsigned lease_ms)
{
    trial_start_wide(t, rig, lease_ms, 1);
}

unsigned trial_confirmed(trial_t *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < TRIAL_LOADS; i++) {
        load_tick(&t->loads[i]);
        n += t->loads[i].confirmed;
    }
    return n;
}

void trial_publish(trial_t *t, unsigned n)
{
    unsigned before = trial_confirmed(t);

    WAIT(trial_confirmed(t) >= before + n);
    for (uint64_t pauses = random_next(&t->seed) % PAUSES_MAX; pauses > 0; pauses--) {
        trial_confirmed(t);
        test_pause();
    }
}

void trial_last(trial_t *t, int64_t ms)
{
    int64_t until_ms = test_now_ms() + ms;

    while (test_now_ms() < until_ms) {
        trial_confirmed(t);
        test_pause();
    }
}

/* Something that only grows while messages go through the part, counted where it is seen first. */
static int64_t through(trial_t *t, part_t part)
{
    switch (part) {
    case PART_PUBLISHER:
        return status_number(t->rig, "clients-0", "acked");
    case PART_CONSUMER:
        return status_number(t->rig, "control-0", "acked");
    case PART_SAVE:
        return status_number(t->rig, "control-0", "workers.save.done");
    default:
        return status_number(t->rig, "control-0", "workers.restart.done");
    }
}

void trial_recover(trial_t *t, int64_t ended_ms)
{
    int64_t before = through(t, PART_PUBLISHER);

    TRIAL_WAIT(t, through(t, PART_PUBLISHER) > before);
    t->figures.cycles++;
    figures_recovered(&t->figures, test_now_ms() - ended_ms);
}

void trial_revive(trial_t *t, part_t part, int64_t died_ms)
{
    process_t *p = t->programs[part];
    int64_t before = 0;

    process_start(p);
    TRIAL_WAIT(t, process_is_announced(p));
    /* The counts of a publisher and a consumer begin with their process. */
    if (part == PART_SAVE || part == PART_RESTART)
        before = through(t, part);
    TRIAL_WAIT(t, through(t, part) > before);
    t->figures.cycles++;
    figures_recovered(&t->figures, test_now_ms() - died_ms);
}

void trial_kill(trial_t *t, part_t part)
{
    int64_t killed_ms = test_now_ms();

    process_kill(t->programs[part]);
    trial_revive(t, part, killed_ms);
}

static void assert_sound(const rig_t *rig, const char *file)
{
    char path[TEST_PATH_MAX], text[64];

    assert_true(saved_text(rig_path(rig, file, path), "PRAGMA integrity_check", NULL, text, sizeof text));
    assert_string_equal(text, "ok");
}

void trial_judge(trial_t *t, const char *fault)
{
    rig_t *rig = t->rig;
    figures_t *f = &t->figures;
    char journal[TEST_PATH_MAX], requests[TEST_PATH_MAX], rows[TEST_PATH_MAX], row[128];

    for (unsigned i = 0; i < TRIAL_LOADS; i++)
        load_finish(&t->loads[i]);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    load_merge(t->loads, TRIAL_LOADS, rig_path(rig, "journal", journal), rig_path(rig, "requests", requests));
    checked_t c;
    if (t->postgres != NULL) {
        postgres_export(t->postgres, "", rig_path(rig, "rows", rows));
        c = check_rows(rig, rows, journal, requests);
    } else {
        c = check_saved(rig, 0, journal, requests);
    }
    for (unsigned i = 0; i < TRIAL_LOADS; i++)
        f->messages += t->loads[i].requested;
    figures_judged(f, &c);
    snprintf(row, sizeof row, "%s, %s", fault, rig->transport);
    figures_row(row, f);
    assert_judged(&c);
    /* What was done was heard of: else "again" says nothing. */
    if (!t->looks)
        assert_true(c.work >= 2 * c.confirmed);
}

void trial_stop(trial_t *t)
{
    for (int i = 0; i < PIPELINE_PROGRAMS; i++)
        assert_int_equal(process_stop(t->programs[i]), 0);
    if (t->postgres == NULL)
        assert_sound(t->rig, "saved-0.db");
    assert_sound(t->rig, "outbox-0.db");
    rig_passed(t->rig);
}

void trial_end(trial_t *t, const char *fault)
{
    trial_judge(t, fault);
    trial_stop(t);
}

void trial_end_unhelped(trial_t *t, const char *fault)
{
    for (int i = 0; i < PIPELINE_PROGRAMS; i++)
        assert_int_equal(t->programs[i]->starts, 1);
    trial_end(t, fault);
}

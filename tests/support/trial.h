/* A pipeline under load to which something is done, and the verdict at its end: everything drained, the
 * checker asked, a row of figures printed, every program stopped, both databases sound.
 *
 *   trial_start(&t, rig, 500);
 *   trial_publish(&t, 100);               until so many more are confirmed, and a random moment longer
 *   process_kill(t.programs[PART_SAVE]);  or whatever the test is about; t.figures.cycles++
 *   trial_end(&t, "what was done");
 *
 * Waits in between are TRIAL_WAIT(): the load has to be driven on. */
#ifndef MANDRILL_TEST_TRIAL_H
#define MANDRILL_TEST_TRIAL_H

#include "tests/support/figures.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/postgres.h"

enum { TRIAL_LOADS = 2 };

typedef struct {
    rig_t *rig;
    process_t *programs[PIPELINE_PROGRAMS];
    load_t loads[TRIAL_LOADS];
    uint64_t seed; /* printed */
    figures_t figures;
    bool looks;                 /* workers find what was done already, and do not say that they did it */
    const postgres_t *postgres; /* where the rows are; NULL: in saved-0.db */
} trial_t;

/* The sturdy pipeline with an ack deadline of `lease_ms`, and two clients after another at it. */
void trial_start(trial_t *t, rig_t *rig, unsigned lease_ms);
/* With workers that know so many consumers. */
void trial_start_wide(trial_t *t, rig_t *rig, unsigned lease_ms, unsigned consumers);
/* The clients alone, for pipelines of another shape: the programs are the caller's. */
void trial_load(trial_t *t, rig_t *rig);
/* Drives the load on; confirms so far. */
unsigned trial_confirmed(trial_t *t);
void trial_publish(trial_t *t, unsigned n);
/* Goes on for a time: how long a fault lasts. */
void trial_last(trial_t *t, int64_t ms);
/* On until another message is acked; a cycle, with the time since `ended_ms` (the fault's end) among the
 * figures.
 */
void trial_recover(trial_t *t, int64_t ended_ms);
/* kill -9, a new process, and on until messages go all the way through it again; a cycle, with the time it
 * took among the figures. */
void trial_kill(trial_t *t, part_t part);
/* The same for a part that died at `died_ms`, with a new process. */
void trial_revive(trial_t *t, part_t part, int64_t died_ms);
/* The load ends, the backlog becomes 0; nothing lost, every row once, no dead letter. The row is called
 * "<fault>, <transport>". */
void trial_judge(trial_t *t, const char *fault);
/* The programs of trial_start() stop with 0; the last line of a test. */
void trial_stop(trial_t *t);
/* Both. */
void trial_end(trial_t *t, const char *fault);
/* trial_end() where nobody had to be started again. */
void trial_end_unhelped(trial_t *t, const char *fault);

#define TRIAL_WAIT(t, condition) WAIT((trial_confirmed(t), condition))

#endif

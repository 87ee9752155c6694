#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/fates.h"
#include "tests/sim/kinds_internal.h"
#include "tests/sim/store.h"
#include "tests/sim/trace.h"
#include <errno.h>
#include <stdlib.h>

enum { TASKS_MAX = 4096 };

const char *const sim_legs[SIM_LEGS] = {"save", "restart"};

worker_state_t *worker_state_new(process_t *p)
{
    worker_state_t *s = keep_alloc(sizeof *s);
    s->process = p;
    s->tasks = keep_alloc(TASKS_MAX * sizeof *s->tasks);
    return s;
}

uint64_t worker_ref(const worker_state_t *s, uint32_t number)
{
    return held_at(&s->sink->tasks, number)->ref;
}

void worker_state_destroy(worker_state_t **ref)
{
    if (*ref == NULL)
        return;
    keep_free((*ref)->tasks);
    keep_free(*ref);
    *ref = NULL;
}

uint32_t worker_holds(const worker_state_t *s)
{
    uint32_t n = s->sink != NULL ? s->sink->tasks.count : 0;
    for (uint32_t i = 0; s->sink != NULL && i < DIALS_MAX; i++)
        n += s->sink->consumers[i].up && s->sink->consumers[i].held > 0;
    return n;
}

static void fail(worker_state_t *s, const worker_task_t *task, uint32_t leg, const doom_t *d)
{
    switch (d->fate) {
    case FATE_TRANSIENT:
        worker_fail(s->sink, task->number, OUTCOME_TRANSIENT, 0, "time-out");
        break;
    case FATE_PERMANENT:
        check_permanent(task->id, leg);
        worker_fail(s->sink, task->number, OUTCOME_PERMANENT, 0, "no such host");
        break;
    case FATE_BLOCKED:
        worker_fail(s->sink, task->number, OUTCOME_BLOCKED, d->ms, "not now");
        break;
    case FATE_POISON:
        fate_strikes();
        break;
    case FATE_OK:
        break;
    }
}

/* --- save --- */

static int run_batch(void *self, const worker_task_t *tasks, uint32_t n, worker_sink_t *sink)
{
    worker_state_t *s = self;
    message_id_t ids[TASKS_MAX];
    doom_t dooms[TASKS_MAX];
    uint32_t good = 0;
    s->sink = sink;
    for (uint32_t i = 0; i < n; i++) {
        check_begin(tasks[i].id, LEG_SAVE);
        dooms[i] = fate_of(&tasks[i], LEG_SAVE);
        if (dooms[i].fate == FATE_OK)
            ids[good++] = tasks[i].id;
        if (dooms[i].fate == FATE_POISON)
            fail(s, &tasks[i], LEG_SAVE, &dooms[i]);
    }
    int r = good > 0 ? store_commit(ids, good) : 0;
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < n; i++) {
        if (dooms[i].fate != FATE_OK)
            fail(s, &tasks[i], LEG_SAVE, &dooms[i]);
        else if (r > 0)
            worker_fail(sink, tasks[i].number, OUTCOME_BLOCKED, r, "the store is away");
        else
            worker_ok(sink, tasks[i].number);
    }
    return r;
}

/* --- restart --- */

static void start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    worker_state_t *s = self;
    s->sink = sink;
    check_begin(task->id, LEG_RESTART);
    world_step();
    doom_t d = fate_of(task, LEG_RESTART);
    if (d.fate == FATE_BLOCKED) {
        fail(s, task, LEG_RESTART, &d);
        return;
    }
    if (s->count == TASKS_MAX)
        broken("bounds", "%s has more than %d restarts at work", s->process->name, TASKS_MAX);
    s->tasks[s->count].task = task;
    s->tasks[s->count++].due_ms = now_ms + d.ms;
}

static void end(worker_state_t *s, uint32_t place)
{
    const worker_task_t *task = s->tasks[place].task;
    s->tasks[place] = s->tasks[--s->count];
    doom_t d = fate_of(task, LEG_RESTART);
    if (d.fate == FATE_OK || d.fate == FATE_BLOCKED) {
        check_act(task->id, LEG_RESTART);
        world_step();
        worker_ok(s->sink, task->number);
    } else {
        fail(s, task, LEG_RESTART, &d);
    }
}

static int64_t poll_due(void *self, int64_t now_ms, worker_sink_t *sink)
{
    worker_state_t *s = self;
    s->sink = sink;
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->tasks[i].due_ms <= now_ms)
            end(s, i--);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->tasks[i].due_ms < next_ms)
            next_ms = s->tasks[i].due_ms;
    return next_ms;
}

/* Half of the tasks go on all the same. */
static void cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    worker_state_t *s = self;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->tasks[i].task->number != number || chance(500))
            continue;
        s->tasks[i] = s->tasks[--s->count];
        worker_fail(sink, number, OUTCOME_TRANSIENT, 0, "cancelled");
        return;
    }
}

const worker_kind_t sim_save = {
    .name = "save-sim", .leg = "save", .executor = EXECUTOR_BATCH, .run_batch = run_batch};
const worker_kind_t sim_restart = {.name = "restart-sim",
                                   .leg = "restart",
                                   .executor = EXECUTOR_LOOP,
                                   .start = start,
                                   .poll = poll_due,
                                   .cancel = cancel};

#include "workers/restart/runner.h"

#include "common/core/heap.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "workers/restart/guard.h"
#include "workers/restart/jobs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DUE_MIN = 64,
    BLOCKED_MS = 1000, /* for want of memory or descriptors */
    AWAY_TEXT_BYTES = 256,
};

/* One try of a task. */
typedef struct {
    once_t once;
    const worker_task_t *task;
    once_do_t at;       /* the step that is under way */
    bool begun;         /* the driver has it, and has not told of it */
    bool acted;         /* there was an act, by this try */
    driver_call_t call; /* of the step */
} job_t;

typedef struct {
    const driver_t *driver;
    void *driven; /* the driver's self */
    once_policy_t policy;
    guard_t guard;
    jobs_t jobs;
    heap_t due; /* by number of task: steps that wait */
    worker_sink_t *sink;
    int away_ms; /* more than 0: the driver can do nothing now */
    char away[AWAY_TEXT_BYTES];
} runner_t;

/* --- results --- */

static void say(const runner_t *r, const job_t *j, const once_step_t *step)
{
    static const char dry[] = "dry run: ";
    if (step->end == ONCE_RESTARTED && j->acted)
        worker_say(r->sink, "Restarted", j->task, "");
    else if (strncmp(step->text, dry, sizeof dry - 1) == 0)
        worker_say(r->sink, "Dry run:", j->task, step->text + sizeof dry - 1);
    else
        worker_say(r->sink, "Not restarted:", j->task, step->text);
}

/* Nothing of this leg is done until somebody changes that. */
static void tell_short(const char *text)
{
    log_limited(LOG_ERROR,
                "nothing is restarted: %s. It needs a longer --limit restart=TIME (and --limit-hard) of the "
                "consumer, or shorter times of this worker",
                text);
}

static void give(const runner_t *r, const job_t *j, const once_step_t *step)
{
    const uint32_t number = j->task->number;
    if (step->note != NULL)
        worker_note(r->sink, number, 0, step->note, step->note_len);
    if (step->end == ONCE_FAILED) {
        if (step->short_limit)
            tell_short(step->text);
        worker_fail(r->sink, number, step->outcome, step->ms, step->text);
        return;
    }
    say(r, j, step);
    if (step->text[0] != '\0')
        worker_ok_because(r->sink, number, step->text);
    else
        worker_ok(r->sink, number);
}

static void end_job(runner_t *r, job_t *j, const once_step_t *step)
{
    const uint32_t number = j->task->number;
    assert(!j->begun);
    heap_remove(&r->due, number);
    jobs_set(&r->jobs, number, NULL);
    give(r, j, step);
    free(j);
}

/* --- steps --- */

/* 0, or -errno of a driver that could not begin. */
static int call_driver(runner_t *r, job_t *j)
{
    const driver_t *d = r->driver;
    const int error = j->at == ONCE_LOOK  ? d->observe(r->driven, &j->call)
                      : j->at == ONCE_ACT ? d->act(r->driven, &j->call)
                                          : d->check(r->driven, &j->call);
    j->begun = error == 0;
    j->acted = j->acted || (j->begun && j->at == ONCE_ACT);
    return error;
}

/* What could not be begun is told to once.c as it would have been by the driver. */
static void fail_begin(job_t *j, int error, once_step_t *step)
{
    char text[WHY_BYTES];
    const int64_t now_ms = clock_ms();
    snprintf(text, sizeof text, "the worker cannot begin it: %s", strerror(-error));
    if (j->at == ONCE_LOOK) {
        once_looked(&j->once, &(look_t){.how = LOOK_AWAY, .ms = BLOCKED_MS, .text = text}, now_ms, step);
    } else if (j->at == ONCE_ACT) {
        const acted_t acted = {.how = ACTED_NOT, .outcome = OUTCOME_BLOCKED, .ms = BLOCKED_MS, .text = text};
        once_acted(&j->once, &acted, now_ms, step);
    } else {
        once_checked(&j->once, false, text, now_ms, step);
    }
}

/* A host that was denied since its task began: also then. */
static bool is_denied(const runner_t *r, job_t *j, once_step_t *step)
{
    char why[WHY_BYTES];
    if (j->at != ONCE_ACT || guard_allows(&r->guard, &j->task->body, why))
        return false;
    const acted_t acted = {.how = ACTED_NOT, .outcome = OUTCOME_PERMANENT, .text = why};
    once_acted(&j->once, &acted, clock_ms(), step);
    return true;
}

/* Whether there is another step at once, which then is in `step`. */
static bool carry_out(runner_t *r, job_t *j, once_step_t *step)
{
    const uint32_t number = j->task->number;
    j->at = step->what;
    switch (step->what) {
    case ONCE_NOTE:
        worker_note(r->sink, number, step->grant_ms, step->note, step->note_len);
        heap_set(&r->due, number, step->until_ms);
        return false;
    case ONCE_WAIT:
        heap_set(&r->due, number, step->until_ms);
        return false;
    case ONCE_END:
        end_job(r, j, step);
        return false;
    case ONCE_LOOK:
    case ONCE_ACT:
    case ONCE_CHECK:
        break;
    }
    j->call = (driver_call_t){.number = number,
                              .task = j->task,
                              .observed = step->observed != NULL ? step->observed : "",
                              .target = step->target != NULL ? step->target : "",
                              .until_ms = step->until_ms};
    if (is_denied(r, j, step))
        return true;
    const int error = call_driver(r, j);
    if (error != 0)
        fail_begin(j, error, step);
    return error != 0;
}

static void follow(runner_t *r, job_t *j, once_step_t *step)
{
    while (carry_out(r, j, step)) {
    }
}

static void told(void *arg, uint32_t number, const driver_told_t *t)
{
    runner_t *r = arg;
    job_t *j = jobs_get(&r->jobs, number);
    const int64_t now_ms = clock_ms();
    once_step_t step;
    assert(j != NULL && j->begun);
    j->begun = false;
    if (t->looked != NULL)
        once_looked(&j->once, t->looked, now_ms, &step);
    else if (t->acted != NULL)
        once_acted(&j->once, t->acted, now_ms, &step);
    else
        once_checked(&j->once, t->unwell[0] == '\0', t->unwell, now_ms, &step);
    follow(r, j, &step);
}

static void come_due(runner_t *r, uint32_t number)
{
    job_t *j = jobs_get(&r->jobs, number);
    once_step_t step;
    heap_remove(&r->due, number);
    once_due(&j->once, clock_ms(), &step);
    follow(r, j, &step);
}

/* --- tasks --- */

static int64_t age_ms(const body_t *b)
{
    const int64_t age = clock_wall_ms() - b->published_ms;
    return age > 0 ? age : 0;
}

static job_t *make_job(runner_t *r, const worker_task_t *task)
{
    if (jobs_reserve(&r->jobs, task->number) != 0 ||
        (r->due.capacity < r->jobs.capacity && heap_grow(&r->due, r->jobs.capacity) != 0))
        return NULL;
    job_t *j = malloc(sizeof *j);
    if (j == NULL)
        return NULL;
    j->task = task;
    j->begun = j->acted = false;
    jobs_set(&r->jobs, task->number, j);
    return j;
}

void runner_start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    runner_t *r = self;
    char why[WHY_BYTES];
    once_step_t step;
    (void)now_ms;
    r->sink = sink;
    if (!guard_allows(&r->guard, &task->body, why)) {
        worker_fail(sink, task->number, OUTCOME_PERMANENT, 0, why);
        return;
    }
    if (r->away_ms > 0) {
        worker_fail(sink, task->number, OUTCOME_BLOCKED, r->away_ms, r->away);
        return;
    }
    job_t *j = make_job(r, task);
    if (j == NULL) {
        worker_fail(sink, task->number, OUTCOME_BLOCKED, BLOCKED_MS, "the worker is out of memory");
        return;
    }
    const once_task_t once = {.note = task->note_len > 0 ? task->note : NULL,
                              .note_len = task->note_len,
                              .age_ms = age_ms(&task->body),
                              .deadline_ms = task->deadline_ms};
    once_begin(&j->once, &r->policy, &once, clock_ms(), &step);
    follow(r, j, &step);
}

int runner_go_on(void *self, int64_t now_ms, worker_sink_t *sink)
{
    runner_t *r = self;
    const char *why = "";
    r->sink = sink;
    r->away_ms = r->driver->go_on(r->driven, now_ms, &why);
    if (r->away_ms > 0)
        snprintf(r->away, sizeof r->away, "%s", why);
    while (heap_first_key(&r->due) <= now_ms)
        come_due(r, heap_first(&r->due));
    return r->away_ms;
}

void runner_await(const void *self, worker_wait_t *ret)
{
    const runner_t *r = self;
    const int64_t due_ms = heap_first_key(&r->due);
    r->driver->await(r->driven, ret);
    if (due_ms < ret->due_ms)
        ret->due_ms = due_ms;
}

void runner_cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    runner_t *r = self;
    job_t *j = jobs_get(&r->jobs, number);
    once_step_t step;
    r->sink = sink;
    if (j->begun)
        r->driver->cancel(r->driven, number);
    j->begun = false;
    once_cancel(&j->once, clock_ms(), &step);
    follow(r, j, &step);
}

void runner_granted(void *self, uint32_t number, bool granted, worker_sink_t *sink)
{
    runner_t *r = self;
    job_t *j = jobs_get(&r->jobs, number);
    once_step_t step;
    if (j == NULL || j->at != ONCE_NOTE)
        return;
    r->sink = sink;
    heap_remove(&r->due, number);
    once_granted(&j->once, granted, clock_ms(), &step);
    follow(r, j, &step);
}

/* --- open and close --- */

void runner_close(void **self)
{
    runner_t *r = *self;
    if (r == NULL)
        return;
    for (uint32_t n = 0; n < r->jobs.capacity; n++) {
        job_t *j = jobs_get(&r->jobs, n);
        if (j != NULL && j->begun)
            r->driver->cancel(r->driven, n);
        free(j);
    }
    if (r->driven != NULL)
        r->driver->close(&r->driven);
    jobs_done(&r->jobs);
    heap_done(&r->due);
    free(r);
    *self = NULL;
}

static int open_driver(runner_t *r, const config_t *config, bool check, char *why)
{
    driver_traits_t traits = {.observes = false};
    const int error = r->driver->open(&r->driven, config, check, told, r, why);
    if (error != 0)
        return error;
    r->driver->traits(r->driven, &traits);
    r->policy.observes = traits.observes;
    r->policy.checks = traits.checks;
    r->policy.repeats = traits.repeats;
    /* Else every message would fail until it is a dead letter. */
    if (r->policy.min_uptime_ms > 0 && !traits.observes) {
        snprintf(why, WHY_BYTES,
                 "%s: for how long hosts are up is not known, for this worker has nothing to look at them by "
                 "(--exec-observe, --http-observe)",
                 config_origin(config, "min-uptime"));
        return -ERANGE;
    }
    if (r->policy.dry_run && !check)
        log_info("dry run: everything is done but the restart itself");
    return 0;
}

int runner_open(void **ret_self, const driver_t *driver, const config_t *config, bool check, char *why)
{
    once_policy_t policy;
    int error = guard_policy(&policy, driver, config, why);
    if (error != 0)
        return error;
    runner_t *r = calloc(1, sizeof *r);
    void *self = r;
    if (r == NULL || heap_init(&r->due, DUE_MIN) != 0) {
        free(r);
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    r->driver = driver;
    r->policy = policy;
    jobs_init(&r->jobs);
    guard_read(&r->guard, config);
    error = open_driver(r, config, check, why);
    if (error != 0) {
        runner_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

/* What is at work goes on; a host that is denied now is not restarted any more. */
int runner_reload(void *self, const config_t *config, bool check, char *why)
{
    runner_t *r = self;
    if (!check)
        guard_read(&r->guard, config);
    return r->driver->reload != NULL ? r->driver->reload(r->driven, config, check, why) : 0;
}

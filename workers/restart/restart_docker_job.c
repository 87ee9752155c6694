#include "workers/restart/restart_docker_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MS = 30000,   /* for a request that only looks */
    RESTART_MS = 120000, /* on top of the time that the container has to stop */
    SHOWN_BYTES = 128,
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_CONFLICT = 409,
    HTTP_TOO_MANY = 429,
    HTTP_SERVER_ERROR = 500,
    MS_A_SECOND = 1000,
};

static bool end(job_end_t *ret, outcome_t outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool end(job_end_t *ret, outcome_t outcome, const char *format, ...)
{
    va_list arguments;
    *ret = (job_end_t){.outcome = outcome};
    va_start(arguments, format);
    vsnprintf(ret->text, sizeof ret->text, format, arguments);
    va_end(arguments);
    return true;
}

static bool fail_memory(job_end_t *ret)
{
    return end(ret, OUTCOME_BLOCKED, "the worker is out of memory");
}

static bool ask(job_t *j, const job_world_t *w, job_step_t step, const char *path, job_end_t *ret)
{
    const engine_method_t method = step == JOB_RESTARTS ? ENGINE_POST : ENGINE_GET;
    j->step = step;
    j->request = engine_ask(w->engine, method, path,
                            step == JOB_RESTARTS ? w->stop_ms + RESTART_MS : ANSWER_MS, j->task->number);
    return j->request == NULL && fail_memory(ret);
}

/* --- which container --- */

/* What the container is called, by its name or its label. */
static const char *wanted(const job_t *j, size_t *ret_len)
{
    const body_t *b = &j->task->body;
    *ret_len = j->by_instance ? b->instance_len : b->host_len;
    return j->by_instance ? b->instance : b->host;
}

static bool find(job_t *j, const job_world_t *w, job_end_t *ret)
{
    char path[CALL_PATH_BYTES];
    size_t len;
    const char *name = wanted(j, &len);
    int error;
    if (w->find_label != NULL)
        error = call_find(path, w->find_label, name, len);
    else
        error = call_inspect(path, name, len);
    if (error == -ENOMEM)
        return fail_memory(ret);
    if (error != 0)
        return end(ret, OUTCOME_PERMANENT, "no container can have this name");
    return ask(j, w, w->find_label != NULL ? JOB_FINDS : JOB_LOOKS, path, ret);
}

/* Nobody goes by that name: the next one, or the end. */
static bool find_next(job_t *j, const job_world_t *w, job_end_t *ret)
{
    const body_t *b = &j->task->body;
    if (!j->by_instance && b->instance_len < b->host_len) {
        j->by_instance = true;
        return find(j, w, ret);
    }
    return end(ret, OUTCOME_PERMANENT, "no such container: none is called %.*s or %.*s%s%s", (int)b->host_len,
               b->host, (int)b->instance_len, b->instance, w->find_label != NULL ? " by its label " : "",
               w->find_label != NULL ? w->find_label : "");
}

/* --- what goes wrong --- */

/* No answer at all: true, and the end. */
static bool is_lost(const job_t *j, const engine_answer_t *a, job_end_t *ret)
{
    static const char *const steps[] = {
        [JOB_FINDS] = "asked for the container",
        [JOB_LOOKS] = "asked for the container",
        [JOB_RESTARTS] = "asked for the restart, which it may have carried out",
        [JOB_OBSERVES] = "asked for the container after its restart",
    };
    if (a->end == ENGINE_ANSWERED)
        return false;
    if (a->end == ENGINE_AWAY)
        end(ret, OUTCOME_BLOCKED, "%s", a->why);
    else
        end(ret, OUTCOME_TRANSIENT, "the Docker engine, %s: %s", steps[j->step], a->why);
    ret->away = a->end == ENGINE_AWAY;
    return true;
}

static bool fail_status(const engine_answer_t *a, job_end_t *ret)
{
    char said[WHY_BYTES];
    const bool passes =
        a->status == HTTP_CONFLICT || a->status == HTTP_TOO_MANY || a->status >= HTTP_SERVER_ERROR;
    error_read(a->body, a->len, said, sizeof said);
    if (a->status == HTTP_NOT_FOUND)
        return end(ret, OUTCOME_PERMANENT, "no such container: it is gone");
    return end(ret, passes ? OUTCOME_TRANSIENT : OUTCOME_PERMANENT, "the Docker engine answered %d%s%s",
               a->status, said[0] != '\0' ? ": " : "", said);
}

static bool fail_answer(job_end_t *ret)
{
    return end(ret, OUTCOME_TRANSIENT, "the Docker engine's answer makes no sense");
}

/* --- the steps --- */

static bool look_by_id(job_t *j, const job_world_t *w, job_step_t step, job_end_t *ret)
{
    char path[CALL_PATH_BYTES];
    if (call_inspect(path, j->id, strlen(j->id)) != 0)
        return fail_answer(ret);
    return ask(j, w, step, path, ret);
}

static bool found(job_t *j, const job_world_t *w, const engine_answer_t *a, job_end_t *ret)
{
    size_t count;
    if (a->status != HTTP_OK)
        return fail_status(a, ret);
    if (containers_read(&count, j->id, a->body, a->len) != 0)
        return fail_answer(ret);
    if (count == 0)
        return find_next(j, w, ret);
    if (count > 1) {
        size_t len;
        const char *name = wanted(j, &len);
        return end(ret, OUTCOME_PERMANENT, "several containers have the label %s=%.*s", w->find_label,
                   (int)len, name);
    }
    return look_by_id(j, w, JOB_LOOKS, ret);
}

/* Whether it is the one that was asked for. By name the engine finds those, too, whose id begins so. */
static bool is_wanted(const job_t *j, const job_world_t *w, const container_t *c)
{
    size_t len;
    const char *name = wanted(j, &len);
    const char *called = w->find_label != NULL ? container_label(c, w->find_label) : c->name;
    return called != NULL && strlen(called) == len && memcmp(called, name, len) == 0;
}

static bool restart(job_t *j, const job_world_t *w, const container_t *c, job_end_t *ret)
{
    char path[CALL_PATH_BYTES];
    memcpy(j->id, c->id, sizeof j->id);
    memcpy(j->name, c->name, sizeof j->name);
    memcpy(j->started_at, c->started_at, sizeof j->started_at);
    call_restart(path, j->id, (w->stop_ms + MS_A_SECOND - 1) / MS_A_SECOND);
    return ask(j, w, JOB_RESTARTS, path, ret);
}

/* What came up after the message was published needs no other start: it is a message that comes again, whose
 * restart was carried out and not told. */
static bool judge(job_t *j, const job_world_t *w, const container_t *c, job_end_t *ret)
{
    char name[SHOWN_BYTES], at[SHOWN_BYTES];
    if (!is_wanted(j, w, c))
        return find_next(j, w, ret);
    if (!allow_match(&w->allow, c))
        return end(ret, OUTCOME_PERMANENT,
                   "container %s is not one that --docker-allow or --docker-allow-label names",
                   text_escape(c->name, strlen(c->name), name, sizeof name));
    if (c->running && c->started_ms > j->task->body.published_ms)
        return end(ret, OUTCOME_OK, "was restarted at %s already",
                   text_escape(c->started_at, strlen(c->started_at), at, sizeof at));
    return restart(j, w, c, ret);
}

static bool looked(job_t *j, const job_world_t *w, const engine_answer_t *a, job_end_t *ret)
{
    container_t c;
    const bool by_name = j->id[0] == '\0';
    /* 400: what was asked for is the beginning of several ids, and no name. */
    if (by_name && (a->status == HTTP_NOT_FOUND || a->status == HTTP_BAD_REQUEST))
        return find_next(j, w, ret);
    if (a->status != HTTP_OK)
        return fail_status(a, ret);
    if (container_read(&c, a->body, a->len) != 0)
        return fail_answer(ret);
    const bool ended = judge(j, w, &c, ret);
    container_done(&c);
    return ended;
}

static bool restarted(job_t *j, const job_world_t *w, const engine_answer_t *a, job_end_t *ret)
{
    if (a->status < HTTP_OK || a->status > 299)
        return fail_status(a, ret);
    return look_by_id(j, w, JOB_OBSERVES, ret);
}

static bool observed(const job_t *j, const engine_answer_t *a, job_end_t *ret)
{
    container_t c;
    char name[SHOWN_BYTES];
    if (a->status != HTTP_OK)
        return fail_status(a, ret);
    if (container_read(&c, a->body, a->len) != 0)
        return fail_answer(ret);
    container_done(&c);
    text_escape(j->name, strlen(j->name), name, sizeof name);
    if (!c.running)
        return end(ret, OUTCOME_TRANSIENT,
                   "container %s was restarted and does not run: it ended with %" PRId64, name, c.exit_code);
    if (strcmp(c.started_at, j->started_at) == 0)
        return end(ret, OUTCOME_TRANSIENT, "container %s runs since the same time as before its restart",
                   name);
    return end(ret, OUTCOME_OK, "%s", "");
}

/* --- from outside --- */

bool job_start(job_t *j, const job_world_t *w, const worker_task_t *task, job_end_t *ret)
{
    *j = (job_t){.task = task};
    return find(j, w, ret);
}

bool job_answered(job_t *j, const job_world_t *w, const engine_answer_t *answer, job_end_t *ret)
{
    j->request = NULL;
    if (is_lost(j, answer, ret))
        return true;
    switch (j->step) {
    case JOB_FINDS:
        return found(j, w, answer, ret);
    case JOB_LOOKS:
        return looked(j, w, answer, ret);
    case JOB_RESTARTS:
        return restarted(j, w, answer, ret);
    case JOB_OBSERVES:
        break;
    }
    return observed(j, answer, ret);
}

void job_cancel(job_t *j, const job_world_t *w, job_end_t *ret)
{
    engine_abort(w->engine, &j->request);
    if (j->step == JOB_RESTARTS)
        end(ret, OUTCOME_TRANSIENT,
            "its time is over; the Docker engine was asked for the restart and may carry it out");
    else if (j->step == JOB_OBSERVES)
        end(ret, OUTCOME_TRANSIENT,
            "its time is over; the Docker engine says that it restarted the container");
    else
        end(ret, OUTCOME_TRANSIENT, "%s", "");
}

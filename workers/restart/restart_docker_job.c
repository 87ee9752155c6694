#include "workers/restart/restart_docker_job.h"

#include "common/runtime/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MS = 30000, /* at most, for a request that only looks */
    BLOCKED_MS = 1000,
    SHOWN_BYTES = 128,
    STATUS_BYTES = 2 * WHY_BYTES,
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_CONFLICT = 409,
    HTTP_TOO_MANY = 429,
    HTTP_SERVER_ERROR = 500,
    MS_A_SECOND = 1000,
};

/* --- ends --- */

static void say(job_end_t *ret, const char *format, va_list arguments)
{
    *ret = (job_end_t){.well = false};
    vsnprintf(ret->text, sizeof ret->text, format, arguments);
}

static bool end_look(job_end_t *ret, look_how_t how, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool end_act(job_end_t *ret, acted_how_t how, outcome_t outcome, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool end_check(job_end_t *ret, bool well, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool end_look(job_end_t *ret, look_how_t how, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(ret, format, arguments);
    va_end(arguments);
    ret->looked = (look_t){.how = how, .ms = BLOCKED_MS, .text = ret->text};
    return true;
}

static bool end_act(job_end_t *ret, acted_how_t how, outcome_t outcome, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(ret, format, arguments);
    va_end(arguments);
    ret->acted = (acted_t){
        .how = how, .outcome = outcome, .ms = outcome == OUTCOME_BLOCKED ? BLOCKED_MS : 0, .text = ret->text};
    return true;
}

static bool end_check(job_end_t *ret, bool well, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(ret, format, arguments);
    va_end(arguments);
    ret->well = well;
    return true;
}

/* --- requests --- */

static int ask(docker_job_t *j, const job_world_t *w, job_step_t step, const char *path)
{
    const engine_method_t method = step == JOB_RESTARTS ? ENGINE_POST : ENGINE_GET;
    int64_t left_ms = j->call->until_ms - clock_ms();
    if (step != JOB_RESTARTS && left_ms > ANSWER_MS)
        left_ms = ANSWER_MS;
    j->step = step;
    j->request = engine_ask(w->engine, method, path, left_ms > 1 ? left_ms : 1, j->call->number);
    return j->request == NULL ? -ENOMEM : 0;
}

/* What the container is called, by its name or its label. */
static const char *wanted(const docker_job_t *j, size_t *ret_len)
{
    const body_t *b = &j->call->task->body;
    *ret_len = j->by_instance ? b->instance_len : b->host_len;
    return j->by_instance ? b->instance : b->host;
}

static int find(docker_job_t *j, const job_world_t *w)
{
    char path[CALL_PATH_BYTES];
    size_t len;
    const char *name = wanted(j, &len);
    const int error =
        w->find_label != NULL ? call_find(path, w->find_label, name, len) : call_inspect(path, name, len);
    j->id[0] = '\0';
    return error != 0 ? error : ask(j, w, w->find_label != NULL ? JOB_FINDS : JOB_LOOKS, path);
}

static int inspect(docker_job_t *j, const job_world_t *w, job_step_t step, const char *id)
{
    char path[CALL_PATH_BYTES];
    const int error = call_inspect(path, id, strlen(id));
    return error != 0 ? error : ask(j, w, step, path);
}

/* Of a look that goes on: whether it could not. */
static bool goes_on(int error, job_end_t *ret)
{
    return error != 0 && end_look(ret, LOOK_AWAY, "the worker is out of memory");
}

/* Nobody goes by that name: the next one, or the end. */
static bool find_next(docker_job_t *j, const job_world_t *w, job_end_t *ret)
{
    const body_t *b = &j->call->task->body;
    if (!j->by_instance && b->instance_len < b->host_len) {
        j->by_instance = true;
        return goes_on(find(j, w), ret);
    }
    return end_look(ret, LOOK_REFUSED, "no such container: none is called %.*s or %.*s%s%s", (int)b->host_len,
                    b->host, (int)b->instance_len, b->instance, w->find_label != NULL ? " by its label " : "",
                    w->find_label != NULL ? w->find_label : "");
}

/* --- what goes wrong --- */

/* No answer at all: true, and the end. */
static bool is_lost(const docker_job_t *j, const engine_answer_t *a, job_end_t *ret)
{
    const bool away = a->end == ENGINE_AWAY;
    if (a->end == ENGINE_ANSWERED)
        return false;
    if (j->step == JOB_RESTARTS && away)
        end_act(ret, ACTED_NOT, OUTCOME_BLOCKED, "no Docker engine answers: %s", a->why);
    else if (j->step == JOB_RESTARTS)
        end_act(ret, ACTED_UNKNOWN, OUTCOME_TRANSIENT,
                "the Docker engine, asked for the restart, which it may have carried out: %s", a->why);
    else if (j->step == JOB_CHECKS)
        end_check(ret, false, "the Docker engine, asked for the container after its restart: %s", a->why);
    else if (away)
        end_look(ret, LOOK_AWAY, "no Docker engine answers: %s", a->why);
    else
        end_look(ret, LOOK_FAILED, "the Docker engine, asked for the container: %s", a->why);
    ret->away = away;
    ret->why = a->why;
    return true;
}

static bool passes(int status)
{
    return status == HTTP_CONFLICT || status == HTTP_TOO_MANY || status >= HTTP_SERVER_ERROR;
}

/* "the Docker engine answered 409: ..." */
static const char *status_text(const engine_answer_t *a, char text[static STATUS_BYTES])
{
    char said[WHY_BYTES];
    error_read(a->body, a->len, said, sizeof said);
    snprintf(text, STATUS_BYTES, "the Docker engine answered %d%s%s", a->status, said[0] != '\0' ? ": " : "",
             said);
    return text;
}

static bool fail_look(const engine_answer_t *a, job_end_t *ret)
{
    char text[STATUS_BYTES];
    if (a->status == HTTP_NOT_FOUND)
        return end_look(ret, LOOK_REFUSED, "no such container: it is gone");
    return end_look(ret, passes(a->status) ? LOOK_FAILED : LOOK_REFUSED, "%s", status_text(a, text));
}

static bool fail_answer(job_end_t *ret)
{
    return end_look(ret, LOOK_FAILED, "the Docker engine's answer makes no sense");
}

/* --- the steps --- */

static bool found(docker_job_t *j, const job_world_t *w, const engine_answer_t *a, job_end_t *ret)
{
    size_t count;
    if (a->status != HTTP_OK)
        return fail_look(a, ret);
    if (containers_read(&count, j->id, a->body, a->len) != 0)
        return fail_answer(ret);
    if (count == 0)
        return find_next(j, w, ret);
    if (count > 1) {
        size_t len;
        const char *name = wanted(j, &len);
        return end_look(ret, LOOK_REFUSED, "several containers have the label %s=%.*s", w->find_label,
                        (int)len, name);
    }
    return goes_on(inspect(j, w, JOB_LOOKS, j->id), ret);
}

/* Whether it is the one that was asked for. By name the engine finds those, too, whose id begins so. */
static bool is_wanted(const docker_job_t *j, const job_world_t *w, const container_t *c)
{
    size_t len;
    const char *name = wanted(j, &len);
    const char *called = w->find_label != NULL ? container_label(c, w->find_label) : c->name;
    return called != NULL && strlen(called) == len && memcmp(called, name, len) == 0;
}

/* What does not run needs a start, however lately it had one: so it is taken for up since ever. */
static int64_t up_ms(const container_t *c)
{
    const int64_t up = clock_wall_ms() - c->started_ms;
    return !c->running ? INT64_MAX : up > 0 ? up : 0;
}

static bool judge(docker_job_t *j, const job_world_t *w, const container_t *c, job_end_t *ret)
{
    char name[SHOWN_BYTES];
    if (!is_wanted(j, w, c))
        return find_next(j, w, ret);
    if (!allow_match(&w->allow, c))
        return end_look(ret, LOOK_REFUSED,
                        "container %s is not one that --docker-allow or --docker-allow-label names",
                        text_escape(c->name, strlen(c->name), name, sizeof name));
    end_look(ret, LOOK_SEEN, "%s", "");
    observation_t *seen = &ret->looked.seen;
    snprintf(seen->id, sizeof seen->id, "%s", c->started_at);
    snprintf(seen->target, sizeof seen->target, "%s", c->id);
    seen->up_ms = up_ms(c);
    return true;
}

static bool looked(docker_job_t *j, const job_world_t *w, const engine_answer_t *a, job_end_t *ret)
{
    container_t c;
    const bool by_name = j->id[0] == '\0';
    /* 400: what was asked for is the beginning of several ids, and no name. */
    if (by_name && (a->status == HTTP_NOT_FOUND || a->status == HTTP_BAD_REQUEST))
        return find_next(j, w, ret);
    if (a->status != HTTP_OK)
        return fail_look(a, ret);
    if (container_read(&c, a->body, a->len) != 0)
        return fail_answer(ret);
    const bool ended = judge(j, w, &c, ret);
    container_done(&c);
    return ended;
}

/* An engine that fails may have stopped the container, or more. */
static bool restarted(const engine_answer_t *a, job_end_t *ret)
{
    char text[STATUS_BYTES];
    if (a->status >= HTTP_OK && a->status <= 299)
        return end_act(ret, ACTED_DONE, OUTCOME_OK, "%s", "");
    if (a->status == HTTP_NOT_FOUND)
        return end_act(ret, ACTED_NOT, OUTCOME_PERMANENT, "no such container: it is gone");
    return end_act(ret, a->status >= HTTP_SERVER_ERROR ? ACTED_UNKNOWN : ACTED_NOT,
                   passes(a->status) ? OUTCOME_TRANSIENT : OUTCOME_PERMANENT, "%s", status_text(a, text));
}

static bool checked(const engine_answer_t *a, job_end_t *ret)
{
    container_t c;
    char name[SHOWN_BYTES], text[STATUS_BYTES];
    if (a->status != HTTP_OK)
        return end_check(ret, false, "%s", status_text(a, text));
    if (container_read(&c, a->body, a->len) != 0)
        return end_check(ret, false, "the Docker engine's answer makes no sense");
    container_done(&c);
    if (c.running)
        return end_check(ret, true, "%s", "");
    return end_check(ret, false, "container %s was restarted and does not run: it ended with %" PRId64,
                     text_escape(c.name, strlen(c.name), name, sizeof name), c.exit_code);
}

/* --- from outside --- */

int job_observe(docker_job_t *j, const job_world_t *w, const driver_call_t *call)
{
    *j = (docker_job_t){.call = call};
    return find(j, w);
}

int job_restart(docker_job_t *j, const job_world_t *w, const driver_call_t *call)
{
    char path[CALL_PATH_BYTES];
    *j = (docker_job_t){.call = call};
    call_restart(path, call->target, (w->stop_ms + MS_A_SECOND - 1) / MS_A_SECOND);
    return ask(j, w, JOB_RESTARTS, path);
}

int job_check(docker_job_t *j, const job_world_t *w, const driver_call_t *call)
{
    *j = (docker_job_t){.call = call};
    return inspect(j, w, JOB_CHECKS, call->target);
}

bool job_answered(docker_job_t *j, const job_world_t *w, const engine_answer_t *answer, job_end_t *ret)
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
        return restarted(answer, ret);
    case JOB_CHECKS:
        break;
    }
    return checked(answer, ret);
}

/* restart-docker: restarts the container that the host is, by a Docker Engine on this machine, and has seen
 * it run again before it says so.
 *
 * Only what the configuration allows is restarted. Whatever is wrong with the engine's socket costs no
 * message anything: its tasks are BLOCKED and the window is 0 until the engine answers. */
#include "common/core/backoff.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "workers/restart/restart_docker_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    SLOTS = 64,
    JOBS_MIN = 64,
    STOP_MS_MAX = 3600000,
    PING_MS = 5000,
    /* Between two looks for an engine, longer each time until one answers. */
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 2000,
    /* When somebody has to do something first. */
    RETRY_SETTLED_MS = 5000,
    /* What tasks are told to wait: with more they would leave the consumer. */
    BLOCKED_MS_MAX = 1000,
};
#define PING UINT32_MAX /* no task has this number */

typedef struct {
    job_world_t world;
    const char *socket_path;
    job_t **jobs; /* by number of task; NULL: not at work */
    uint32_t jobs_capacity;
    bool present; /* the engine answers */
    engine_request_t *ping;
    int64_t retry_ms;  /* when to ask again, without a ping */
    uint32_t failures; /* since it has answered */
    uint64_t random;
    char why[WHY_BYTES]; /* it is not present */
    worker_sink_t *sink; /* while go_on() is at it */
} restart_t;

static const config_option_t options[] = {
    {.name = "docker-socket",
     .type = CONFIG_TEXT,
     .fallback = "/var/run/docker.sock",
     .argument = "PATH",
     .help = "restart-docker: where the Docker Engine listens"},
    {.name = "docker-allow",
     .type = CONFIG_LIST,
     .argument = "GLOB",
     .help = "restart-docker: containers with such a name may be restarted, and those of "
             "--docker-allow-label; no others",
     .reloads = true},
    {.name = "docker-allow-label",
     .type = CONFIG_LIST,
     .argument = "KEY[=VALUE]",
     .help = "restart-docker: containers with this label may be restarted",
     .reloads = true},
    {.name = "docker-find-label",
     .type = CONFIG_TEXT,
     .argument = "KEY",
     .help = "restart-docker: the host is the container that has it as the value of this label (default: as "
             "its name)"},
    {.name = "docker-stop-timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .max = STOP_MS_MAX,
     .help = "restart-docker: how long a container may take to stop before it is killed, in whole seconds",
     .reloads = true},
};

/* --- what the options say --- */

/* One that can be asked for: UTF-8. */
static bool is_key(const char *key)
{
    char path[CALL_PATH_BYTES];
    return strchr(key, '=') == NULL && allow_label_check(key) && call_find(path, key, "x", 1) == 0;
}

static int check_labels(const config_t *config, char *why)
{
    const char *const *rules;
    const char *find = config_text(config, "docker-find-label");
    const size_t n = config_list(config, "docker-allow-label", &rules);
    char shown[64];
    for (size_t i = 0; i < n; i++) {
        if (allow_label_check(rules[i]))
            continue;
        snprintf(why, WHY_BYTES, "%s: '%s' is no label; expected KEY or KEY=VALUE, the key of 1 to %d bytes",
                 config_origin(config, "docker-allow-label"),
                 text_escape(rules[i], strlen(rules[i]), shown, sizeof shown), LABEL_KEY_BYTES_MAX);
        return -ERANGE;
    }
    if (find == NULL || is_key(find))
        return 0;
    snprintf(why, WHY_BYTES, "%s: '%s' is no key of a label; expected 1 to %d bytes of UTF-8 without '='",
             config_origin(config, "docker-find-label"), text_escape(find, strlen(find), shown, sizeof shown),
             LABEL_KEY_BYTES_MAX);
    return -ERANGE;
}

static int check_socket(const config_t *config, char *why)
{
    const char *path = config_text(config, "docker-socket");
    const size_t longest = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    char shown[64];
    if (path[0] != '\0' && strlen(path) <= longest && strstr(path, "://") == NULL)
        return 0;
    snprintf(why, WHY_BYTES,
             "%s: '%s' is no path of a socket; expected one of 1 to %zu bytes, as in /var/run/docker.sock",
             config_origin(config, "docker-socket"), text_escape(path, strlen(path), shown, sizeof shown),
             longest);
    return -ERANGE;
}

/* SIGHUP. What is at work goes on under the rules that it began with, up to its next step. */
static int restart_reload(void *self, const config_t *config, bool check, char *why)
{
    restart_t *s = self;
    allow_t allow;
    allow.names_count = config_list(config, "docker-allow", &allow.names);
    allow.labels_count = config_list(config, "docker-allow-label", &allow.labels);
    const int error = check_labels(config, why);
    if (error != 0)
        return error;
    if (allow.names_count + allow.labels_count == 0) {
        snprintf(why, WHY_BYTES,
                 "restart-docker may restart nothing: name containers with --docker-allow GLOB or"
                 " --docker-allow-label KEY[=VALUE]");
        return -ERANGE;
    }
    if (!check) {
        s->world.allow = allow;
        s->world.stop_ms = config_int(config, "docker-stop-timeout");
    }
    return 0;
}

/* --- open and close --- */

static void restart_close(void **self)
{
    restart_t *s = *self;
    if (s == NULL)
        return;
    engine_destroy(&s->world.engine);
    for (uint32_t i = 0; i < s->jobs_capacity; i++)
        free(s->jobs[i]);
    free(s->jobs);
    free(s);
    *self = NULL;
}

static int check_engine(const config_t *config, char *why)
{
    char told[WHY_BYTES], shown[64];
    const char *path = config_text(config, "docker-socket");
    const int error = engine_check(path, told);
    if (error != 0)
        snprintf(why, WHY_BYTES, "%s: no Docker engine answers at %s: %.80s",
                 config_origin(config, "docker-socket"), text_escape(path, strlen(path), shown, sizeof shown),
                 told);
    return error;
}

static void answered(void *arg, uint32_t number, const engine_answer_t *answer);

/* An engine that is not there yet is waited for: programs start in any order. */
static int restart_open(void **ret_self, const config_t *config, bool check, char *why)
{
    int error = check_socket(config, why);
    if (error == 0)
        error = restart_reload(NULL, config, true, why);
    if (error == 0 && check)
        error = check_engine(config, why);
    if (error != 0)
        return error;
    restart_t *s = calloc(1, sizeof *s);
    void *self = s;
    if (s == NULL || (s->jobs = calloc(JOBS_MIN, sizeof *s->jobs)) == NULL) {
        free(s);
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    s->jobs_capacity = JOBS_MIN;
    s->socket_path = config_text(config, "docker-socket");
    s->world.find_label = config_text(config, "docker-find-label");
    s->random = clock_random_id();
    restart_reload(s, config, false, why);
    snprintf(s->why, sizeof s->why, "it has not answered yet");
    error = engine_new(&s->world.engine, s->socket_path, answered, s, why);
    if (error != 0) {
        restart_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

/* --- whether there is an engine --- */

/* How long nothing will be taken; more than 0. */
static int away_ms(const restart_t *s, int64_t now_ms)
{
    const int64_t left_ms = s->ping == NULL ? s->retry_ms - now_ms : BLOCKED_MS_MAX;
    return left_ms < 1 ? 1 : left_ms > BLOCKED_MS_MAX ? BLOCKED_MS_MAX : (int)left_ms;
}

static void lose(restart_t *s, const char *why, bool settled)
{
    static const backoff_t backoff = {RETRY_MS_MIN, 2, RETRY_MS_MAX};
    const int64_t wait_ms = backoff_ms(&backoff, ++s->failures, random_next(&s->random));
    s->present = false;
    s->retry_ms = clock_ms() + (settled ? RETRY_SETTLED_MS : wait_ms > RETRY_MS_MIN ? wait_ms : RETRY_MS_MIN);
    snprintf(s->why, sizeof s->why, "%s", why);
    log_limited(settled ? LOG_ERROR : LOG_WARN,
                "no Docker engine answers at %s: %s; nothing is restarted until that is over", s->socket_path,
                s->why);
}

static void ping_answered(restart_t *s, const engine_answer_t *a)
{
    char why[WHY_BYTES];
    s->ping = NULL;
    if (a->end == ENGINE_ANSWERED && a->status == 200) {
        s->present = true;
        s->failures = 0;
        log_info("the Docker engine at %s answers", s->socket_path);
        return;
    }
    if (a->end == ENGINE_ANSWERED)
        snprintf(why, sizeof why, "%d to /_ping", a->status);
    else
        snprintf(why, sizeof why, "%s", a->why);
    lose(s, why, a->error == EACCES || a->error == EPERM);
}

static void look_for_engine(restart_t *s, int64_t now_ms)
{
    if (s->present || s->ping != NULL || now_ms < s->retry_ms)
        return;
    s->ping = engine_ask(s->world.engine, ENGINE_GET, "/_ping", PING_MS, PING);
    if (s->ping == NULL)
        lose(s, "the worker is out of memory", false);
}

/* --- tasks --- */

static void block(const restart_t *s, const worker_task_t *task, worker_sink_t *sink)
{
    char text[WHY_BYTES + 32];
    snprintf(text, sizeof text, "no Docker engine answers: %s", s->why);
    worker_fail(sink, task->number, OUTCOME_BLOCKED, away_ms(s, clock_ms()), text);
}

static void give(restart_t *s, const worker_task_t *task, const job_end_t *e, worker_sink_t *sink)
{
    if (e->away) {
        if (s->present)
            lose(s, e->text, false);
        block(s, task, sink);
    } else if (e->outcome != OUTCOME_OK) {
        worker_fail(sink, task->number, e->outcome, e->outcome == OUTCOME_BLOCKED ? BLOCKED_MS_MAX : 0,
                    e->text);
    } else {
        worker_say(sink, e->text[0] != '\0' ? "Not restarted:" : "Restarted", task, e->text);
        worker_ok(sink, task->number);
    }
}

static int reserve(restart_t *s, uint32_t number)
{
    uint32_t capacity = s->jobs_capacity;
    if (number < capacity)
        return 0;
    while (capacity <= number)
        capacity *= 2;
    job_t **jobs = realloc(s->jobs, capacity * sizeof(job_t *));
    if (jobs == NULL)
        return -ENOMEM;
    memset(jobs + s->jobs_capacity, 0, (capacity - s->jobs_capacity) * sizeof(job_t *));
    s->jobs = jobs;
    s->jobs_capacity = capacity;
    return 0;
}

static void end_job(restart_t *s, uint32_t number, const job_end_t *e, worker_sink_t *sink)
{
    const worker_task_t *task = s->jobs[number]->task;
    free(s->jobs[number]);
    s->jobs[number] = NULL;
    give(s, task, e, sink);
}

static void answered(void *arg, uint32_t number, const engine_answer_t *answer)
{
    restart_t *s = arg;
    job_end_t e;
    if (number == PING)
        ping_answered(s, answer);
    else if (job_answered(s->jobs[number], &s->world, answer, &e))
        end_job(s, number, &e, s->sink);
}

static void restart_start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    restart_t *s = self;
    job_end_t e;
    (void)now_ms;
    if (!s->present) {
        block(s, task, sink);
        return;
    }
    job_t *job = reserve(s, task->number) == 0 ? malloc(sizeof *job) : NULL;
    if (job == NULL) {
        worker_fail(sink, task->number, OUTCOME_BLOCKED, BLOCKED_MS_MAX, "the worker is out of memory");
        return;
    }
    s->jobs[task->number] = job;
    if (job_start(job, &s->world, task, &e))
        end_job(s, task->number, &e, sink);
}

static int restart_go_on(void *self, int64_t now_ms, worker_sink_t *sink)
{
    restart_t *s = self;
    look_for_engine(s, now_ms);
    s->sink = sink;
    engine_go_on(s->world.engine);
    s->sink = NULL;
    return s->present ? 0 : away_ms(s, now_ms);
}

static void restart_await(const void *self, worker_wait_t *ret)
{
    const restart_t *s = self;
    const int64_t due_ms = engine_due_ms(s->world.engine);
    const bool retries = !s->present && s->ping == NULL;
    *ret = (worker_wait_t){.fd = engine_fd(s->world.engine),
                           .due_ms = retries && s->retry_ms < due_ms ? s->retry_ms : due_ms};
}

static void restart_cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    restart_t *s = self;
    job_end_t e;
    job_cancel(s->jobs[number], &s->world, &e);
    end_job(s, number, &e, sink);
}

const worker_kind_t restart_docker = {
    .name = "restart-docker",
    .leg = "restart",
    .summary = "restarts containers by the Docker Engine of this machine",
    .executor = EXECUTOR_LOOP,
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = restart_open,
    .reload = restart_reload,
    .close = restart_close,
    .start = restart_start,
    .go_on = restart_go_on,
    .await = restart_await,
    .cancel = restart_cancel,
};

/* restart-docker: restarts the container that the host is, by a Docker Engine on this machine. When the
 * container was started last is what tells one restart from another.
 *
 * Only what the configuration allows is restarted. Whatever is wrong with the engine's socket costs no
 * message anything: its tasks are BLOCKED and the window is 0 until the engine answers. */
#include "common/core/backoff.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "workers/restart/guard.h"
#include "workers/restart/jobs.h"
#include "workers/restart/restart_docker_job.h"
#include "workers/restart/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    SLOTS = 64,
    /* An engine answers when the container has stopped and was started, and it runs then. With the grant's 5
     * s that is less than a consumer's default limit. */
    ACT_MS = 15000,
    RETURN_MS = 5000,
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
    int64_t act_ms; /* --act-timeout */
    jobs_t jobs;    /* docker_job_t *: what is under way */
    bool present;   /* the engine answers */
    engine_request_t *ping;
    int64_t retry_ms;  /* when to ask again, without a ping */
    uint32_t failures; /* since it has answered */
    uint64_t random;
    char why[WHY_BYTES + 32]; /* it is not present */
    driver_tell_t tell;
    void *tell_arg;
} docker_t;

static const driver_t docker_driver;

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

/* A container that is not killed before the act's time is over is not known to be restarted. */
static int check_stop(const config_t *config, int64_t act_ms, char *why)
{
    const int64_t stop_ms = config_int(config, "docker-stop-timeout");
    if (stop_ms < act_ms)
        return 0;
    snprintf(why, WHY_BYTES, "%s: %" PRId64 " ms is not less than --act-timeout, %" PRId64 " ms",
             config_origin(config, "docker-stop-timeout"), stop_ms, act_ms);
    return -ERANGE;
}

static void read_rules(allow_t *ret, const config_t *config)
{
    ret->names_count = config_list(config, "docker-allow", &ret->names);
    ret->labels_count = config_list(config, "docker-allow-label", &ret->labels);
}

static int check_rules(const config_t *config, int64_t act_ms, char *why)
{
    allow_t allow;
    int error = check_labels(config, why);
    if (error == 0)
        error = check_stop(config, act_ms, why);
    read_rules(&allow, config);
    if (error == 0 && allow.names_count + allow.labels_count == 0) {
        snprintf(why, WHY_BYTES,
                 "restart-docker may restart nothing: name containers with --docker-allow GLOB or"
                 " --docker-allow-label KEY[=VALUE]");
        error = -ERANGE;
    }
    return error;
}

static void take_rules(docker_t *s, const config_t *config)
{
    read_rules(&s->world.allow, config);
    s->world.stop_ms = config_int(config, "docker-stop-timeout");
}

/* SIGHUP. What is under way goes on under the rules that it began with. */
static int docker_reload(void *self, const config_t *config, bool check, char *why)
{
    docker_t *s = self;
    /* The file may have another --act-timeout, which is for the next start. */
    if (check)
        return check_rules(config, s->act_ms, why);
    take_rules(s, config);
    return 0;
}

/* --- open and close --- */

static void docker_close(void **self)
{
    docker_t *s = *self;
    if (s == NULL)
        return;
    engine_destroy(&s->world.engine);
    for (uint32_t n = 0; n < s->jobs.capacity; n++)
        free(jobs_get(&s->jobs, n));
    jobs_done(&s->jobs);
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
static int docker_open(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                       char *why)
{
    int error = check_socket(config, why);
    if (error == 0)
        error = check_rules(config, guard_act_ms(&docker_driver, config), why);
    if (error == 0 && check)
        error = check_engine(config, why);
    if (error != 0)
        return error;
    docker_t *s = calloc(1, sizeof *s);
    void *self = s;
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    jobs_init(&s->jobs);
    s->socket_path = config_text(config, "docker-socket");
    s->world.find_label = config_text(config, "docker-find-label");
    s->random = clock_random_id();
    s->tell = tell;
    s->tell_arg = arg;
    s->act_ms = guard_act_ms(&docker_driver, config);
    take_rules(s, config);
    snprintf(s->why, sizeof s->why, "no Docker engine answers: it has not answered yet");
    error = engine_new(&s->world.engine, s->socket_path, answered, s, why);
    if (error != 0) {
        docker_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

static void docker_traits(const void *self, driver_traits_t *ret)
{
    (void)self;
    *ret = (driver_traits_t){.observes = true, .checks = true};
}

/* --- whether there is an engine --- */

/* How long nothing will be taken; more than 0. */
static int away_ms(const docker_t *s, int64_t now_ms)
{
    const int64_t left_ms = s->ping == NULL ? s->retry_ms - now_ms : BLOCKED_MS_MAX;
    return left_ms < 1 ? 1 : left_ms > BLOCKED_MS_MAX ? BLOCKED_MS_MAX : (int)left_ms;
}

static void lose(docker_t *s, const char *why, bool settled)
{
    static const backoff_t backoff = {RETRY_MS_MIN, 2, RETRY_MS_MAX};
    const int64_t wait_ms = backoff_ms(&backoff, ++s->failures, random_next(&s->random));
    s->present = false;
    s->retry_ms = clock_ms() + (settled ? RETRY_SETTLED_MS : wait_ms > RETRY_MS_MIN ? wait_ms : RETRY_MS_MIN);
    snprintf(s->why, sizeof s->why, "no Docker engine answers: %s", why);
    log_limited(settled ? LOG_ERROR : LOG_WARN,
                "no Docker engine answers at %s: %s; nothing is restarted until that is over", s->socket_path,
                why);
}

static void ping_answered(docker_t *s, const engine_answer_t *a)
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

static void look_for_engine(docker_t *s, int64_t now_ms)
{
    if (s->present || s->ping != NULL || now_ms < s->retry_ms)
        return;
    s->ping = engine_ask(s->world.engine, ENGINE_GET, "/_ping", PING_MS, PING);
    if (s->ping == NULL)
        lose(s, "the worker is out of memory", false);
}

/* --- what is under way for tasks --- */

typedef int (*begin_t)(docker_job_t *j, const job_world_t *w, const driver_call_t *call);

static int begin(docker_t *s, const driver_call_t *call, begin_t with)
{
    docker_job_t *job = jobs_reserve(&s->jobs, call->number) == 0 ? malloc(sizeof *job) : NULL;
    const int error = job == NULL ? -ENOMEM : with(job, &s->world, call);
    if (error != 0) {
        free(job);
        return error;
    }
    jobs_set(&s->jobs, call->number, job);
    return 0;
}

static int docker_observe(void *self, const driver_call_t *call)
{
    return begin(self, call, job_observe);
}

static int docker_act(void *self, const driver_call_t *call)
{
    return begin(self, call, job_restart);
}

static int docker_check(void *self, const driver_call_t *call)
{
    return begin(self, call, job_check);
}

static void docker_cancel(void *self, uint32_t number)
{
    docker_t *s = self;
    docker_job_t *job = jobs_get(&s->jobs, number);
    engine_abort(s->world.engine, &job->request);
    jobs_set(&s->jobs, number, NULL);
    free(job);
}

/* What is told may begin the task's next thing. */
static void end_job(docker_t *s, uint32_t number, job_step_t step, job_end_t *e)
{
    driver_told_t told = {.looked = NULL};
    if (e->away && s->present)
        lose(s, e->why, false);
    if (e->away)
        e->looked.ms = e->acted.ms = away_ms(s, clock_ms());
    if (step == JOB_RESTARTS)
        told.acted = &e->acted;
    else if (step == JOB_CHECKS)
        told.unwell = e->well ? "" : e->text;
    else
        told.looked = &e->looked;
    s->tell(s->tell_arg, number, &told);
}

static void answered(void *arg, uint32_t number, const engine_answer_t *answer)
{
    docker_t *s = arg;
    job_end_t e;
    if (number == PING) {
        ping_answered(s, answer);
        return;
    }
    docker_job_t *job = jobs_get(&s->jobs, number);
    if (!job_answered(job, &s->world, answer, &e))
        return;
    const job_step_t step = job->step;
    jobs_set(&s->jobs, number, NULL);
    free(job);
    end_job(s, number, step, &e);
}

static int docker_go_on(void *self, int64_t now_ms, const char **ret_why)
{
    docker_t *s = self;
    look_for_engine(s, now_ms);
    engine_go_on(s->world.engine);
    *ret_why = s->why;
    return s->present ? 0 : away_ms(s, now_ms);
}

static void docker_await(const void *self, worker_wait_t *ret)
{
    const docker_t *s = self;
    const int64_t due_ms = engine_due_ms(s->world.engine);
    const bool retries = !s->present && s->ping == NULL;
    *ret = (worker_wait_t){.fd = engine_fd(s->world.engine),
                           .due_ms = retries && s->retry_ms < due_ms ? s->retry_ms : due_ms};
}

static const driver_t docker_driver = {
    .act_ms = ACT_MS,
    .return_ms = RETURN_MS,
    .open = docker_open,
    .reload = docker_reload,
    .close = docker_close,
    .traits = docker_traits,
    .observe = docker_observe,
    .act = docker_act,
    .check = docker_check,
    .cancel = docker_cancel,
    .go_on = docker_go_on,
    .await = docker_await,
};

static int open_kind(void **ret_self, const config_t *config, bool check, char *why)
{
    return runner_open(ret_self, &docker_driver, config, check, why);
}

const worker_kind_t restart_docker = {
    .name = "restart-docker",
    RUNNER_KIND,
    .summary = "restarts containers by the Docker Engine of this machine",
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = open_kind,
};

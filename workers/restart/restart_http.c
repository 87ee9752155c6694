/* restart-http: has hosts restarted by a server that takes an HTTP request for it, a driver of the runner.
 *
 *   act      the request of --http-url: sent once, with the message's id as its idempotency key
 *   observe  GET --http-observe: the first word of the answer is the host's id, another one after a restart
 *   check    GET --http-health: any 2xx
 *
 * What an answer means is in workers/http/answers.h. Which server is asked stands in the configuration. */
#include "workers/http/answers.h"
#include "workers/http/settings.h"
#include "workers/restart/jobs.h"
#include "workers/restart/runner.h"

#include "common/runtime/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1024, CONNECT_MS_MAX = 3600000, ANSWER_BYTES_MAX = 4096 };

typedef enum { CALL_OBSERVE, CALL_ACT, CALL_CHECK } call_t;

typedef struct {
    http_request_t *request;
    call_t call;
} job_t;

typedef struct {
    http_client_t *client;
    http_headers_t headers;
    http_sort_t sorts[3]; /* by call_t; without a URL there is none */
    bool repeats;
    jobs_t jobs;
    driver_tell_t tell;
    void *arg;
} restart_t;

static const config_option_t options[] = {
    {.name = "http-url",
     .type = CONFIG_TEXT,
     .argument = "URL",
     .help = "restart-http: what restarts a host, with {host}, {instance}, {id}, {try} or {boot_id} in its "
             "path or "
             "query"},
    {.name = "http-method",
     .type = CONFIG_TEXT,
     .fallback = "POST",
     .choices = "POST|PUT|PATCH|DELETE|GET",
     .argument = "METHOD",
     .help = "restart-http: how it is asked for"},
    {.name = "http-header",
     .type = CONFIG_LIST,
     .argument = "HEADER",
     .help = "restart-http: 'Name: value' to send with every request, with the same places",
     .secret = true,
     .whole = true},
    {.name = "http-body",
     .type = CONFIG_TEXT,
     .argument = "TEXT",
     .help =
         "restart-http: what is sent, with the same places; braces themselves are written {{ and }}. JSON "
         "unless a --http-header says another Content-Type",
     .secret = true},
    {.name = "http-token-file",
     .type = CONFIG_TEXT,
     .argument = "PATH",
     .help = "restart-http: a file with a token in its first line, sent as Authorization: Bearer; read at "
             "the start "
             "and at SIGHUP"},
    {.name = "http-ca",
     .type = CONFIG_TEXT,
     .argument = "PATH",
     .help = "restart-http: the certificates that servers' may be signed by (default: the system's)"},
    {.name = "http-connect-timeout",
     .type = CONFIG_DURATION,
     .fallback = "5s",
     .argument = "TIME",
     .min = 1,
     .max = CONNECT_MS_MAX,
     .help = "restart-http: how long a connection may take to be made"},
    {.name = "http-key-header",
     .type = CONFIG_TEXT,
     .fallback = "Idempotency-Key",
     .argument = "NAME",
     .help = "restart-http: the header with the message's id, the same at every try"},
    {.name = "http-idempotent",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "restart-http: the server carries out what has the same id once, however often it is asked"},
    {.name = "http-observe",
     .type = CONFIG_TEXT,
     .argument = "URL",
     .help = "restart-http: what tells a host's id, another one after each restart, and perhaps the seconds "
             "that it "
             "is up: two words"},
    {.name = "http-health",
     .type = CONFIG_TEXT,
     .argument = "URL",
     .help = "restart-http: what answers 2xx when a host is well after its restart"},
};

/* --- options --- */

static int check_urls(const config_t *config, char *why)
{
    const bool observes = config_text(config, "http-observe") != NULL;
    if (config_text(config, "http-url") == NULL) {
        snprintf(why, WHY_BYTES,
                 "restart-http needs --http-url, as in https://fleet.example.org/hosts/{host}/restart");
        return -ERANGE;
    }
    int error = http_url_option(config, "http-url", observes, why);
    if (error == 0 && observes)
        error = http_url_option(config, "http-observe", false, why);
    if (error == 0 && config_text(config, "http-health") != NULL)
        error = http_url_option(config, "http-health", false, why);
    return error;
}

static int check_options(const config_t *config, char *why)
{
    template_form_t form;
    const char *type;
    const bool observes = config_text(config, "http-observe") != NULL;
    const bool get = strcmp(config_text(config, "http-method"), "GET") == 0;
    int error = check_urls(config, why);
    if (error == 0)
        error = http_headers_option(config, "http-header", false, why);
    if (error == 0)
        error = http_header_name_option(config, "http-key-header", "http-header", why);
    if (error == 0 && config_text(config, "http-body") != NULL && get) {
        snprintf(why, WHY_BYTES, "%.80s: a GET has no body", config_origin(config, "http-body"));
        return -ERANGE;
    }
    if (error == 0 && config_text(config, "http-body") != NULL)
        error = http_body_option(config, "http-body", "http-header", observes, &form, &type, why);
    return error;
}

static void read_sorts(restart_t *s, const config_t *config)
{
    char why[WHY_BYTES];
    http_sort_t *act = &s->sorts[CALL_ACT];
    s->headers.count = config_list(config, "http-header", &s->headers.lines);
    s->repeats = config_flag(config, "http-idempotent");
    s->sorts[CALL_OBSERVE] = (http_sort_t){.method = "GET", .url = config_text(config, "http-observe")};
    s->sorts[CALL_CHECK] = (http_sort_t){.method = "GET", .url = config_text(config, "http-health")};
    *act = (http_sort_t){.method = config_text(config, "http-method"),
                         .url = config_text(config, "http-url"),
                         .body = config_text(config, "http-body"),
                         .key_header = config_text(config, "http-key-header"),
                         .once = true};
    if (act->body != NULL)
        http_body_option(config, "http-body", "http-header", true, &act->form, &act->type, why);
}

static int http_reload(void *self, const config_t *config, bool check, char *why)
{
    restart_t *s = self;
    char *token;
    const int error = http_token_option(config, "http-token-file", "http-header", !check, &token, why);
    if (error != 0 || check) {
        free(token);
        return error;
    }
    free(s->headers.token);
    s->headers.token = token;
    return 0;
}

/* --- what comes back --- */

static void look_at(const http_answer_t *a, look_t *ret, char text[static ANSWER_TEXT_BYTES])
{
    const answer_t how = answer_judge(a, text);
    *ret = (look_t){.how = how == ANSWER_REFUSED ? LOOK_REFUSED : LOOK_FAILED, .text = text};
    if (how != ANSWER_GOOD)
        return;
    observation_t *seen = &ret->seen;
    if (answer_words(a, seen->id, sizeof seen->id, &seen->up_ms) == 0 && observation_id_check(seen->id))
        ret->how = LOOK_SEEN;
    else
        snprintf(text, ANSWER_TEXT_BYTES, "the answer to --http-observe begins with no id");
}

static void judge_act(const http_answer_t *a, acted_t *ret, char text[static ANSWER_TEXT_BYTES])
{
    static const struct {
        acted_how_t how;
        outcome_t outcome;
    } acts[] = {
        [ANSWER_GOOD] = {ACTED_DONE, OUTCOME_OK},
        [ANSWER_NOT_TAKEN] = {ACTED_NOT, OUTCOME_TRANSIENT},
        [ANSWER_FAILED] = {ACTED_UNKNOWN, OUTCOME_TRANSIENT},
        [ANSWER_REFUSED] = {ACTED_NOT, OUTCOME_PERMANENT},
    };
    const answer_t how = answer_judge(a, text);
    *ret = (acted_t){.how = acts[how].how, .outcome = acts[how].outcome, .ms = a->retry_ms, .text = text};
}

static void answered(void *arg, uint32_t number, const http_answer_t *a)
{
    const restart_t *s = arg;
    job_t *j = jobs_get(&s->jobs, number);
    char text[ANSWER_TEXT_BYTES];
    look_t looked;
    acted_t acted;
    driver_told_t told = {NULL, NULL, NULL};
    j->request = NULL;
    if (j->call == CALL_OBSERVE) {
        look_at(a, &looked, text);
        told.looked = &looked;
    } else if (j->call == CALL_ACT) {
        judge_act(a, &acted, text);
        told.acted = &acted;
    } else {
        (void)answer_judge(a, text);
        told.unwell = text;
    }
    s->tell(s->arg, number, &told);
}

/* --- the driver --- */

static void http_close(void **self)
{
    restart_t *s = *self;
    if (s == NULL)
        return;
    http_client_destroy(&s->client);
    for (uint32_t n = 0; n < s->jobs.capacity; n++)
        free(jobs_get(&s->jobs, n));
    jobs_done(&s->jobs);
    free(s->headers.token);
    free(s);
    *self = NULL;
}

static int open_client(restart_t *s, const config_t *config, bool check, char *why)
{
    static const char *const urls[] = {"http-url", "http-observe", "http-health"};
    const http_options_t o = {.ca_file = config_text(config, "http-ca"),
                              .connect_ms = config_int(config, "http-connect-timeout"),
                              .body_bytes_max = ANSWER_BYTES_MAX};
    int error = http_client_new(&s->client, &o, answered, s, why);
    for (size_t i = 0; error == 0 && check && i < sizeof urls / sizeof urls[0]; i++)
        if (config_text(config, urls[i]) != NULL)
            error = http_reach_option(s->client, config, urls[i], why);
    return error;
}

static int http_open(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                     char *why)
{
    int error = check_options(config, why);
    if (error != 0)
        return error;
    restart_t *s = calloc(1, sizeof *s);
    void *self = s;
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    s->tell = tell;
    s->arg = arg;
    jobs_init(&s->jobs);
    read_sorts(s, config);
    error = http_reload(s, config, false, why);
    if (error == 0)
        error = open_client(s, config, check, why);
    if (error != 0) {
        http_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

static void http_traits(const void *self, driver_traits_t *ret)
{
    const restart_t *s = self;
    ret->observes = s->sorts[CALL_OBSERVE].url != NULL;
    ret->checks = s->sorts[CALL_CHECK].url != NULL;
    ret->repeats = s->repeats;
}

/* The job of the task, made at its first call and used for the others. */
static job_t *get_job(restart_t *s, uint32_t number)
{
    job_t *j = jobs_get(&s->jobs, number);
    if (j != NULL || jobs_reserve(&s->jobs, number) != 0)
        return j;
    j = calloc(1, sizeof *j);
    jobs_set(&s->jobs, number, j);
    return j;
}

static int begin(void *self, const driver_call_t *c, call_t call)
{
    restart_t *s = self;
    http_subject_t subject;
    job_t *j = get_job(s, c->number);
    if (j == NULL)
        return -ENOMEM;
    http_subject(&subject, c->task->id, c->task->try_no, &c->task->body);
    subject.values.boot_id = (template_value_t){c->observed, strlen(c->observed)};
    j->call = call;
    return http_ask_for(s->client, &s->sorts[call], &s->headers, &subject, c->until_ms, c->number,
                        &j->request);
}

static int http_observe(void *self, const driver_call_t *call)
{
    return begin(self, call, CALL_OBSERVE);
}

static int http_act(void *self, const driver_call_t *call)
{
    return begin(self, call, CALL_ACT);
}

static int http_check(void *self, const driver_call_t *call)
{
    return begin(self, call, CALL_CHECK);
}

static void http_cancel(void *self, uint32_t number)
{
    restart_t *s = self;
    job_t *j = jobs_get(&s->jobs, number);
    http_abort(s->client, &j->request);
}

static int restart_go_on(void *self, int64_t now_ms, const char **ret_why)
{
    const restart_t *s = self;
    (void)now_ms, (void)ret_why;
    http_go_on(s->client);
    return 0;
}

static void http_await(const void *self, worker_wait_t *ret)
{
    const restart_t *s = self;
    *ret = (worker_wait_t){.fd = http_fd(s->client), .due_ms = http_due_ms(s->client)};
}

static const driver_t http_driver = {
    .open = http_open,
    .reload = http_reload,
    .close = http_close,
    .traits = http_traits,
    .observe = http_observe,
    .act = http_act,
    .check = http_check,
    .cancel = http_cancel,
    .go_on = restart_go_on,
    .await = http_await,
};

static int restart_open(void **ret_self, const config_t *config, bool check, char *why)
{
    return runner_open(ret_self, &http_driver, config, check, why);
}

const worker_kind_t restart_http = {
    RUNNER_KIND,
    .name = "restart-http",
    .summary = "has hosts restarted by a server that is asked over HTTP",
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = restart_open,
};

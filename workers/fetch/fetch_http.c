/* fetch-http: GETs a URL for each message and tells what became of it. It looks and changes nothing, so it is
 * asked as often as it takes. */
#include "workers/http/answers.h"
#include "workers/http/settings.h"
#include "workers/worker.h"

#include "common/runtime/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 64,
    FETCHES_MIN = 64,
    BLOCKED_MS = 1000, /* for want of memory */
    TIMES_MS_MAX = 3600000,
    ANSWER_BYTES_MAX = 1 << 20,
};

typedef struct {
    const worker_task_t *task; /* NULL: not at work */
    http_request_t *request;
} fetch_t;

typedef struct {
    http_client_t *client;
    http_headers_t headers;
    http_sort_t sort;
    int64_t timeout_ms;
    fetch_t *fetches; /* by number of task */
    uint32_t capacity;
    worker_sink_t *sink; /* while go_on() is at it */
} fetcher_t;

static const config_option_t options[] = {
    {.name = "fetch-url",
     .type = CONFIG_TEXT,
     .argument = "URL",
     .help = "fetch-http: what is fetched, with {host}, {instance}, {id} or {try} in its path or query"},
    {.name = "fetch-header",
     .type = CONFIG_LIST,
     .argument = "HEADER",
     .help = "fetch-http: 'Name: value' to send, with the same places",
     .secret = true,
     .whole = true},
    {.name = "fetch-token-file",
     .type = CONFIG_TEXT,
     .argument = "PATH",
     .help = "fetch-http: a file with a token in its first line, sent as Authorization: Bearer; read at the "
             "start "
             "and at SIGHUP"},
    {.name = "fetch-ca",
     .type = CONFIG_TEXT,
     .argument = "PATH",
     .help = "fetch-http: the certificates that servers' may be signed by (default: the system's)"},
    {.name = "fetch-connect-timeout",
     .type = CONFIG_DURATION,
     .fallback = "5s",
     .argument = "TIME",
     .min = 1,
     .max = TIMES_MS_MAX,
     .help = "fetch-http: how long a connection may take to be made"},
    {.name = "fetch-timeout",
     .type = CONFIG_DURATION,
     .fallback = "20s",
     .argument = "TIME",
     .min = 1,
     .max = TIMES_MS_MAX,
     .help = "fetch-http: how long all of a fetch may take"},
};

static int fetch_reload(void *self, const config_t *config, bool check, char *why)
{
    fetcher_t *f = self;
    char *token;
    const int error = http_token_option(config, "fetch-token-file", "fetch-header", !check, &token, why);
    if (error != 0 || check) {
        free(token);
        return error;
    }
    free(f->headers.token);
    f->headers.token = token;
    return 0;
}

static void fetch_close(void **self)
{
    fetcher_t *f = *self;
    if (f == NULL)
        return;
    http_client_destroy(&f->client);
    free(f->headers.token);
    free(f->fetches);
    free(f);
    *self = NULL;
}

static int check_options(const config_t *config, char *why)
{
    if (config_text(config, "fetch-url") == NULL) {
        snprintf(why, WHY_BYTES, "fetch-http needs --fetch-url, as in https://www.example.org/{host}");
        return -ERANGE;
    }
    const int error = http_url_option(config, "fetch-url", false, why);
    return error != 0 ? error : http_headers_option(config, "fetch-header", false, why);
}

static void fetched(void *arg, uint32_t number, const http_answer_t *a);

static int open_fetcher(fetcher_t *f, const config_t *config, bool check, char *why)
{
    const http_options_t o = {.ca_file = config_text(config, "fetch-ca"),
                              .connect_ms = config_int(config, "fetch-connect-timeout"),
                              .body_bytes_max = ANSWER_BYTES_MAX};
    f->sort = (http_sort_t){.method = "GET", .url = config_text(config, "fetch-url")};
    f->headers.count = config_list(config, "fetch-header", &f->headers.lines);
    f->timeout_ms = config_int(config, "fetch-timeout");
    f->capacity = FETCHES_MIN;
    f->fetches = calloc(FETCHES_MIN, sizeof *f->fetches);
    if (f->fetches == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    int error = fetch_reload(f, config, false, why);
    if (error == 0)
        error = http_client_new(&f->client, &o, fetched, f, why);
    if (error == 0 && check)
        error = http_reach_option(f->client, config, "fetch-url", why);
    return error;
}

static int fetch_open(void **ret_self, const config_t *config, bool check, char *why)
{
    int error = check_options(config, why);
    if (error != 0)
        return error;
    fetcher_t *f = calloc(1, sizeof *f);
    void *self = f;
    if (f == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    error = open_fetcher(f, config, check, why);
    if (error != 0) {
        fetch_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

static void fetched(void *arg, uint32_t number, const http_answer_t *a)
{
    fetcher_t *f = arg;
    const worker_task_t *task = f->fetches[number].task;
    char text[ANSWER_TEXT_BYTES], said[64];
    const answer_t how = answer_judge(a, text);
    f->fetches[number] = (fetch_t){NULL, NULL};
    if (how == ANSWER_GOOD) {
        snprintf(said, sizeof said, "%d, %s%zu bytes", a->status, a->cut ? "more than " : "", a->len);
        worker_say(f->sink, "Fetched", task, said);
        worker_ok_because(f->sink, number, said);
        return;
    }
    worker_say(f->sink, "Not fetched:", task, text);
    worker_fail(f->sink, number, how == ANSWER_REFUSED ? OUTCOME_PERMANENT : OUTCOME_TRANSIENT,
                how == ANSWER_REFUSED ? 0 : a->retry_ms, text);
}

static int reserve(fetcher_t *f, uint32_t number)
{
    uint32_t capacity = f->capacity;
    if (number < capacity)
        return 0;
    while (capacity <= number)
        capacity *= 2;
    fetch_t *fetches = realloc(f->fetches, capacity * sizeof *fetches);
    if (fetches == NULL)
        return -ENOMEM;
    memset(fetches + f->capacity, 0, (capacity - f->capacity) * sizeof *fetches);
    f->fetches = fetches;
    f->capacity = capacity;
    return 0;
}

static void fetch_start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    fetcher_t *f = self;
    http_subject_t subject;
    http_request_t *request = NULL;
    http_subject(&subject, task->id, task->try_no, &task->body);
    int error = reserve(f, task->number);
    if (error == 0)
        error = http_ask_for(f->client, &f->sort, &f->headers, &subject, now_ms + f->timeout_ms, task->number,
                             &request);
    if (error == -EINVAL)
        worker_fail(sink, task->number, OUTCOME_PERMANENT, 0, "its host makes no URL of --fetch-url");
    else if (error != 0)
        worker_fail(sink, task->number, OUTCOME_BLOCKED, BLOCKED_MS, "the worker is out of memory");
    else
        f->fetches[task->number] = (fetch_t){task, request};
}

static int fetch_go_on(void *self, int64_t now_ms, worker_sink_t *sink)
{
    fetcher_t *f = self;
    (void)now_ms;
    f->sink = sink;
    http_go_on(f->client);
    return 0;
}

static void fetch_await(const void *self, worker_wait_t *ret)
{
    const fetcher_t *f = self;
    *ret = (worker_wait_t){.fd = http_fd(f->client), .due_ms = http_due_ms(f->client)};
}

static void fetch_cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    fetcher_t *f = self;
    http_abort(f->client, &f->fetches[number].request);
    f->fetches[number].task = NULL;
    worker_fail(sink, number, OUTCOME_TRANSIENT, 0, "");
}

const worker_kind_t fetch_http = {
    .name = "fetch-http",
    .leg = "fetch",
    .summary = "fetches a URL for each message",
    .executor = EXECUTOR_LOOP,
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = fetch_open,
    .reload = fetch_reload,
    .close = fetch_close,
    .start = fetch_start,
    .go_on = fetch_go_on,
    .await = fetch_await,
    .cancel = fetch_cancel,
};

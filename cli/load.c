/* `mandrill load`: many made-up messages to a running publisher, over its client endpoint as everybody's, and
 * the wait until the pipeline behind it has done them. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/load_report.h"
#include "cli/publish_client.h"
#include "common/runtime/body_line.h"
#include "common/runtime/clock.h"
#include "common/runtime/progress.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    ASK_EVERY_MS = 200,
    ASK_ANEW_MS = 3000,
    CONNECT_MS = 10, /* how often it is looked whether a new socket is connected */
    SIZE_MAX_BYTES = BODY_BYTES_MAX / 2,
    NAME_TEXT = 32,
};

static const config_option_t options[] = {
    {.name = "count",
     .type = CONFIG_INT,
     .fallback = "100000",
     .argument = "N",
     .min = 1,
     .max = INT64_C(1) << 40,
     .help = "messages to publish"},
    {.name = "rate",
     .type = CONFIG_REAL,
     .argument = "R",
     .min = 0,
     .max = 100000000,
     .help = "messages a second (default: as fast as they are confirmed)"},
    {.name = "size",
     .type = CONFIG_SIZE,
     .fallback = "0",
     .argument = "B",
     .max = SIZE_MAX_BYTES,
     .help = "bytes of an attribute that makes each message larger"},
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "where the publisher serves clients"},
    {.name = "timeout",
     .type = CONFIG_DURATION,
     .fallback = "60s",
     .argument = "TIME",
     .help = "give up when nothing moves for so long: no confirm, or no ack",
     .min = 1000,
     .max = 86400000},
    {.name = "journal",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write a line \"ID HOST\" for each message that is confirmed"},
    {.name = "json", .type = CONFIG_FLAG, .help = "print the report as JSON"},
    {.name = "progress",
     .type = CONFIG_FLAG,
     .fallback = "true",
     .help = "a bar on a terminal, else a line each 5 s"},
};

static const config_program_t program = {
    .name = "mandrill load",
    .section = "load",
    .summary =
        "Publishes made-up messages to a running publisher and waits until all of them are acked. Prints one "
        "line, or with --json {\"count\",\"confirmed\",\"refused\",\"acked\",\"dead\",\"seconds\","
        "\"rate\",\"confirm_ms\":{\"p50\",\"p99\",\"max\"}}. Letters that die meanwhile count as its own. "
        "Exit status 0: all are acked, 1: not, 2: usage.",
    .arguments = "[options]",
    .examples = "  mandrill load --count 100000\n"
                "  mandrill load --count 100000 --rate 2000 --clients tcp://publisher:5557 --json\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

typedef struct {
    publish_client_t *client;
    const char *endpoint;
    ask_t *ask;
    FILE *journal; /* NULL: none */
    buffer_t body;
    uint64_t run; /* in the names: no run has those of another */
    char pad[SIZE_MAX_BYTES + 1];
    uint64_t sent;
    double rate;
    int64_t timeout_ms, start_ms, asked_ms, answered_ms, moved_ms;
    progress_t progress;
    bool show;
    load_watch_t watch;
    load_result_t result;
} load_run_t;

static int tell(const char *what, const char *why)
{
    fprintf(stderr, "mandrill load: %s: %s\n", what, why);
    return EXIT_FAILED;
}

/* --- the publisher's status --- */

/* As far as can be told: what is in the outbox may be others'. */
static uint64_t count_done(const load_run_t *l)
{
    const uint64_t confirmed = l->result.confirmed, left = (uint64_t)(l->watch.backlog + l->watch.dead);
    return confirmed > left ? confirmed - left : 0;
}

/* By another socket, to which no answer comes that the old one was owed. False: the old one stays. */
static bool ask_anew(load_run_t *l, int64_t now_ms)
{
    char why[WHY_BYTES];
    ask_t *fresh;
    l->answered_ms = now_ms;
    if (ask_open(&fresh, l->endpoint, why) < 0)
        return false;
    ask_close(&l->ask);
    l->ask = fresh;
    l->asked_ms = now_ms - ASK_EVERY_MS;
    return true;
}

static void look(load_run_t *l)
{
    const int64_t now_ms = clock_ms();
    /* When nobody answers: the name may have another address by now. */
    if (now_ms - l->answered_ms >= ASK_ANEW_MS)
        ask_anew(l, now_ms);
    if (now_ms - l->asked_ms >= ASK_EVERY_MS && ask_send(l->ask) == 0)
        l->asked_ms = now_ms;
    json_t *status = ask_take(l->ask);
    if (status) {
        l->answered_ms = now_ms;
        if (load_watch_report(&l->watch, status))
            l->moved_ms = now_ms;
        json_decref(status);
    }
    if (l->show)
        progress_show(&l->progress, l->result.confirmed, count_done(l), (uint64_t)l->watch.dead, now_ms,
                      false);
}

static void look_and_wait(load_run_t *l)
{
    zmq_pollitem_t item = {.socket = ask_socket(l->ask), .events = ZMQ_POLLIN};
    const int64_t left_ms = l->asked_ms + ASK_EVERY_MS - clock_ms();
    zmq_poll(&item, 1, left_ms > CONNECT_MS ? (long)left_ms : CONNECT_MS);
    look(l);
}

/* How many are dead already must be known before there are more. */
static bool await_first_status(load_run_t *l)
{
    const int64_t end_ms = clock_ms() + l->timeout_ms;
    while (l->watch.dead_before < 0 && clock_ms() < end_ms)
        look_and_wait(l);
    return l->watch.dead_before >= 0;
}

/* --- publishing --- */

static void make_name(const load_run_t *l, uint64_t nth, char name[static NAME_TEXT])
{
    snprintf(name, NAME_TEXT, "load-%08" PRIx64 "-%" PRIu64, l->run & UINT32_MAX, nth);
}

static int add(load_run_t *l, uint64_t nth)
{
    char name[NAME_TEXT], why[WHY_BYTES], line[SIZE_MAX_BYTES + 64];
    make_name(l, nth, name);
    int len = l->pad[0] ? snprintf(line, sizeof(line), "{\"instance\":\"%s\",\"pad\":\"%s\"}", name, l->pad)
                        : snprintf(line, sizeof(line), "%s", name);
    buffer_clear(&l->body);
    int r = body_from_line(line, (size_t)len, &l->body, NULL, why);
    if (r == 0)
        publish_client_add(l->client, l->body.data, l->body.len);
    return r;
}

static void write_journal(const load_run_t *l, uint64_t first, uint32_t n, const confirm_t *confirm,
                          const refusal_t *refusals, int refused)
{
    uint64_t stored = 0;
    int next = 0;
    for (uint32_t place = 0; place < n && stored < confirm->stored; place++) {
        char id[MESSAGE_ID_TEXT], name[NAME_TEXT];
        if (next < refused && refusals[next].place == place) {
            next++;
            continue;
        }
        message_id_format((message_id_t){confirm->first.stream, confirm->first.seq + stored++}, id);
        make_name(l, first + place, name);
        fprintf(l->journal, "%s %s\n", id, name);
    }
}

static int publish_batch(load_run_t *l, uint64_t most)
{
    char why[WHY_BYTES];
    confirm_t confirm;
    const refusal_t *refusals;
    int refused;
    uint32_t n = 0;
    publish_client_begin(l->client);
    while (n < most && n < RECORDS_MAX && !publish_client_full(l->client)) {
        if (add(l, l->sent + n) < 0)
            return tell("a message", "out of memory");
        n++;
    }
    const int64_t before_us = clock_us();
    if (publish_client_send(l->client, &confirm, &refusals, &refused, why) < 0)
        return tell("not confirmed", why);
    histogram_add(&l->result.confirms, clock_us() - before_us);
    const message_id_t last = {confirm.first.stream, confirm.first.seq + confirm.stored - 1};
    if (confirm.stored > 0)
        load_watch_confirmed(&l->watch, confirm.first.seq > 0 ? last : (message_id_t){0, 0});
    if (l->journal && confirm.first.seq > 0)
        write_journal(l, l->sent, n, &confirm, refusals, refused);
    l->sent += n;
    l->result.confirmed += confirm.stored;
    l->result.refused += (uint64_t)refused;
    l->moved_ms = clock_ms();
    return EXIT_OK;
}

/* How many are to be sent now. */
static uint64_t due(const load_run_t *l)
{
    uint64_t left = l->result.count - l->sent;
    if (l->rate <= 0)
        return left;
    const int64_t passed_ms = clock_ms() - l->start_ms;
    const double by_rate = (double)passed_ms * l->rate / 1000 + 1;
    const uint64_t so_far = by_rate < (double)l->result.count ? (uint64_t)by_rate : l->result.count;
    const uint64_t n = so_far > l->sent ? so_far - l->sent : 0;
    return n < left ? n : left;
}

static int publish_all(load_run_t *l)
{
    while (l->sent < l->result.count) {
        const uint64_t n = due(l);
        int exit_status = n > 0 ? publish_batch(l, n) : EXIT_OK;
        if (exit_status != EXIT_OK)
            return exit_status;
        look(l);
        if (l->rate > 0)
            poll(NULL, 0, 1);
    }
    return EXIT_OK;
}

static int await_acks(load_run_t *l)
{
    l->watch.settled = false;
    l->moved_ms = clock_ms();
    /* A status that was asked for before the last confirm may know nothing of it and tell of an empty outbox.
     */
    while (!ask_anew(l, clock_ms()) && clock_ms() - l->moved_ms < l->timeout_ms)
        poll(NULL, 0, ASK_EVERY_MS);
    while (!l->watch.settled && clock_ms() - l->moved_ms < l->timeout_ms)
        look_and_wait(l);
    return l->watch.settled ? EXIT_OK
                            : tell("not acked", "nothing has moved for --timeout; they stay in the outbox");
}

/* --- the end --- */

static void fill_result(load_run_t *l, bool settled)
{
    load_result_t *r = &l->result;
    const uint64_t died = (uint64_t)l->watch.dead;
    r->dead = died < r->confirmed ? died : r->confirmed;
    r->acked = settled ? r->confirmed - r->dead : count_done(l);
    r->seconds = (double)(clock_ms() - l->start_ms) / 1000;
    if (l->show)
        progress_show(&l->progress, r->confirmed, r->acked, r->dead, clock_ms(), true);
}

static int print(const load_run_t *l, bool as_json)
{
    char *json = as_json ? load_result_json(&l->result) : NULL;
    if (as_json && json)
        printf("%s\n", json);
    else if (!as_json)
        load_result_text(&l->result, stdout);
    free(json);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

static int run_load(load_run_t *l, bool as_json)
{
    if (!await_first_status(l))
        return tell("not begun", "no publisher answers within --timeout");
    l->start_ms = l->moved_ms = clock_ms();
    progress_init(&l->progress, l->result.count, l->start_ms);
    int exit_status = publish_all(l);
    if (exit_status == EXIT_OK)
        exit_status = await_acks(l);
    fill_result(l, exit_status == EXIT_OK);
    if (print(l, as_json) != EXIT_OK || l->result.acked < l->result.count)
        exit_status = EXIT_FAILED;
    if (l->journal && fflush(l->journal) != 0)
        exit_status = tell("the journal can't be written", strerror(errno));
    return exit_status;
}

static int open_load(load_run_t *l, const config_t *config)
{
    char why[WHY_BYTES];
    const char *journal = config_text(config, "journal");
    l->endpoint = config_text(config, "clients");
    l->answered_ms = clock_ms();
    if (journal && !(l->journal = fopen(journal, "we")))
        return tell(journal, strerror(errno));
    if (ask_open(&l->ask, l->endpoint, why) < 0 ||
        publish_client_open(&l->client, l->endpoint, l->timeout_ms, why) < 0)
        return tell("no way to the publisher", why);
    return EXIT_OK;
}

static int run_checked(const config_t *config)
{
    load_run_t *l = calloc(1, sizeof(*l));
    if (!l)
        return tell("not begun", "out of memory");
    buffer_init(&l->body);
    load_watch_init(&l->watch);
    histogram_init(&l->result.confirms);
    l->run = clock_random_id();
    l->result.count = (uint64_t)config_int(config, "count");
    l->rate = config_given(config, "rate") ? config_real(config, "rate") : 0;
    l->timeout_ms = config_int(config, "timeout");
    l->show = config_flag(config, "progress");
    memset(l->pad, 'x', (size_t)config_int(config, "size"));
    int exit_status = open_load(l, config);
    if (exit_status == EXIT_OK)
        exit_status = run_load(l, config_flag(config, "json"));
    publish_client_close(&l->client);
    ask_close(&l->ask);
    if (l->journal && fclose(l->journal) != 0)
        exit_status = tell("the journal can't be written", strerror(errno));
    buffer_done(&l->body);
    free(l);
    return exit_status;
}

int command_load(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    char why[WHY_BYTES];
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    exit_status = EXIT_OK;
    if (endpoint_check(config_text(config, "clients"), why) < 0)
        exit_status = command_usage(&program, "%s: %s", config_origin(config, "clients"), why);
    if (exit_status == EXIT_OK && r == CONFIG_RUN)
        exit_status = run_checked(config);
    config_destroy(&config);
    return exit_status;
}

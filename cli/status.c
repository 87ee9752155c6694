/* `mandrill status`: asks the publisher and the consumers, all at once. */
#include "cli/announced.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/status_table.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { ANSWER_MS = 2000, REPEAT_MS = 100 };

#define DEFAULT_CLIENTS "tcp://127.0.0.1:5557"

static const config_option_t options[] = {
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = DEFAULT_CLIENTS,
     .argument = "EP",
     .help = "where the publisher serves clients"},
    {.name = "control",
     .type = CONFIG_LIST,
     .fallback = "tcp://127.0.0.1:5558",
     .argument = "EP",
     .help =
         "the control endpoint of a consumer, a name stands for all its addresses; with another --clients "
         "than the default none is asked unless it is given"},
    {.name = "json", .type = CONFIG_FLAG, .help = "print {\"publisher\":{...},\"consumers\":[{...}]}"},
    {.name = "data",
     .type = CONFIG_TEXT,
     .argument = "DIR",
     .help = "of this directory: all parts of the `mandrill up` that runs over it, or its idle outbox"},
};

static const config_program_t program = {
    .name = "mandrill status",
    .section = "status",
    .summary = "Shows what a running pipeline holds: the publisher's backlog, each consumer's messages "
               "in flight, workers and their credit by leg, rates. A side that does not answer within 2 s is "
               "named, and the exit status is 1.",
    .arguments = "[options]",
    .examples = "  mandrill status\n"
                "  mandrill status --json | jq .publisher.backlog\n"
                "  mandrill status --data mandrill-data        all consumers of an `up`, or an idle outbox\n"
                "\n"
                "Keys of --json (dots are nesting; what they mean: docs/ARCHITECTURE.md):\n"
                "  publisher   role version uptime_ms draining session epoch published acked backlog dead\n"
                "              dead_at_start died redriven purged resolved noted oldest_age_ms oldest_epoch\n"
                "              oldest_seq outbox_bytes outbox_max_bytes outbox_full ready leased parked "
                "limbo suspects window\n"
                "              window_max ready_max parked_max parked_on_disk consumers credit extended\n"
                "              redelivered sessions.N.{name,window,outstanding,given}\n"
                "              rate.published rate.acked legs.LEG.done load.position load.total stalls\n"
                "              refused.{malformed,unknown,limit,parts,endless,body,full}\n"
                "  consumers[] role version uptime_ms draining held reporting window window_max\n"
                "              publishers.connected workers.LEG.{count,kind,window,outstanding,waiting,\n"
                "              running,backing_off,done,bad,retries} consumed acked dead released extended\n"
                "              workers.LEG.each.N.{name,window,outstanding,given} late\n"
                "              rate.consumed rate.acked stalls\n"
                "              refused.{malformed,unknown,limit,parts,endless,messages}\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

enum { CONTROLS_MAX = 64, SIDES_MAX = 1 + CONTROLS_MAX, ADDRESS_MAX = 128 };

/* One side that is asked. */
typedef struct {
    const char *name;
    const char *endpoint;
    ask_t *ask;
    json_t *report;
    bool failed; /* told */
} side_t;

/* The publisher first. */
typedef struct {
    side_t sides[SIDES_MAX];
    size_t count;
    char addresses[CONTROLS_MAX][ADDRESS_MAX]; /* of the sides behind one name */
    size_t addresses_count;
    announced_t up;
    const char *data_dir;
    const char *dead_command;
    bool as_json;
} status_t;

static void open_sides(status_t *s)
{
    for (size_t i = 0; i < s->count; i++) {
        char why[WHY_BYTES];
        side_t *side = &s->sides[i];
        if (ask_open(&side->ask, side->endpoint, why) == 0)
            continue;
        fprintf(stderr, "mandrill status: the %s can't be asked: %s\n", side->name, why);
        side->failed = true;
    }
}

static bool is_open(const side_t *side)
{
    return !side->failed && !side->report;
}

/* Asks all that have not answered; how many those are. A question that finds no connection yet is lost, so it
 * is asked again. */
static int ask_open_sides(status_t *s, zmq_pollitem_t *items)
{
    int n = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!is_open(&s->sides[i]))
            continue;
        ask_send(s->sides[i].ask);
        items[n++] = (zmq_pollitem_t){.socket = ask_socket(s->sides[i].ask), .events = ZMQ_POLLIN};
    }
    return n;
}

static void ask_sides(status_t *s)
{
    zmq_pollitem_t items[SIDES_MAX];
    int64_t end_ms = clock_ms() + ANSWER_MS;
    int n;
    while ((n = ask_open_sides(s, items)) > 0 && clock_ms() < end_ms) {
        zmq_poll(items, n, REPEAT_MS);
        for (size_t i = 0; i < s->count; i++) {
            if (is_open(&s->sides[i]))
                s->sides[i].report = ask_take(s->sides[i].ask);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (is_open(&s->sides[i]))
            fprintf(stderr, "mandrill status: no %s answers at %s\n", s->sides[i].name, s->sides[i].endpoint);
    }
}

static void print_json(const status_t *s)
{
    json_t *all = json_object();
    json_t *consumers = json_array();
    if (s->sides[0].report)
        json_object_set(all, "publisher", s->sides[0].report);
    for (size_t i = 1; i < s->count; i++) {
        if (s->sides[i].report)
            json_array_append(consumers, s->sides[i].report);
    }
    json_object_set_new(all, "consumers", consumers);
    json_dumpf(all, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    json_decref(all);
}

static int print(const status_t *s)
{
    const json_t *consumers[CONTROLS_MAX];
    const char *endpoints[CONTROLS_MAX];
    for (size_t i = 1; i < s->count; i++) {
        consumers[i - 1] = s->sides[i].report;
        endpoints[i - 1] = s->sides[i].endpoint;
    }
    const status_view_t view = {.publisher = s->sides[0].report,
                                .consumers = consumers,
                                .endpoints = endpoints,
                                .consumers_count = s->count - 1,
                                .dead_command = s->dead_command};
    if (s->as_json)
        print_json(s);
    else
        status_table(stdout, &view);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

/* A name stands for all its addresses: a service that runs several times. Who has none is told of when it is
 * asked. */
static void spread_names(status_t *s)
{
    side_t given[SIDES_MAX];
    const size_t n = s->count;
    memcpy(given, s->sides, sizeof(given));
    s->count = 1;
    for (size_t i = 1; i < n; i++) {
        char(*found)[ADDRESS_MAX] = s->addresses + s->addresses_count;
        char why[WHY_BYTES];
        const size_t room = CONTROLS_MAX - s->addresses_count;
        int count = room > 0 ? endpoint_resolve(given[i].endpoint, found, (int)room, why) : 0;
        if (count < 2) {
            if (s->count < SIDES_MAX)
                s->sides[s->count++] = given[i];
            continue;
        }
        s->addresses_count += (size_t)count;
        for (int k = 0; k < count && s->count < SIDES_MAX; k++)
            s->sides[s->count++] = (side_t){.name = given[i].name, .endpoint = found[k]};
    }
}

static int ask_running(status_t *s)
{
    spread_names(s);
    open_sides(s);
    ask_sides(s);
    int exit_status = print(s);
    for (size_t i = 0; i < s->count; i++) {
        if (!s->sides[i].report)
            exit_status = EXIT_FAILED;
    }
    return exit_status;
}

/* Of a directory: who has announced himself there, else the outbox. */
static int look_into(status_t *s)
{
    announced_read(&s->up, s->data_dir);
    if (s->up.clients[0]) {
        s->sides[0].endpoint = s->up.clients;
        for (size_t i = 0; i < s->up.consumers; i++)
            s->sides[1 + i] = (side_t){.name = "consumer", .endpoint = s->up.controls[i]};
        s->count = 1 + s->up.consumers;
        return ask_running(s);
    }
    s->sides[0].report = inspect_outbox(s->data_dir);
    s->count = 1;
    return s->sides[0].report ? print(s) : EXIT_FAILED;
}

static int read_sides(status_t *s, const config_t *config)
{
    char why[WHY_BYTES];
    const char *const *controls;
    size_t n = config_list(config, "control", &controls);
    if (n > CONTROLS_MAX)
        return command_usage(&program, "--control: more than %d", CONTROLS_MAX);
    s->sides[0] = (side_t){.name = "publisher", .endpoint = config_text(config, "clients")};
    /* The consumer on the default port is another publisher's, if there is one. */
    if (!config_given(config, "control") && strcmp(s->sides[0].endpoint, DEFAULT_CLIENTS) != 0)
        n = 0;
    for (size_t i = 0; i < n; i++)
        s->sides[1 + i] = (side_t){.name = "consumer", .endpoint = controls[i]};
    s->count = 1 + n;
    for (size_t i = 0; i < s->count; i++) {
        if (endpoint_check(s->sides[i].endpoint, why) < 0)
            return command_usage(&program, "%s: %s", config_origin(config, i == 0 ? "clients" : "control"),
                                 why);
    }
    return EXIT_OK;
}

/* How its dead letters are asked for: as this was called. */
static void dead_command(char *text, size_t size, const config_t *config)
{
    const char *const flag = config_text(config, "data") ? "data" : "clients";
    if (config_given(config, flag))
        snprintf(text, size, "mandrill dead list --%s %s", flag, config_text(config, flag));
    else
        snprintf(text, size, "mandrill dead list");
}

int command_status(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    char dead[512];
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    dead_command(dead, sizeof(dead), config);
    status_t status = {.data_dir = config_text(config, "data"),
                       .as_json = config_flag(config, "json"),
                       .dead_command = dead};
    exit_status = read_sides(&status, config);
    if (exit_status == EXIT_OK && r == CONFIG_RUN)
        exit_status = status.data_dir ? look_into(&status) : ask_running(&status);
    for (size_t i = 0; i < SIDES_MAX; i++) {
        ask_close(&status.sides[i].ask);
        json_decref(status.sides[i].report);
    }
    config_destroy(&config);
    return exit_status;
}

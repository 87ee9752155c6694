/* `mandrill status`: asks the publisher and the consumer, both at once. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/status_table.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

enum { ANSWER_MS = 2000, REPEAT_MS = 100 };

static const config_option_t options[] = {
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "where the publisher serves clients"},
    {.name = "control",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5558",
     .argument = "EP",
     .help = "the control endpoint of the consumer"},
    {.name = "json", .type = CONFIG_FLAG, .help = "print {\"publisher\":{...},\"consumer\":{...}}"},
    {.name = "data",
     .type = CONFIG_TEXT,
     .argument = "DIR",
     .help = "look into the idle outbox of this directory instead"},
};

static const config_program_t program = {
    .name = "mandrill status",
    .section = "status",
    .summary = "Shows what a running pipeline holds: the publisher's backlog, the consumer's messages in "
               "flight, workers and their credit by leg, rates. A side that does not answer within 2 s is "
               "named, and the exit status is 1.",
    .arguments = "[options]",
    .examples =
        "  mandrill status\n"
        "  mandrill status --json | jq .publisher.backlog\n"
        "  mandrill status --data mandrill-data        what an outbox holds while nobody runs over it\n"
        "\n"
        "Keys of --json (dots are nesting; what they mean: docs/ARCHITECTURE.md):\n"
        "  publisher   role version uptime_ms draining session epoch published acked backlog dead\n"
        "              dead_at_start oldest_age_ms outbox_bytes outbox_max_bytes ready leased\n"
        "              parked limbo window window_max consumers credit extended redelivered\n"
        "              rate.published rate.acked legs.LEG.done load.position load.total stalls\n"
        "              refused.{malformed,unknown,limit,parts,endless,body,full}\n"
        "  consumer    role version uptime_ms draining held reporting window window_max\n"
        "              publishers.connected workers.LEG.{count,kind,window,outstanding,waiting,\n"
        "              running,backing_off,done,bad,retries} consumed acked dead released extended\n"
        "              late rate.consumed rate.acked stalls\n"
        "              refused.{malformed,unknown,limit,parts,endless,messages}\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

/* One side that is asked. */
typedef struct {
    const char *name;
    const char *option;
    const char *endpoint;
    ask_t *ask;
    json_t *report;
    bool failed; /* told */
} side_t;

enum { SIDES = 2 };

static void open_sides(side_t *sides)
{
    for (int i = 0; i < SIDES; i++) {
        char why[WHY_BYTES];
        if (ask_open(&sides[i].ask, sides[i].endpoint, why) == 0)
            continue;
        fprintf(stderr, "mandrill status: the %s can't be asked: %s\n", sides[i].name, why);
        sides[i].failed = true;
    }
}

static bool is_open(const side_t *side)
{
    return !side->failed && !side->report;
}

/* A question that finds no connection yet is lost, so it is asked again. */
static void ask_sides(side_t *sides)
{
    int64_t end_ms = clock_ms() + ANSWER_MS;
    while ((is_open(&sides[0]) || is_open(&sides[1])) && clock_ms() < end_ms) {
        zmq_pollitem_t items[SIDES];
        int n = 0;
        for (int i = 0; i < SIDES; i++) {
            if (!is_open(&sides[i]))
                continue;
            ask_send(sides[i].ask);
            items[n++] = (zmq_pollitem_t){.socket = ask_socket(sides[i].ask), .events = ZMQ_POLLIN};
        }
        zmq_poll(items, n, REPEAT_MS);
        for (int i = 0; i < SIDES; i++) {
            if (is_open(&sides[i]))
                sides[i].report = ask_take(sides[i].ask);
        }
    }
    for (int i = 0; i < SIDES; i++) {
        if (is_open(&sides[i]))
            fprintf(stderr, "mandrill status: no %s answers at %s\n", sides[i].name, sides[i].endpoint);
    }
}

static int print(const side_t *sides, bool as_json)
{
    if (!as_json) {
        status_table(stdout, sides[0].report, sides[1].report);
    } else {
        json_t *both = json_object();
        for (int i = 0; i < SIDES; i++) {
            if (sides[i].report)
                json_object_set(both, sides[i].name, sides[i].report);
        }
        json_dumpf(both, stdout, JSON_COMPACT);
        fputc('\n', stdout);
        json_decref(both);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

static int ask_running(side_t *sides, bool as_json)
{
    open_sides(sides);
    ask_sides(sides);
    int exit_status = print(sides, as_json);
    return sides[0].report && sides[1].report ? exit_status : EXIT_FAILED;
}

static int look_into(side_t *sides, const char *data_dir, bool as_json)
{
    sides[0].report = inspect_outbox(data_dir);
    return sides[0].report ? print(sides, as_json) : EXIT_FAILED;
}

int command_status(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    side_t sides[SIDES] = {{.name = "publisher", .option = "clients"},
                           {.name = "consumer", .option = "control"}};
    const char *data_dir = config_text(config, "data");
    bool as_json = config_flag(config, "json");
    exit_status = EXIT_OK;
    for (int i = 0; i < SIDES && exit_status == EXIT_OK; i++) {
        char why[WHY_BYTES];
        sides[i].endpoint = config_text(config, sides[i].option);
        if (endpoint_check(sides[i].endpoint, why) < 0)
            exit_status = command_usage(&program, "%s: %s", config_origin(config, sides[i].option), why);
    }
    if (exit_status == EXIT_OK && r == CONFIG_RUN)
        exit_status = data_dir ? look_into(sides, data_dir, as_json) : ask_running(sides, as_json);
    for (int i = 0; i < SIDES; i++) {
        ask_close(&sides[i].ask);
        json_decref(sides[i].report);
    }
    config_destroy(&config);
    return exit_status;
}

#include "cli/up_config.h"
#include "cli/command.h"
#include "cli/store.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PUBLISHERS_MAX = 32 };

static const config_option_t options[] = {
    {.name = "count",
     .type = CONFIG_INT,
     .argument = "N",
     .help = "publish N messages, finish them and end; 0: publish none, only serve clients (default: publish "
             "until Ctrl-C)"},
    {.name = "rate",
     .type = CONFIG_TEXT,
     .argument = "R",
     .help = "messages a second, or \"random\": one after a random wait of up to a second (default random; "
             "with --count as fast as possible)"},
    STORE_OPTIONS("save workers; several need --postgres; 0: you start one elsewhere", 0),
    {.name = "restart",
     .type = CONFIG_INT,
     .fallback = "2",
     .argument = "N",
     .help = "restart workers; 0: you start them elsewhere",
     .max = WORKERS_MAX},
    {.name = "consumers",
     .type = CONFIG_INT,
     .fallback = "1",
     .argument = "N",
     .help = "consumers",
     .min = 1,
     .max = CONSUMERS_MAX},
    {.name = "slots",
     .type = CONFIG_INT,
     .fallback = "64",
     .argument = "N",
     .help = "tasks at once in each restart worker",
     .min = 1,
     .max = 65536},
    {.name = "data",
     .type = CONFIG_TEXT,
     .fallback = "mandrill-data",
     .argument = "DIR",
     .help = "where the outbox and the saved rows are kept"},
    {.name = "simulate",
     .type = CONFIG_TEXT,
     .fallback = "0..1000",
     .argument = "MIN..MAX",
     .help = "how many ms a simulated restart takes"},
    {.name = "fail",
     .type = CONFIG_TEXT,
     .fallback = "0",
     .argument = "RATE",
     .help = "share of simulated restarts that fail, 0 to 1"},
    {.name = "transport",
     .type = CONFIG_TEXT,
     .fallback = "tcp",
     .argument = "T",
     .help = "how the programs talk: over the default ports, or sockets in DIR/run",
     .choices = "tcp|ipc"},
    {.name = "publisher",
     .type = CONFIG_LIST,
     .argument = "EP",
     .help = "take messages from this publisher, too"},
    {.name = "domain",
     .type = CONFIG_TEXT,
     .fallback = "example.net",
     .argument = "NAME",
     .help = "what is added to a name without a dot"},
    {.name = "ack-deadline",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "a message that is not acked or extended for so long is delivered again"},
    {.name = "drain-timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "how long Ctrl-C waits for what is at work"},
    {.name = "log-messages",
     .type = CONFIG_FLAG,
     .fallback = "true",
     .help = "a line for each message: consumed, saved, restarted, acked"},
};

const config_program_t up_program = {
    .name = "mandrill up",
    .section = "up",
    .summary = "Runs the whole pipeline on this machine: a publisher, consumers, save and restart workers. "
               "Restarts the ones that crash. Ctrl-C finishes what is at work, a second Ctrl-C ends at once; "
               "what is not finished stays on disk, and the next run over the same data goes on with it.",
    .arguments = "[options]",
    .examples =
        "  mandrill up                                publish at random moments until Ctrl-C\n"
        "  mandrill up --count 1000 --simulate 0..50  1000 messages, then a summary; exit 0: all acked\n"
        "  mandrill up --count 0                      serve clients (see: mandrill publish --help)\n"
        "  mandrill up --fail 0.1 --restart 4         one restart in ten fails, four workers\n"
        "  mandrill up --postgres postgresql://mandrill@db/requests --save 2\n"
        "                                             two workers save into PostgreSQL\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

/* Flags that a part gets as they were given to us. */
static void pass_on(args_t *args, const config_t *config, const char *name)
{
    if (!config_text(config, name))
        return;
    args_add(args, "--%s", name);
    args_add(args, "%s", config_text(config, name));
}

static void fill_common(up_settings_t *s, const config_t *config)
{
    for (part_t part = 0; part < PARTS; part++) {
        args_t *args = &s->pipeline.more[part];
        pass_on(args, config, "config");
        pass_on(args, config, "log-level");
        args_add(args, config_flag(config, "log-messages") ? "--log-messages" : "--no-log-messages");
    }
}

static void fill_publisher(up_settings_t *s, const config_t *config)
{
    args_t *args = &s->pipeline.more[PART_PUBLISHER];
    pass_on(args, config, "domain");
    pass_on(args, config, "ack-deadline");
    args_add(args, "--no-progress");
    if (!s->load)
        return;
    args_add(args, "--await-consumer");
    args_add(args, "--load");
    if (s->finite) {
        args_add(args, "%" PRIu64, s->count);
        /* A crashed publisher goes on where it was; the next run begins anew. */
        args_add(args, "--load-id");
        args_add(args, "up-%016" PRIx64, clock_random_id());
    } else {
        args_add(args, "forever");
    }
    if (config_text(config, "rate") || !s->finite) {
        args_add(args, "--rate");
        args_add(args, "%s", config_text(config, "rate") ? config_text(config, "rate") : "random");
    }
}

static int fill_consumer(up_settings_t *s, const config_t *config)
{
    const char *const *publishers;
    size_t n = config_list(config, "publisher", &publishers);
    if (n > PUBLISHERS_MAX)
        return command_usage(&up_program, "--publisher: more than %d", PUBLISHERS_MAX);
    for (size_t i = 0; i < n; i++) {
        char why[WHY_BYTES];
        if (endpoint_check(publishers[i], why) < 0)
            return command_usage(&up_program, "%s: %s", config_origin(config, "publisher"), why);
        args_add(&s->pipeline.more[PART_CONSUMER], "--publisher");
        args_add(&s->pipeline.more[PART_CONSUMER], "%s", publishers[i]);
    }
    return EXIT_OK;
}

static void fill_workers(up_settings_t *s, const config_t *config)
{
    args_t *args = &s->pipeline.more[PART_RESTART];
    pass_on(args, config, "simulate");
    pass_on(args, config, "fail");
    pass_on(args, config, "slots");
}

static int check(const config_t *config)
{
    double rate;
    const char *text = config_text(config, "rate");
    if (text && strcmp(text, "random") != 0 && (config_parse_real(text, &rate) < 0 || rate <= 0))
        return command_usage(&up_program, "%s: \"%s\" is neither a number above 0 nor \"random\"",
                             config_origin(config, "rate"), text);
    return EXIT_OK;
}

int up_settings_init(up_settings_t *s, const config_t *config)
{
    *s = (up_settings_t){.data_dir = config_text(config, "data")};
    s->count = config_text(config, "count") ? (uint64_t)config_int(config, "count") : 0;
    s->finite = s->count > 0;
    s->load = s->finite || !config_text(config, "count");
    size_t size = strlen(s->data_dir) + sizeof("/run");
    s->run_dir = malloc(size);
    if (!s->run_dir)
        return command_usage(&up_program, "out of memory");
    snprintf(s->run_dir, size, "%s/run", s->data_dir);
    pipeline_settings_t *p = &s->pipeline;
    p->data_dir = s->data_dir;
    p->run_dir = s->run_dir;
    p->ipc = strcmp(config_text(config, "transport"), "ipc") == 0;
    p->default_ports = true;
    p->restart_crashed = true;
    p->drain_ms = config_int(config, "drain-timeout");
    p->counts[PART_PUBLISHER] = 1;
    p->counts[PART_CONSUMER] = (uint32_t)config_int(config, "consumers");
    p->counts[PART_RESTART] = (uint32_t)config_int(config, "restart");
    fill_common(s, config);
    fill_publisher(s, config);
    fill_workers(s, config);
    int exit_status = check(config);
    if (exit_status == EXIT_OK)
        exit_status = store_choose(p, &up_program, config);
    return exit_status == EXIT_OK ? fill_consumer(s, config) : exit_status;
}

void up_settings_done(up_settings_t *s)
{
    for (part_t part = 0; part < PARTS; part++)
        args_done(&s->pipeline.more[part]);
    free(s->run_dir);
    s->run_dir = NULL;
}

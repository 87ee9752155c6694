#include "consumer/options.h"
#include "common/core/utf8.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SECOND_MS = 1000, HOUR_MS = 3600000 };

static const config_option_t options[] = {
    {.name = "publisher",
     .type = CONFIG_LIST,
     .fallback = "tcp://127.0.0.1:5555",
     .argument = "ENDPOINT",
     .help = "a publisher to take messages from; a name stands for all its addresses"},
    {.name = "listen",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5556",
     .argument = "ENDPOINT",
     .help = "where workers connect"},
    {.name = "control",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5558",
     .argument = "ENDPOINT",
     .help = "where mandrill status asks"},
    {.name = "window-max",
     .type = CONFIG_INT,
     .fallback = "16384",
     .argument = "N",
     .min = 1,
     .max = WINDOW_MAX,
     .help = "most messages held at once, of all publishers together",
     .reloads = true},
    {.name = "batch",
     .type = CONFIG_INT,
     .fallback = "1024",
     .argument = "N",
     .min = 1,
     .max = RECORDS_MAX,
     .help = "most records of a frame, and messages held beyond what the workers take"},
    {.name = "extend",
     .type = CONFIG_DURATION,
     .fallback = "3s",
     .argument = "TIME",
     .min = 1,
     .max = DURATION_MS_MAX,
     .help = "how far a message's deadline is moved while it is worked on",
     .reloads = true},
    {.name = "extend-every",
     .type = CONFIG_DURATION,
     .fallback = "2s",
     .argument = "TIME",
     .min = 1,
     .max = HOUR_MS,
     .help = "how often it is moved, less than --extend; more often when the ack deadline is short for it",
     .reloads = true},
    {.name = "report-after",
     .type = CONFIG_DURATION,
     .fallback = "100ms",
     .argument = "TIME",
     .max = HOUR_MS,
     .help = "a leg that is done is reported then, though others are not",
     .reloads = true},
    {.name = "max-tries",
     .type = CONFIG_INT,
     .fallback = "5",
     .argument = "N",
     .min = 1,
     .max = TRIES_MAX,
     .help = "tries of a task that fails before its leg has ended badly",
     .key = "LEG",
     .reloads = true},
    {.name = "backoff",
     .type = CONFIG_DURATION,
     .fallback = "200ms",
     .argument = "TIME",
     .max = HOUR_MS,
     .help = "longest wait before the second try",
     .key = "LEG",
     .reloads = true},
    {.name = "backoff-factor",
     .type = CONFIG_REAL,
     .fallback = "2",
     .argument = "X",
     .min = 1,
     .max = 100,
     .help = "how much longer before each further one",
     .key = "LEG",
     .reloads = true},
    {.name = "backoff-max",
     .type = CONFIG_DURATION,
     .fallback = "30s",
     .argument = "TIME",
     .max = HOUR_MS,
     .help = "longest wait of all, not less than --backoff",
     .key = "LEG",
     .reloads = true},
    {.name = "limit",
     .type = CONFIG_DURATION,
     .fallback = "30s",
     .argument = "TIME",
     .min = 1,
     .max = HOUR_MS - 2,
     .help = "a worker cancels a task that is at work for longer",
     .key = "LEG",
     .reloads = true},
    /* Below the publishers' lease cap, an hour: else the lease would be lost before the try. */
    {.name = "limit-hard",
     .type = CONFIG_DURATION,
     .fallback = "60s",
     .argument = "TIME",
     .min = 2,
     .max = HOUR_MS - 1,
     .help = "a try without a result after this time has failed",
     .key = "LEG",
     .reloads = true},
    {.name = "release-after",
     .type = CONFIG_DURATION,
     .fallback = "1s",
     .argument = "TIME",
     .min = 1,
     .max = HOUR_MS,
     .help = "a message whose tasks all wait for longer goes back to its publisher meanwhile",
     .reloads = true},
    {.name = "drain-timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "how long to finish what is at work after SIGTERM",
     .reloads = true},
    {.name = "name",
     .type = CONFIG_TEXT,
     .argument = "LABEL",
     .help = "what publishers call this consumer in their logs (default HOST:PID)"},
    {.name = "report",
     .type = CONFIG_TEXT,
     .fallback = "text",
     .choices = "text|json|none",
     .help = "what to tell at the end"},
    {.name = "announce", .type = CONFIG_TEXT, .argument = "FILE", .help = "write the real endpoints here"},
    {.name = "health-file",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write a sign of life here each second, for mandrill health"},
    {.name = "log-messages",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "log lines for each message",
     .reloads = true},
};

const config_program_t consumer_program = {
    .name = "mandrill-consumer",
    .section = "consumer",
    .summary = "Takes messages from publishers, has every leg done by workers, and reports back.",
    .arguments = "[options]",
    .examples = "  mandrill-consumer\n"
                "  mandrill-consumer --publisher tcp://10.0.0.5:5555 --publisher tcp://10.0.0.6:5555\n"
                "  mandrill-consumer --publisher tcp://publisher:5555 --listen 'tcp://*:5556'\n"
                "  mandrill-consumer --max-tries 5 --max-tries restart=3 --limit restart=2m --limit-hard "
                "restart=5m\n",
    .options = options,
    .options_count = sizeof options / sizeof options[0],
};

static int check_endpoint(const config_t *c, const char *name, const char *endpoint)
{
    char why[WHY_BYTES];
    int error = endpoint_check(endpoint, why);
    return error != 0 ? config_refuse(c, name, why) : 0;
}

static int check_name(const config_t *c, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    char why[WHY_BYTES];
    if (len <= LABEL_BYTES_MAX && (len == 0 || utf8_prefix(name, len) == len))
        return 0;
    snprintf(why, sizeof why, "a name is UTF-8 of at most %d bytes", LABEL_BYTES_MAX);
    return config_refuse(c, "name", why);
}

/* A lease of which less is given back than has passed meanwhile runs out, however long it was. */
static int check_extensions(const config_t *c, const gather_limits_t *limits)
{
    if (limits->extend_every_ms < limits->extend_ms)
        return 0;
    return policies_contradict(c, "", "extend-every", limits->extend_every_ms, "not less than", "extend",
                               limits->extend_ms);
}

int options_read(const config_t *c, consumer_options_t *ret)
{
    consumer_options_t o = {
        .listen = config_text(c, "listen"),
        .control = config_text(c, "control"),
        .announce = config_text(c, "announce"),
        .health = config_text(c, "health-file"),
        .report = config_text(c, "report"),
        .name = config_text(c, "name"),
        .window_max = (uint32_t)config_int(c, "window-max"),
        .batch = (uint32_t)config_int(c, "batch"),
        .drain_ms = config_int(c, "drain-timeout"),
        .log_messages = config_flag(c, "log-messages"),
        .gather = {.extend_ms = config_int(c, "extend"),
                   .extend_every_ms = config_int(c, "extend-every"),
                   .report_after_ms = config_int(c, "report-after"),
                   .release_after_ms = config_int(c, "release-after"),
                   .seed = clock_random_id()},
    };
    /* A window that became smaller takes nothing back, and one whose last step is not answered yet is held
     * beyond the publisher's count: room for as much again. */
    o.gather.messages_max = 2 * o.window_max;
    o.publishers_count = config_list(c, "publisher", &o.publishers);
    int error = policies_read(c, &o.policies);
    o.gather.policy = o.policies.others;
    if (error == 0)
        error = check_extensions(c, &o.gather);
    if (error == 0)
        error = check_name(c, o.name);
    if (error == 0)
        error = check_endpoint(c, "listen", o.listen);
    if (error == 0)
        error = check_endpoint(c, "control", o.control);
    for (size_t i = 0; error == 0 && i < o.publishers_count; i++)
        error = check_endpoint(c, "publisher", o.publishers[i]);
    if (error != 0)
        return -EINVAL;
    *ret = o;
    return 0;
}

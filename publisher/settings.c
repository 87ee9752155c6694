#include "publisher/settings.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const config_option_t options[] = {
    {.name = "listen",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5555",
     .argument = "EP",
     .help = "where consumers connect"},
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "where clients publish and ask for the status"},
    {.name = "outbox",
     .type = CONFIG_TEXT,
     .fallback = "mandrill-data/outbox.db",
     .argument = "FILE",
     .help = "keeps each message until it is acked"},
    {.name = "legs",
     .type = CONFIG_LIST,
     .fallback = "save,restart",
     .argument = "NAME",
     .help = "what is to be done with each new message"},
    {.name = "domain",
     .type = CONFIG_TEXT,
     .fallback = "example.net",
     .argument = "NAME",
     .help = "makes a host of an instance"},
    {.name = "load",
     .type = CONFIG_TEXT,
     .argument = "N|forever",
     .help = "publish so many messages for cattle-xxxx"},
    {.name = "rate",
     .type = CONFIG_TEXT,
     .argument = "R|random",
     .help =
         "of the load: R a second, or a random wait of up to a second before each; without it as fast as it "
         "goes",
     .reloads = true},
    {.name = "size",
     .type = CONFIG_SIZE,
     .fallback = "0",
     .argument = "BYTES",
     .max = BODY_BYTES_MAX,
     .help = "of the load's bodies; 0: as small as they are"},
    {.name = "load-id",
     .type = CONFIG_TEXT,
     .argument = "ID",
     .help = "keep the position of --load or --from FILE under this name: started again, it goes on there"},
    {.name = "await-consumer",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "--load or --from begins when a consumer is there that takes messages"},
    {.name = "from",
     .type = CONFIG_TEXT,
     .argument = "FILE|-",
     .help = "publish for each line: an instance, a host, or a JSON object with either and attributes"},
    {.name = "stay",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "go on serving clients when --load or --from is done"},
    {.name = "report",
     .type = CONFIG_TEXT,
     .fallback = "text",
     .argument = "KIND",
     .choices = "text|json|none",
     .help = "at the end, on standard output"},
    {.name = "progress",
     .type = CONFIG_FLAG,
     .fallback = "true",
     .help = "a bar on a terminal for a finite load, else a line each 5 s"},
    {.name = "announce",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write there the endpoints once they are bound"},
    {.name = "health-file",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write a sign of life here each second, for mandrill health"},
    {.name = "ack-deadline",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .min = 10,
     .max = DURATION_MS_MAX,
     .help = "a message that is not acked or extended so long is delivered again"},
    {.name = "lease-cap",
     .type = CONFIG_DURATION,
     .fallback = "1h",
     .argument = "TIME",
     .max = DURATION_MS_MAX,
     .help = "a delivery is not extended for longer in total"},
    {.name = "max-deliveries",
     .type = CONFIG_INT,
     .fallback = "5",
     .argument = "N",
     .min = 1,
     .max = UINT32_MAX - 1,
     .help = "a message dies with its Nth lost lease: it becomes a dead letter",
     .reloads = true},
    {.name = "batch",
     .type = CONFIG_INT,
     .fallback = "1024",
     .argument = "N",
     .min = 1,
     .max = RECORDS_MAX,
     .help = "messages in one frame to a consumer, and of a load in one commit"},
    {.name = "window-max",
     .type = CONFIG_INT,
     .fallback = "262144",
     .argument = "N",
     .min = 16,
     .max = 1 << 24,
     .help = "messages in memory"},
    {.name = "ready-max",
     .type = CONFIG_INT,
     .fallback = "16384",
     .argument = "N",
     .min = 1,
     .max = 1 << 24,
     .help = "of them waiting for a consumer"},
    {.name = "outbox-max",
     .type = CONFIG_SIZE,
     .fallback = "10G",
     .argument = "BYTES",
     .min = 1 << 20,
     .max = INT64_MAX,
     .help = "clients are refused and loads wait when the outbox has this size",
     .reloads = true},
    {.name = "drain-timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .max = DURATION_MS_MAX,
     .help = "after a signal, wait so long for what is out",
     .reloads = true},
    {.name = "inspect",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "only print what the outbox holds, as JSON; no publisher may run over it"},
    {.name = "maintain",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help =
         "only serve clients the outbox's dead letters, until it is stopped; no publisher may run over it"},
    {.name = "log-messages",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "a log line for each message",
     .reloads = true},
};

const config_program_t publisher_program = {
    .name = "mandrill-publisher",
    .section = "publisher",
    .summary = "Keeps messages on disk and delivers each to a consumer until it is acked.",
    .arguments = "[options]",
    .examples = "  mandrill-publisher                                serve clients until it is stopped\n"
                "  mandrill-publisher --load 100000 --rate 5000      publish a load and wait for the acks\n"
                "  printf 'web-1\\nweb-2\\n' | mandrill-publisher --from -\n"
                "  mandrill-publisher --from hosts.txt --load-id monday --stay\n",
    .options = options,
    .options_count = sizeof options / sizeof options[0],
};

/* On the command line it is a mistake; in a file that several programs share it is not meant for us. */
static bool is_flag(const config_t *c, const char *name)
{
    return config_given(c, name) && strncmp(config_origin(c, name), "--", 2) == 0;
}

static int read_load(settings_t *s, const config_t *c)
{
    const char *load = config_text(c, "load"), *rate = config_text(c, "rate");
    int64_t n;
    if (load && strcmp(load, "forever") == 0)
        s->load = LOAD_FOREVER;
    else if (load && (config_parse_int(load, &n) < 0 || n < 1))
        return config_refuse(c, "load", "expected a number of messages from 1, or forever");
    else if (load)
        s->load = (uint64_t)n;
    if (rate && strcmp(rate, "random") == 0)
        s->rate_random = true;
    else if (rate && (config_parse_real(rate, &s->rate) < 0 || !(s->rate > 0 && s->rate <= 1e9)))
        return config_refuse(c, "rate", "expected messages a second (above 0), or random");
    if (!load && is_flag(c, "rate"))
        return config_refuse(c, "rate", "goes with --load only");
    if (!load && is_flag(c, "size"))
        return config_refuse(c, "size", "goes with --load only");
    return 0;
}

static int read_from(settings_t *s, const config_t *c)
{
    s->from = config_text(c, "from");
    s->load_id = config_text(c, "load-id");
    if (s->from && s->load > 0)
        return config_refuse(c, "from", "--load and --from do not go together");
    if (!s->load_id)
        return 0;
    if (!s->from && s->load == 0)
        return config_refuse(c, "load-id", "goes with --load or --from FILE");
    if (s->from && strcmp(s->from, "-") == 0)
        return config_refuse(c, "load-id", "standard input cannot be read again: no position is kept for it");
    if (strlen(s->load_id) < 1 || strlen(s->load_id) > 200)
        return config_refuse(c, "load-id", "expected 1 to 200 bytes");
    return 0;
}

/* The largest attribute "pad" with which a load's body has at most `size` bytes; 0: there is none. */
static size_t fit_pad(const char *domain, size_t size, buffer_t *body)
{
    static const int64_t now_ms = INT64_C(1) << 40; /* takes as many bytes as any day of our time */
    char why[WHY_BYTES];
    size_t low = 0, high = size;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        buffer_clear(body);
        if (body_make("cattle-0000", 11, domain, now_ms, middle, body, why) == 0 && body->len <= size)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int read_size(settings_t *s, const config_t *c)
{
    char why[WHY_BYTES];
    size_t size = (size_t)config_int(c, "size");
    buffer_t body;
    int r = 0;

    buffer_init(&body);
    /* Also the check of the domain: the host must not get too long. */
    if (body_make("cattle-0000", 11, s->domain, clock_wall_ms(), 1, &body, why) < 0) {
        r = config_refuse(c, "domain", why);
    } else if (size > 0) {
        snprintf(why, sizeof why, "a body with this domain takes %zu bytes at least", body.len);
        s->pad = fit_pad(s->domain, size, &body);
        if (s->pad == 0)
            r = config_refuse(c, "size", why);
    }
    buffer_done(&body);
    return r;
}

static int read_endpoints(settings_t *s, const config_t *c)
{
    char why[WHY_BYTES];
    s->listen = config_text(c, "listen");
    s->clients = config_text(c, "clients");
    if (endpoint_check(s->listen, why) < 0)
        return config_refuse(c, "listen", why);
    return endpoint_check(s->clients, why) < 0 ? config_refuse(c, "clients", why) : 0;
}

static int read_legs(settings_t *s, const config_t *c)
{
    char why[WHY_BYTES];
    s->legs_count = config_list(c, "legs", &s->legs);
    if (s->legs_count < 1 || s->legs_count > LEGS_MAX)
        return config_refuse(c, "legs", "expected 1 to 8 names");
    for (size_t i = 0; i < s->legs_count; i++) {
        for (size_t k = 0; k < i; k++)
            if (strcmp(s->legs[i], s->legs[k]) == 0)
                return config_refuse(c, "legs", "a name stands twice");
        if (name_check(s->legs[i], strlen(s->legs[i])) < 0) {
            char shown[64];
            snprintf(why, sizeof why, "\"%s\" is no name of a leg: [a-z][a-z0-9-]{0,31}",
                     text_escape(s->legs[i], strlen(s->legs[i]), shown, sizeof shown));
            return config_refuse(c, "legs", why);
        }
    }
    return 0;
}

static int read_idle(const config_t *c)
{
    static const char *const others[] = {"inspect", "load", "from", "stay"};
    for (size_t i = 0; config_flag(c, "maintain") && i < sizeof others / sizeof others[0]; i++)
        if (is_flag(c, others[i]))
            return config_refuse(c, others[i], "does not go with --maintain");
    return 0;
}

int settings_read(settings_t *ret, const config_t *c)
{
    static const char *const kinds[] = {"text", "json", "none"};
    settings_t s = {
        .outbox = config_text(c, "outbox"),
        .domain = config_text(c, "domain"),
        .announce = config_text(c, "announce"),
        .health = config_text(c, "health-file"),
        .stay = config_flag(c, "stay"),
        .await_consumer = config_flag(c, "await-consumer"),
        .limits =
            {
                .table_max = (uint32_t)config_int(c, "window-max"),
                .ready_max = (uint32_t)config_int(c, "ready-max"),
                .ready_bytes_max = READY_BYTES_MAX,
                .ack_deadline_ms = config_int(c, "ack-deadline"),
                .lease_cap_ms = config_int(c, "lease-cap"),
                .max_deliveries = (uint32_t)config_int(c, "max-deliveries"),
                .parked_max = (uint32_t)config_int(c, "window-max") / 2,
            },
        .batch = (uint32_t)config_int(c, "batch"),
        .outbox_max = config_int(c, "outbox-max"),
        .drain_ms = config_int(c, "drain-timeout"),
        .progress = config_flag(c, "progress"),
        .log_messages = config_flag(c, "log-messages"),
    };
    while (s.report < REPORT_NONE && strcmp(kinds[s.report], config_text(c, "report")) != 0)
        s.report++;
    int r = read_endpoints(&s, c);
    if (r == 0)
        r = read_legs(&s, c);
    if (r == 0)
        r = read_load(&s, c);
    if (r == 0)
        r = read_from(&s, c);
    if (r == 0)
        r = read_size(&s, c);
    if (r == 0)
        r = read_idle(c);
    if (r == 0)
        *ret = s;
    return r;
}

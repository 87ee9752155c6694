/* `mandrill dead`: the words, and what they mean. */
#include "cli/dead.h"
#include "cli/command.h"
#include "common/core/message.h"
#include "common/runtime/wire.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 65536 };
#define RATE_NONE 1e9 /* letters a second: as fast as it goes */

static const config_option_t options[] = {
    {.name = "host",
     .type = CONFIG_TEXT,
     .argument = "GLOB",
     .help = "only letters of such hosts, domain included: 'web-*', 'db-?.example.org'"},
    {.name = "reason",
     .type = CONFIG_TEXT,
     .argument = "GLOB",
     .help = "only letters with such a reason: '*timeout*'"},
    {.name = "older-than",
     .type = CONFIG_DURATION,
     .fallback = "0",
     .argument = "TIME",
     .help = "only letters that died at least so long ago"},
    {.name = "newer-than",
     .type = CONFIG_DURATION,
     .fallback = "0",
     .argument = "TIME",
     .help = "only letters that died at most so long ago; 0: any"},
    {.name = "limit",
     .type = CONFIG_INT,
     .argument = "N",
     .help = "no more than N letters",
     .min = 1,
     .max = INT64_MAX},
    {.name = "leg",
     .type = CONFIG_TEXT,
     .argument = "NAME",
     .help = "done: only this leg, and letters of which it has ended badly (default: all that have)"},
    {.name = "dry-run", .type = CONFIG_FLAG, .help = "redrive, purge, done: only list what would be done"},
    {.name = "yes", .type = CONFIG_FLAG, .help = "redrive, purge, done: do not ask"},
    {.name = "rate",
     .type = CONFIG_REAL,
     .argument = "R",
     .help = "redrive, purge, done: letters a second (default: redrive 100, others as fast as it goes)",
     .min = 0,
     .max = 1000000000,
     .own_variable = true},
    {.name = "json",
     .type = CONFIG_FLAG,
     .help = "list, show: an object for each letter, in a line each; redrive, purge, done: one object with "
             "counts"},
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "where the publisher serves clients"},
    {.name = "data",
     .type = CONFIG_TEXT,
     .argument = "DIR",
     .help = "look into the outbox of this directory, idle or of a running `mandrill up`"},
    {.name = "timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "how long to wait for an answer",
     .min = 1,
     .max = 86400000},
};

static const config_program_t program = {
    .name = "mandrill dead",
    .section = "dead",
    .summary =
        "Dead letters: messages of which a leg has failed for good, or that cost too many consumers their "
        "lives. "
        "They stay in the publisher's outbox, with the history of every try, until they are redriven "
        "(tried again from the start, but for legs that are done), purged (deleted), or done: legs that have "
        "ended "
        "badly were done after all, as somebody has seen who has looked. Without IDs "
        "and filters, list, redrive, purge and done mean all. More than one, or all, is asked for on a "
        "terminal; "
        "without one, --yes has to say so. Exit status 0: done, 1: failed, stopped, or an ID is no "
        "dead letter, 2: usage.",
    .arguments = "list|show|redrive|purge|done [options] [ID...]",
    .examples =
        "  mandrill dead list --host 'web-*' --newer-than 1h\n"
        "  mandrill dead show 5d1e9a0c44f3b210-42\n"
        "  mandrill dead redrive --reason '*timeout*' --dry-run\n"
        "  mandrill dead redrive --reason '*timeout*' --rate 20\n"
        "  mandrill dead purge --older-than 90d --yes\n"
        "  mandrill dead list --reason 'unknown:*'      nobody can tell whether it was done: look, then\n"
        "  mandrill dead done --leg restart 5d1e9a0c44f3b210-42\n"
        "  mandrill dead list --data mandrill-data     while nobody runs over it\n"
        "  mandrill dead list --json | jq -r 'select(.legs.save == \"done\") | .id' |\n"
        "      xargs -r mandrill dead redrive --yes\n"
        "\n"
        "LOST in the list are deliveries whose consumer was lost with them.\n"
        "Keys of --json (times in ms since 1970):\n"
        "  id host published_at attributes died_at reason deliveries legs.LEG (done, bad, open)\n"
        "  history[]: outcome started_at took_ms text, and of a try leg try worker, of the message\n"
        "  delivery consumer; where earlier ones are left out: outcome events\n"
        "  redrive, purge, done: act found done gone unanswered\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .arguments_max = ARGUMENTS_MAX,
};

static const char *const words[DEAD_WORDS] = {
    [DEAD_LIST] = "list",   [DEAD_SHOW] = "show", [DEAD_REDRIVE] = "redrive",
    [DEAD_PURGE] = "purge", [DEAD_DONE] = "done",
};

static int read_word(dead_settings_t *s, const char *word)
{
    char shown[64];
    for (s->word = 0; s->word < DEAD_WORDS; s->word++) {
        if (strcmp(word, words[s->word]) == 0)
            return EXIT_OK;
    }
    text_escape(word, strlen(word), shown, sizeof(shown));
    const char *near = config_nearest_word(word, words, DEAD_WORDS);
    if (near)
        return command_usage(&program, "unknown command \"%s\"; did you mean \"%s\"?", shown, near);
    return command_usage(&program, "unknown command \"%s\": expected list, show, redrive, purge or done",
                         shown);
}

static int read_ids(dead_settings_t *s, const char *const *texts, size_t n)
{
    char shown[64];
    if (s->word == DEAD_SHOW && n == 0)
        return command_usage(&program, "show: which one? `mandrill dead list` has their IDs");
    s->ids = n > 0 ? calloc(n, sizeof(*s->ids)) : NULL;
    if (n > 0 && !s->ids)
        return command_usage(&program, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (message_id_parse(texts[i], &s->ids[i]) < 0)
            return command_usage(&program, "\"%s\" is no ID: expected 16 hex digits, -, a number",
                                 text_escape(texts[i], strlen(texts[i]), shown, sizeof(shown)));
    }
    s->ids_count = n;
    return EXIT_OK;
}

static int read_glob(const config_t *config, const char *name, size_t max, text_t *ret)
{
    const char *text = config_text(config, name);
    size_t len = text ? strlen(text) : 0;
    if (len > max)
        return command_usage(&program, "%s: longer than %zu bytes", config_origin(config, name), max);
    if (text && len == 0)
        return command_usage(&program, "%s: an empty pattern; '*' is any", config_origin(config, name));
    *ret = (text_t){.bytes = text, .len = (uint32_t)len};
    return EXIT_OK;
}

static int read_filter(dead_settings_t *s, const config_t *config)
{
    s->filter.older_ms = (uint64_t)config_int(config, "older-than");
    s->filter.newer_ms = (uint64_t)config_int(config, "newer-than");
    int exit_status = read_glob(config, "host", HOST_BYTES_MAX, &s->filter.host);
    if (exit_status == EXIT_OK)
        exit_status = read_glob(config, "reason", TEXT_BYTES_MAX, &s->filter.reason);
    if (exit_status == EXIT_OK && s->filter.newer_ms > 0 && s->filter.older_ms >= s->filter.newer_ms)
        exit_status = command_usage(
            &program, "%s: nothing is older than %" PRIu64 " ms and newer than %" PRIu64 " ms (--newer-than)",
            config_origin(config, "older-than"), s->filter.older_ms, s->filter.newer_ms);
    s->filtered = s->filter.host.len > 0 || s->filter.reason.len > 0 || s->filter.older_ms > 0 ||
                  s->filter.newer_ms > 0;
    return exit_status;
}

static int read_rate(dead_settings_t *s, const config_t *config)
{
    s->rate = s->word == DEAD_REDRIVE ? 100 : RATE_NONE;
    if (!config_text(config, "rate")) {
        s->bulk = s->word == DEAD_PURGE && !s->ids && s->limit == UINT64_MAX;
        return EXIT_OK;
    }
    s->rate = config_real(config, "rate");
    return s->rate > 0 ? EXIT_OK
                       : command_usage(&program, "%s: must be above 0", config_origin(config, "rate"));
}

static int read_leg(dead_settings_t *s, const config_t *config)
{
    char shown[128];
    s->leg = config_text(config, "leg");
    if (!s->leg)
        return EXIT_OK;
    if (s->word != DEAD_DONE)
        return command_usage(&program, "%s: only done is said of a leg", config_origin(config, "leg"));
    return name_check(s->leg, strlen(s->leg)) == 0
               ? EXIT_OK
               : command_usage(&program, "%s: \"%s\" is no name of a leg, such as save or restart",
                               config_origin(config, "leg"),
                               text_escape(s->leg, strlen(s->leg), shown, sizeof(shown)));
}

static int read_settings(dead_settings_t *s, const config_t *config)
{
    char why[WHY_BYTES];
    const char *const *arguments;
    size_t n = config_arguments(config, &arguments);
    if (n == 0)
        return command_usage(&program, "what is to be done? list, show, redrive, purge or done");
    *s = (dead_settings_t){
        .limit = config_text(config, "limit") ? (uint64_t)config_int(config, "limit") : UINT64_MAX,
        .dry_run = config_flag(config, "dry-run"),
        .yes = config_flag(config, "yes"),
        .json = config_flag(config, "json"),
        .endpoint = config_text(config, "clients"),
        .data_dir = config_text(config, "data"),
        .timeout_ms = config_int(config, "timeout"),
    };
    int exit_status = read_word(s, arguments[0]);
    if (exit_status == EXIT_OK)
        exit_status = read_ids(s, arguments + 1, n - 1);
    if (exit_status == EXIT_OK)
        exit_status = read_filter(s, config);
    if (exit_status == EXIT_OK)
        exit_status = read_rate(s, config);
    if (exit_status == EXIT_OK)
        exit_status = read_leg(s, config);
    if (exit_status == EXIT_OK && endpoint_check(s->endpoint, why) < 0)
        exit_status = command_usage(&program, "%s: %s", config_origin(config, "clients"), why);
    return exit_status;
}

static int run(const dead_settings_t *s)
{
    dead_link_t link;
    uint64_t shown;
    int exit_status = EXIT_FAILED;
    if (dead_link_open(&link, s) == 0)
        exit_status = s->word == DEAD_LIST   ? dead_list(&link, &shown)
                      : s->word == DEAD_SHOW ? dead_show(&link)
                                             : dead_act(&link);
    dead_link_close(&link);
    return exit_status;
}

int command_dead(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    dead_settings_t settings = {0};
    exit_status = read_settings(&settings, config);
    if (exit_status == EXIT_OK && r == CONFIG_RUN)
        exit_status = run(&settings);
    free(settings.ids);
    config_destroy(&config);
    return exit_status;
}

#include "workers/restart/guard.h"

#include "common/core/glob.h"
#include "workers/restart/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SHORTEST_MS = 10,
    /* Where no consumer's limit is long enough: that of a lease, and so of a try, is an hour. */
    TOGETHER_MS = 3600000,
    ACT_MS = 30000,
    RETURN_MS = 300000,
    SHOWN_BYTES = 80,
};

const config_option_t runner_options[RUNNER_OPTIONS] = {
    {.name = "min-uptime",
     .type = CONFIG_DURATION,
     .fallback = "0",
     .argument = "TIME",
     .help = "real restarts: a host that is up for less than this is not restarted, and its message is done"},
    {.name = "dry-run",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "real restarts: do everything but the restart, and say so"},
    {.name = "allow-host",
     .type = CONFIG_LIST,
     .argument = "GLOB",
     .help = "real restarts: hosts whose whole name matches may be restarted, no others (default: all)",
     .reloads = true},
    {.name = "deny-host",
     .type = CONFIG_LIST,
     .argument = "GLOB",
     .help = "real restarts: hosts whose whole name, or its first part, matches are not restarted, even if "
             "they are allowed",
     .reloads = true},
    {.name = "grant",
     .type = CONFIG_DURATION,
     .fallback = "5s",
     .argument = "TIME",
     .min = SHORTEST_MS,
     .max = TOGETHER_MS,
     .help = "real restarts: how long a restart may wait for the publisher to record that it is about to be"},
    {.name = "act-timeout",
     .type = CONFIG_DURATION,
     .argument = "TIME",
     .min = SHORTEST_MS,
     .max = TOGETHER_MS,
     .help = "real restarts: how long the command for it may take (default: the kind's)"},
    {.name = "return-timeout",
     .type = CONFIG_DURATION,
     .argument = "TIME",
     .min = SHORTEST_MS,
     .max = TOGETHER_MS,
     .help = "real restarts: how long a host may take after that to be back (default: the kind's)"},
    {.name = "poll",
     .type = CONFIG_DURATION,
     .fallback = "1s",
     .argument = "TIME",
     .min = SHORTEST_MS,
     .max = TOGETHER_MS,
     .help = "real restarts: how often it is looked whether a host is back"},
};

/* --- which hosts --- */

void guard_read(guard_t *ret, const config_t *config)
{
    ret->allow_count = config_list(config, "allow-host", &ret->allow);
    ret->deny_count = config_list(config, "deny-host", &ret->deny);
}

/* The first pattern that matches, or NULL. */
static const char *matching(const char *const *patterns, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (glob_match(patterns[i], strlen(patterns[i]), name, len))
            return patterns[i];
    return NULL;
}

static bool is_safe(const char *name, size_t len)
{
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    bool good = len >= 1 && len <= HOST_BYTES_MAX && name[0] != '.' && name[0] != '-';
    for (size_t i = 0; good && i < len; i++)
        good = memchr(bytes, name[i], sizeof bytes - 1) != NULL;
    return good;
}

bool guard_allows(const guard_t *g, const body_t *b, char *why)
{
    char host[SHOWN_BYTES], rule[SHOWN_BYTES];
    if (host_check(b->host, b->host_len, why) != 0)
        return false;
    text_escape(b->host, b->host_len, host, sizeof host);
    if (!is_safe(b->host, b->host_len)) {
        snprintf(why, WHY_BYTES, "host \"%s\" is no name that is restarted", host);
        return false;
    }
    const char *denied = matching(g->deny, g->deny_count, b->host, b->host_len);
    if (denied == NULL)
        denied = matching(g->deny, g->deny_count, b->instance, b->instance_len);
    if (denied != NULL) {
        snprintf(why, WHY_BYTES, "host %s is denied by --deny-host %s", host,
                 text_escape(denied, strlen(denied), rule, sizeof rule));
        return false;
    }
    if (g->allow_count == 0 || matching(g->allow, g->allow_count, b->host, b->host_len) != NULL)
        return true;
    snprintf(why, WHY_BYTES, "host %s is not one that --allow-host names", host);
    return false;
}

/* --- how long --- */

int64_t guard_act_ms(const driver_t *driver, const config_t *config)
{
    return config_given(config, "act-timeout") ? config_int(config, "act-timeout")
           : driver->act_ms > 0                ? driver->act_ms
                                               : ACT_MS;
}

static int64_t return_ms(const driver_t *driver, const config_t *config)
{
    return config_given(config, "return-timeout") ? config_int(config, "return-timeout")
           : driver->return_ms > 0                ? driver->return_ms
                                                  : RETURN_MS;
}

int guard_policy(once_policy_t *ret, const driver_t *driver, const config_t *config, char *why)
{
    const once_policy_t p = {
        .dry_run = config_flag(config, "dry-run"),
        .min_uptime_ms = config_int(config, "min-uptime"),
        .grant_ms = config_int(config, "grant"),
        .act_ms = guard_act_ms(driver, config),
        .return_ms = return_ms(driver, config),
        .poll_ms = config_int(config, "poll"),
    };
    const int64_t together_ms = p.grant_ms + p.act_ms + p.return_ms;
    if (together_ms >= TOGETHER_MS) {
        snprintf(why, WHY_BYTES,
                 "--grant, --act-timeout and --return-timeout are %" PRId64
                 " s together; a try lasts less than an hour",
                 together_ms / 1000);
        return -ERANGE;
    }
    *ret = p;
    return 0;
}

#include "consumer/policies.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const options[] = {"max-tries",   "backoff", "backoff-factor",
                                      "backoff-max", "limit",   "limit-hard"};

const gather_policy_t *policies_of(const policies_t *p, const char *leg)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (strcmp(p->legs[i].leg, leg) == 0)
            return &p->legs[i].policy;
    return &p->others;
}

int policies_contradict(const config_t *c, const char *leg, const char *option, int64_t ms, const char *are,
                        const char *other, int64_t other_ms)
{
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "%s%s%" PRId64 " ms are %s --%s, which is %" PRId64 " ms", leg,
             leg[0] != '\0' ? ": " : "", ms, are, other, other_ms);
    return config_refuse(c, option, why);
}

/* `leg` is "" for those that are not named. */
static int read_policy(const config_t *c, const char *leg, gather_policy_t *ret)
{
    *ret = (gather_policy_t){.max_tries = (uint32_t)config_int_of(c, "max-tries", leg),
                             .backoff = {.base_ms = config_int_of(c, "backoff", leg),
                                         .factor = config_real_of(c, "backoff-factor", leg),
                                         .cap_ms = config_int_of(c, "backoff-max", leg)},
                             .limit_ms = config_int_of(c, "limit", leg),
                             .limit_hard_ms = config_int_of(c, "limit-hard", leg)};
    if (ret->limit_hard_ms <= ret->limit_ms)
        return policies_contradict(c, leg, "limit-hard", ret->limit_hard_ms, "not more than", "limit",
                                   ret->limit_ms);
    if (ret->backoff.base_ms > ret->backoff.cap_ms)
        return policies_contradict(c, leg, "backoff", ret->backoff.base_ms, "more than", "backoff-max",
                                   ret->backoff.cap_ms);
    return 0;
}

static int add(const config_t *c, policies_t *p, const char *option, const char *leg)
{
    char why[WHY_BYTES];
    if (policies_of(p, leg) != &p->others)
        return 0;
    if (p->count == POLICIES_MAX) {
        snprintf(why, sizeof why, "%s: more than %d legs are named", leg, POLICIES_MAX);
        return config_refuse(c, option, why);
    }
    snprintf(p->legs[p->count].leg, sizeof p->legs[p->count].leg, "%s", leg);
    return read_policy(c, leg, &p->legs[p->count++].policy);
}

int policies_read(const config_t *c, policies_t *ret)
{
    policies_t p = {0};
    const char *leg;
    int error = read_policy(c, "", &p.others);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        for (size_t k = 0; error == 0 && (leg = config_key(c, options[i], k)) != NULL; k++)
            error = add(c, &p, options[i], leg);
    if (error == 0)
        *ret = p;
    return error;
}

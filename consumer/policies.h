/* What each leg's tasks are allowed, by the leg's name: --max-tries 5 --max-tries restart=3. */
#ifndef MANDRILL_CONSUMER_POLICIES_H
#define MANDRILL_CONSUMER_POLICIES_H

#include "common/core/gather.h"
#include "common/runtime/config.h"

/* More legs than a consumer has at once: a configuration may name those of other days. */
enum { POLICIES_MAX = 32 };

typedef struct {
    gather_policy_t others;
    uint32_t count;
    struct {
        char leg[NAME_BYTES_MAX + 1];
        gather_policy_t policy;
    } legs[POLICIES_MAX];
} policies_t;

/* Tells that one option's value does not go with another's: -EINVAL. `leg`: of which leg, or "". */
int policies_contradict(const config_t *c, const char *leg, const char *option, int64_t ms, const char *are,
                        const char *other, int64_t other_ms);
/* 0, or -EINVAL: something is wrong and has been told. */
int policies_read(const config_t *c, policies_t *ret);
const gather_policy_t *policies_of(const policies_t *p, const char *leg);

#endif

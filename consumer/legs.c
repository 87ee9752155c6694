#include "consumer/legs.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void legs_init(legs_t *l, gather_t *gather, const roster_t *roster, const policies_t *policies)
{
    *l = (legs_t){.gather = gather, .roster = roster, .policies = policies};
}

void legs_reload(legs_t *l)
{
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (l->names[leg][0] != '\0')
            gather_policy(l->gather, leg, policies_of(l->policies, l->names[leg]));
}

static bool in_use(const legs_t *l, const gather_gauges_t *gauges, uint32_t leg)
{
    return l->asked >> leg & 1 || roster_workers(l->roster, leg) > 0 || gauges->waiting[leg] > 0 ||
           gauges->running[leg] > 0 || gauges->backing_off[leg] > 0;
}

int legs_number(legs_t *l, const char *name)
{
    assert(name[0] != '\0');
    gather_gauges_t gauges;
    int unused = -ENOSPC;
    gather_gauges(l->gather, &gauges);
    for (int leg = LEGS_MAX - 1; leg >= 0; leg--) {
        if (strcmp(l->names[leg], name) == 0)
            return leg;
        if (!in_use(l, &gauges, (uint32_t)leg))
            unused = leg;
    }
    if (unused < 0)
        return unused;
    snprintf(l->names[unused], sizeof l->names[unused], "%s", name);
    gather_policy(l->gather, (uint32_t)unused, policies_of(l->policies, name));
    return unused;
}

const char *legs_name(const legs_t *l, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return l->names[leg][0] != '\0' ? l->names[leg] : NULL;
}

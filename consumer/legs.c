#include "consumer/legs.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void legs_init(legs_t *l, const gather_t *gather, const roster_t *roster)
{
    *l = (legs_t){.gather = gather, .roster = roster};
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
    if (unused >= 0)
        snprintf(l->names[unused], sizeof l->names[unused], "%s", name);
    return unused;
}

const char *legs_name(const legs_t *l, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return l->names[leg][0] != '\0' ? l->names[leg] : NULL;
}

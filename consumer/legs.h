/* The consumer's numbers for legs, 0..LEGS_MAX-1: publishers and workers know legs by name, and each
 * publisher numbers its own in its own way.
 *
 * With its number a name gets the policy that is configured for it. It keeps it while a publisher asks for
 * it, a worker serves it or a task of it is in hand. The struct is embedded and owns nothing. */
#ifndef MANDRILL_CONSUMER_LEGS_H
#define MANDRILL_CONSUMER_LEGS_H

#include "common/core/roster.h"
#include "consumer/policies.h"

typedef struct {
    gather_t *gather;
    const roster_t *roster;
    const policies_t *policies;
    uint8_t asked; /* by any publisher; kept by upstream.c */
    char names[LEGS_MAX][NAME_BYTES_MAX + 1];
} legs_t;

void legs_init(legs_t *l, gather_t *gather, const roster_t *roster, const policies_t *policies);
/* The policies have changed. */
void legs_reload(legs_t *l);
/* The name's number; a free one when it has none. -ENOSPC: all are in use. */
int legs_number(legs_t *l, const char *name);
const char *legs_name(const legs_t *l, uint32_t leg); /* NULL: nobody has asked for or served it */

#endif

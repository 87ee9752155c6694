/* Which containers may be restarted at all: those whose name matches a pattern, or that have a label. Nobody
 * is asked, and without a rule there is none.
 *
 * Ownership: the rules point into the configuration's texts. */
#ifndef MANDRILL_RESTART_DOCKER_ALLOW_H
#define MANDRILL_RESTART_DOCKER_ALLOW_H

#include "workers/restart/restart_docker_calls.h"

typedef struct {
    const char *const *names; /* patterns of common/core/glob.h */
    size_t names_count;
    const char *const *labels; /* "KEY" or "KEY=VALUE" */
    size_t labels_count;
} allow_t;

/* Whether a text is a rule for labels. */
bool allow_label_check(const char *rule);
bool allow_match(const allow_t *a, const container_t *c);

#endif

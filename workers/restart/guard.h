/* What every kind that restarts real hosts is told by its configuration, whatever its driver: which hosts it
 * may restart at all, and how long things may take.
 *
 * Ownership: a guard's patterns point into the configuration's texts. */
#ifndef MANDRILL_RESTART_GUARD_H
#define MANDRILL_RESTART_GUARD_H

#include "common/core/message.h"
#include "common/runtime/config.h"
#include "workers/restart/driver.h"

typedef struct {
    const char *const *allow; /* patterns of common/core/glob.h; none: every host */
    size_t allow_count;
    const char *const *deny;
    size_t deny_count;
} guard_t;

void guard_read(guard_t *ret, const config_t *config);
/* Whether the host may be restarted; if not, `why` (WHY_BYTES) says which rule it is. A host that is none of
 * `[a-z0-9][a-z0-9.-]{0,252}` as bodies have them never is: drivers may put it into a command or a path. */
bool guard_allows(const guard_t *g, const body_t *body, char *why);

/* The policy but for what the driver's traits say. -ERANGE with `why`. */
int guard_policy(once_policy_t *ret, const driver_t *driver, const config_t *config, char *why);
/* How long an act may take. */
int64_t guard_act_ms(const driver_t *driver, const config_t *config);

#endif

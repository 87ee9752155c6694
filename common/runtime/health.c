#include "common/runtime/health.h"
#include "common/core/message.h"
#include "common/runtime/announce.h"
#include "common/runtime/config.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_sign(health_t *h, int64_t now_ms, const char *state)
{
    char at[24];
    snprintf(at, sizeof at, "%" PRId64, now_ms);
    const char *const pairs[] = {"role", h->role, "at_ms", at, "state", state, NULL};
    h->next_ms = now_ms + HEALTH_EVERY_MS;
    return announce_write(h->path, pairs);
}

int health_open(health_t *h, const char *path, const char *role, int64_t now_ms, char *why)
{
    *h = (health_t){.path = path, .role = role, .next_ms = INT64_MAX};
    int error = path != NULL ? write_sign(h, now_ms, "starts") : 0;
    if (error == 0)
        return 0;
    snprintf(why, WHY_BYTES, "cannot write the health file %.100s: %s", path, strerror(-error));
    h->path = NULL;
    return error;
}

int64_t health_next_ms(const health_t *h)
{
    return h->path != NULL ? h->next_ms : INT64_MAX;
}

void health_tell(health_t *h, int64_t now_ms, const char *state)
{
    if (h->path == NULL || now_ms < h->next_ms)
        return;
    int error = write_sign(h, now_ms, state);
    /* The work goes on: who asks sees that the sign is old. */
    if (error != 0)
        log_limited(LOG_WARN, "cannot write the health file %s: %s", h->path, strerror(-error));
}

void health_close(health_t *h)
{
    if (h->path != NULL)
        unlink(h->path);
    h->path = NULL;
}

int health_read(const char *path, int64_t now_ms, health_sign_t *ret)
{
    health_sign_t sign;
    char at[24];
    int64_t at_ms;
    int error = announce_read(path, "at_ms", at, sizeof at);
    if (error == -ENOENT && access(path, F_OK) == 0)
        return -EBADMSG;
    if (error != 0)
        return error == -ENOSPC ? -EBADMSG : error;
    if (config_parse_int(at, &at_ms) != 0 || at_ms > now_ms ||
        announce_read(path, "role", sign.role, sizeof sign.role) != 0 ||
        announce_read(path, "state", sign.state, sizeof sign.state) != 0)
        return -EBADMSG;
    sign.age_ms = now_ms - at_ms;
    *ret = sign;
    return 0;
}

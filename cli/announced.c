#include "cli/announced.h"
#include "cli/files.h"
#include "common/runtime/announce.h"
#include "common/runtime/config.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* An `up` that was killed leaves its files behind. */
static bool lives(const char *announce)
{
    char text[24];
    int64_t pid;
    return announce_read(announce, "pid", text, sizeof(text)) == 0 && config_parse_int(text, &pid) == 0 &&
           pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* The paths of sockets are those that `up` was given, from where it was started: only their last part is good
 * anywhere. */
static bool read_endpoint(const char *data_dir, const char *part, const char *key, char *endpoint)
{
    char file[PATH_MAX];
    char told[ANNOUNCED_BYTES];
    int n = snprintf(file, sizeof(file), "%s/run/%s.announce", data_dir, part);
    if (n < 0 || (size_t)n >= sizeof(file) || !lives(file) ||
        announce_read(file, key, told, sizeof(told)) < 0)
        return false;
    const char *name = strncmp(told, "ipc://", 6) == 0 ? strrchr(told, '/') : NULL;
    n = name ? snprintf(endpoint, ANNOUNCED_BYTES, "ipc://%s/run%s", data_dir, name)
             : snprintf(endpoint, ANNOUNCED_BYTES, "%s", told);
    if (n >= 0 && n < ANNOUNCED_BYTES)
        return true;
    endpoint[0] = '\0';
    return false;
}

void announced_read(announced_t *ret, const char *data_dir)
{
    char lock[PATH_MAX];
    *ret = (announced_t){0};
    int n = snprintf(lock, sizeof(lock), "%s/run/lock", data_dir);
    ret->owner = n > 0 && (size_t)n < sizeof(lock) ? lock_owner(lock) : 0;
    if (ret->owner == 0)
        return;
    read_endpoint(data_dir, part_name(PART_PUBLISHER), "clients", ret->clients);
    if (read_endpoint(data_dir, part_name(PART_CONSUMER), "control", ret->controls[0]))
        ret->consumers = 1;
    for (uint32_t k = 1; k <= CONSUMERS_MAX && ret->consumers < CONSUMERS_MAX; k++) {
        char part[24];
        snprintf(part, sizeof(part), "%s-%u", part_name(PART_CONSUMER), k);
        if (read_endpoint(data_dir, part, "control", ret->controls[ret->consumers]))
            ret->consumers++;
    }
}

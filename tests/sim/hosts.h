/* The hosts of the world, which its restarters restart: each has a boot id, is down for a time after a
 * restart, and cannot be read at times. What was asked of a host goes on by itself when who asked has died.
 */
#ifndef MANDRILL_SIM_HOSTS_H
#define MANDRILL_SIM_HOSTS_H

#include "common/core/once.h"
#include "tests/sim/world.h"

typedef enum {
    RESTART_ASKED,
    RESTART_DONE,
    RESTART_REFUSED, /* it is not the boot that was observed */
    RESTART_NOBODY,  /* the host was down */
} restart_t;

void hosts_open(void);
/* By its whole name; made when there is none. */
uint32_t host_of(const char *name, size_t len);
/* False: it does not answer. */
bool host_look(uint32_t host, observation_t *ret);
/* It restarts by itself, now, unless it is down. */
void host_crash(uint32_t host);
/* It cannot be read for a time. */
void host_hide(uint32_t host, int64_t us);
/* When it has come up last. */
int64_t host_up_since_us(uint32_t host);
bool host_compares(uint32_t host);

/* A message's restart gets there at this time, with what was observed before ("": nothing): its number. */
uint32_t host_restart(uint32_t host, message_id_t id, const char *observed, int64_t at_us);
restart_t host_restarted(uint32_t restart);
/* What has not got there never does. */
void host_restart_lost(uint32_t restart);

#endif

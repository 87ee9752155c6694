/* --maintain: the dead letters of an outbox over which no publisher runs. */
#ifndef MANDRILL_PUBLISHER_MAINTAIN_H
#define MANDRILL_PUBLISHER_MAINTAIN_H

#include "publisher/settings.h"

/* Opens the outbox under its lock, without a new epoch, and serves only the client endpoint, with STATUS and
 * DEAD, until a signal says stop. What is redriven goes out when a publisher starts. 0, or -errno with `why`
 * (WHY_BYTES). */
int maintain(const settings_t *settings, int signals_fd, char *why);

#endif

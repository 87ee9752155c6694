/* What an outbox holds while no publisher runs over it: --inspect, and what --maintain opens and tells. */
#ifndef MANDRILL_PUBLISHER_INSPECT_H
#define MANDRILL_PUBLISHER_INSPECT_H

#include "publisher/outbox.h"

/* Opens an outbox that is there, without a new epoch: 0 or -errno with `why` (WHY_BYTES). */
int inspect_open(outbox_t **ret, const char *path, int64_t max_bytes, char *why);
/* The keys of a status that a file can tell, as a JSON object to be freed; NULL when memory is out. */
char *inspect_json(outbox_t *outbox);
/* Prints a JSON object on stdout: inspect_json(). 0 or -errno with `why`
 * (WHY_BYTES). Changes nothing; takes the lock, so a running publisher's outbox is refused. */
int inspect(const char *outbox, char *why);

#endif

/* A publisher that serves nothing but the dead letters of an idle outbox (mandrill-publisher --maintain),
 * over a socket that only this user reaches. The command line must not depend on the publisher's code, so the
 * publisher's program does it. */
#ifndef MANDRILL_MAINTAIN_H
#define MANDRILL_MAINTAIN_H

#include <stdbool.h>

typedef struct maintain maintain_t;

/* Starts one over DIR/outbox.db; returns when it can be reached. 0, or -1: why was told on stderr, by it or
 * by us. `stop` is asked now and then: true gives up. */
int maintain_open(maintain_t **ret, const char *data_dir, bool (*stop)(void *arg), void *arg);
/* Stops it and waits for its end: what it confirmed is on the disk. */
void maintain_close(maintain_t **m);
const char *maintain_endpoint(const maintain_t *m);
/* Passes its lines on. False when it has ended by itself. */
bool maintain_turn(maintain_t *m);

#endif

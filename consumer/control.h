/* The control endpoint: STATUS is answered by REPORT (docs/PROTOCOL.md section 6). */
#ifndef MANDRILL_CONSUMER_CONTROL_H
#define MANDRILL_CONSUMER_CONTROL_H

#include "common/runtime/metrics.h"
#include "common/runtime/server.h"

typedef struct control control_t;

/* `fill` writes the answer's rows. 0 or -errno with `why` (WHY_BYTES). */
int control_open(control_t **ret, const char *endpoint, loop_t *loop, void (*fill)(void *arg, metrics_t *m),
                 void *arg, char *why);
void control_close(control_t **c);
/* Takes what has come in and answers it. */
void control_turn(control_t *c);
int64_t control_next_ms(const control_t *c);
const char *control_endpoint(const control_t *c);
void control_counts(const control_t *c, server_counts_t *ret);

#endif

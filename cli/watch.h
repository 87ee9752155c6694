/* Follows a running publisher: asks for its status a few times a second. */
#ifndef MANDRILL_WATCH_H
#define MANDRILL_WATCH_H

#include "common/runtime/loop.h"
#include <jansson.h>
#include <stdint.h>

enum { WATCH_EVERY_MS = 200 };

typedef struct watch watch_t;

/* Uses one item of the loop. 0 or -errno with `why` (WHY_BYTES). */
int watch_open(watch_t **ret, loop_t *loop, const char *endpoint, char *why);
void watch_close(watch_t **w);
/* Asks when it is due. The latest report since the last call, the caller's to json_decref; NULL: none. */
json_t *watch_turn(watch_t *w, int64_t now_ms);
int64_t watch_next_ms(const watch_t *w);

#endif

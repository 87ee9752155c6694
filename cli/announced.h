/* Where the parts of a running `mandrill up` can be reached, as they have announced it in DIR/run. */
#ifndef MANDRILL_ANNOUNCED_H
#define MANDRILL_ANNOUNCED_H

#include "cli/parts.h"
#include <sys/types.h>

enum { ANNOUNCED_BYTES = 160 };

typedef struct {
    pid_t owner;                   /* the `mandrill up`; 0: none runs over the directory */
    char clients[ANNOUNCED_BYTES]; /* "" : not yet */
    size_t consumers;
    char controls[CONSUMERS_MAX][ANNOUNCED_BYTES];
} announced_t;

void announced_read(announced_t *ret, const char *data_dir);

#endif

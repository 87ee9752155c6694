/* Runs another program to its end and takes its lines. */
#ifndef MANDRILL_ONESHOT_H
#define MANDRILL_ONESHOT_H

#include "cli/supervisor.h"

/* Takes over the words of `args`. Its status as of waitpid, or -errno when it could not be started. */
int oneshot(args_t *args, void (*line)(void *arg, child_stream_t stream, const char *text, size_t len),
            void *arg);

#endif

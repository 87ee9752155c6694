/* The other programs, next to this one. */
#ifndef MANDRILL_SIBLINGS_H
#define MANDRILL_SIBLINGS_H

#include "cli/args.h"

/* Adds the path of a program that lies where this one does: 0 or -errno. */
int siblings_add(args_t *args, const char *program);

#endif

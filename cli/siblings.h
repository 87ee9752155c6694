/* The other programs, next to this one. */
#ifndef MANDRILL_SIBLINGS_H
#define MANDRILL_SIBLINGS_H

#include <stddef.h>

/* The directory of the running program: 0 or -errno. */
int siblings_dir(char *dir, size_t size);

#endif

/* The parts of the shim: a shared object that is preloaded into a program and stands in for some functions of
 * libc. Nothing of the project is in it but the struct that the test writes. */
#ifndef MANDRILL_SHIM_H
#define MANDRILL_SHIM_H

#include "tests/support/shim_control.h"
#include <stddef.h>
#include <sys/types.h>

/* NULL: no test has asked for anything. */
shim_control_t *shim_control(void);

/* What no fsync has followed yet, of the files that the test looks at, so that it can be lost. */
void unsynced_write(int fd, off_t at, size_t n); /* before the bytes are written */
void unsynced_truncate(int fd, off_t size);      /* before it is */
void unsynced_forget(int fd);                    /* it is on the disk */
/* The file is as after its last fsync: what the kernel does with pages that could not be written. */
void unsynced_drop(int fd);
/* Each write is lost, torn, turned to noise or kept, as the seed has it. */
void unsynced_cut(uint64_t seed);

#endif

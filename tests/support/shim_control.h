/* What a test tells a running program through the shim (tests/faults/shim), a shared object that lies between
 * the program and libc. Both map this struct from one file: what the test writes holds from the next call on,
 * and what the shim counts is there to be read. All zeros: nothing happens but counting. */
#ifndef MANDRILL_TEST_SHIM_CONTROL_H
#define MANDRILL_TEST_SHIM_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

/* The shim finds the file's path here. */
#define SHIM_VARIABLE "MANDRILL_TEST_SHIM"

enum { SHIM_TEXT_MAX = 64, SHIM_ADDRESSES_MAX = 4 };

/* Calls that may fail. */
enum { SHIM_WRITE = 1, SHIM_SYNC = 2, SHIM_TRUNCATE = 4, SHIM_ALLOCATE = 8 };

/* How a call fails: an errno (> 0), or one of these. */
enum {
    SHIM_SHORT = -1, /* half of the bytes are written, one at least, and that is the answer; no other call is
                        shortened */
    SHIM_CUT =
        -2, /* the power goes: SIGKILL, and of what was not synced some is lost, some torn, some noise */
};

/* What a name stands for, instead of an EAI_... (> 0 here, libc's are negative). */
enum { SHIM_HANG = 1 };

typedef struct {
    /* Disk. Only files with this text in their path are looked at; "": none. */
    char file[SHIM_TEXT_MAX];
    _Atomic uint32_t calls; /* that count, and fail: SHIM_WRITE | ... */
    _Atomic uint64_t seen;  /* so many of them came */
    _Atomic uint64_t from;  /* the first that fails, from 1; 0: none */
    _Atomic uint64_t times; /* so many in a row fail */
    _Atomic int32_t how;
    _Atomic uint64_t fired; /* so many failed */
    _Atomic uint64_t seed;  /* SHIM_CUT: decides what is lost */

    /* The wall clock runs so much ahead; CLOCK_MONOTONIC is as it is. */
    _Atomic int64_t wall_ms;

    /* Lookups of names that end with ".test": an EAI_..., SHIM_HANG until this changes (or for 30 s), or 0:
     * answered with the first `addresses_count` of these. */
    _Atomic int32_t lookup;
    _Atomic uint32_t addresses_count;
    char addresses[SHIM_ADDRESSES_MAX][SHIM_TEXT_MAX];
    _Atomic uint64_t lookups; /* begun */
} shim_control_t;

#endif

/* Bad frames from a seed: the same seed gives the same frames. */
#ifndef MANDRILL_TEST_FRAMES_H
#define MANDRILL_TEST_FRAMES_H

#include "common/core/buffer.h"

typedef enum { FRAMES_LEASES, FRAMES_CLIENTS, FRAMES_TASKS } frames_place_t;

typedef enum {
    BAD_EMPTY,
    BAD_TRUNCATED,
    BAD_TRAILING,
    BAD_COUNT,   /* announces more than there is */
    BAD_NESTING, /* deeper than 8 */
    BAD_TYPES,   /* an array of a command's number and fields of any type */
    BAD_UNKNOWN, /* a command that does not exist */
    BAD_NOISE,
    BAD_MUTATED, /* a valid frame with some bytes changed: may still be valid */
    BAD_KINDS,
} bad_kind_t;

/* Writes one frame over what is in `out`; what kind it is. */
bad_kind_t frames_bad(frames_place_t place, uint64_t *seed, buffer_t *out);
/* No receiver may take a frame of this kind. */
bool frames_surely_bad(bad_kind_t kind);
/* MANDRILL_TEST_SEED, or a fresh one; printed, so that a failure can be had again. */
uint64_t frames_seed(void);

#endif

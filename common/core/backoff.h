/* Exponential backoff with full jitter: a wait drawn evenly from 0..min(cap, base * factor^(n-1)).
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter"). */
#ifndef MANDRILL_BACKOFF_H
#define MANDRILL_BACKOFF_H

#include <stdint.h>

typedef struct {
    int64_t base_ms;
    double factor;
    int64_t cap_ms;
} backoff_t;

/* The longest wait after try n (from 1). */
int64_t backoff_limit_ms(const backoff_t *b, uint32_t n);
/* The wait, from a random number that the caller draws. */
int64_t backoff_ms(const backoff_t *b, uint32_t n, uint64_t random);

/* A small random generator (splitmix64) for jitter, loads and simulations: seeded by the caller, never for
 * secrets. */
uint64_t random_next(uint64_t *state);

#endif

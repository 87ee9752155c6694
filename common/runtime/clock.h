/* Time. Durations run on CLOCK_MONOTONIC; the wall clock is for display and published_at only. */
#ifndef MANDRILL_CLOCK_H
#define MANDRILL_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);
int64_t clock_us(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
/* 63 random bits, never 0 (getrandom): sessions and streams. */
uint64_t clock_random_id(void);

#endif

/* Time. Durations run on CLOCK_MONOTONIC; the wall clock is for display and published_at only. */
#ifndef MANDRILL_CLOCK_H
#define MANDRILL_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);
int64_t clock_us(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
enum { WALL_TEXT = 32 };
/* "2026-11-21T05:45:07.123Z"; a time that no calendar has as its milliseconds. */
void clock_wall_text(int64_t wall_ms, char text[static WALL_TEXT]);
/* 63 random bits, never 0 (getrandom): sessions and streams. */
uint64_t clock_random_id(void);

#endif

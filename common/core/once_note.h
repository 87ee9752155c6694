/* What an intent says, as once.c records it: an array [version, grant, act, return, done, id]. Whoever
 * changes it gives it another version: workers of both may run beside each other, and what one cannot read is
 * to it an intent of which nothing is known. */
#ifndef MANDRILL_ONCE_NOTE_H
#define MANDRILL_ONCE_NOTE_H

#include "common/core/once.h"

typedef struct {
    int64_t grant_ms, act_ms, return_ms; /* how long it may take to show; all 0: that time has passed */
    bool done;                           /* it was carried out: only the host's health is left to be seen */
    char id[OBSERVATION_ID_MAX + 1];     /* what was seen before it; "": nothing */
} once_note_t;

/* The length of what was written. */
uint32_t once_note_write(const once_note_t *n, uint8_t bytes[static NOTE_BYTES_MAX]);
/* 0 or -EPROTO. */
int once_note_read(const void *bytes, uint32_t len, once_note_t *ret);

enum { ONCE_DURATION_TEXT = 32 };
/* For reading: "340 ms", "12 s", "12 min", "3 h", "2 d", rounded down. */
const char *once_duration(int64_t ms, char text[static ONCE_DURATION_TEXT]);
/* Exactly, as a flag takes it: "7d", "90s", "1500ms". */
const char *once_exactly(int64_t ms, char text[static ONCE_DURATION_TEXT]);

#endif

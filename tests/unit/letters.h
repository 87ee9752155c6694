/* Dead letters for tests: made as a publisher has them. */
#ifndef MANDRILL_TESTS_LETTERS_H
#define MANDRILL_TESTS_LETTERS_H

#include "common/core/message.h"
#include "common/core/proto.h"
#include <string.h>

static inline text_t text_of(const char *s)
{
    return (text_t){.bytes = s, .len = (uint32_t)strlen(s)};
}

/* Its parts lie in `bytes`, which outlive it. */
static inline letter_t letter_make(buffer_t *bytes, uint64_t seq, const char *host, const char *reason)
{
    char why[WHY_BYTES];
    buffer_reserve(bytes, 4096); /* nothing moves from here on */
    size_t at = bytes->len;
    body_make(host, strlen(host), "example.net", 1795239907123, 0, bytes, why);
    return (letter_t){
        .id = {0x5d1e9a0c44f3b210, seq},
        .died_ms = 1795239967123,
        .legs = 3,
        .done = 1,
        .bad = 2,
        .reason = text_of(reason),
        .body = bytes->data + at,
        .body_len = (uint32_t)(bytes->len - at),
    };
}

static inline void letter_add_event(buffer_t *events, letter_t *letter, event_t event)
{
    event_write(events, &event);
    letter->events = events->data;
    letter->events_len = (uint32_t)events->len;
    letter->events_count++;
}

static const buried_t two_legs = {.legs_count = 2, .legs = {"save", "restart"}};

#endif

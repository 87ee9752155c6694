/* Short ways to write events and to look into histories. */
#ifndef MANDRILL_TEST_EVENT_FIXTURE_H
#define MANDRILL_TEST_EVENT_FIXTURE_H

#include "common/core/proto.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static inline event_t a_try(uint8_t bit, uint32_t no, how_t how, const char *text)
{
    return (event_t){.bit = bit,
                     .no = no,
                     .label = {"worker-1", 8},
                     .since_ms = 1000 + no,
                     .took_ms = 5,
                     .how = how,
                     .text = {text, (uint32_t)strlen(text)}};
}

/* The n-th event of a history, from 0. */
static inline event_t nth_event(const void *events, size_t len, int n)
{
    reader_t r;
    event_t e;
    reader_init(&r, events, len);
    for (int i = 0; i <= n; i++)
        assert_true(event_read(&r, &e));
    return e;
}

/* "1.2 TRANSIENT no route; 8.1 LEASE LOST" */
static inline const char *history_text(const void *events, size_t len)
{
    static char text[8192];
    reader_t r;
    event_t e;
    size_t n = 0;
    text[0] = '\0';
    reader_init(&r, events, len);
    while (event_read(&r, &e))
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u.%u %s%s%.*s", n ? "; " : "", e.bit, e.no,
                              how_name(e.how), e.text.len ? " " : "", (int)e.text.len, e.text.bytes);
    assert_true(r.at == r.end);
    return text;
}

#endif

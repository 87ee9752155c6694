/* Waiting for a condition, never for a time: the only way in which a test waits. */
#ifndef MANDRILL_TEST_WAIT_H
#define MANDRILL_TEST_WAIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Long enough for a machine that does other things; a test that passes never waits it out. */
enum { WAIT_MS = 60000 };

int64_t test_now_ms(void);
/* A few milliseconds between two looks. */
void test_pause(void);

#define WAIT_FOR(condition, timeout_ms)                                                                      \
    do {                                                                                                     \
        int64_t wait_until_ms_ = test_now_ms() + (timeout_ms);                                               \
        while (!(condition)) {                                                                               \
            if (test_now_ms() > wait_until_ms_)                                                              \
                fail_msg("waited %d ms for: %s", (int)(timeout_ms), #condition);                             \
            test_pause();                                                                                    \
        }                                                                                                    \
    } while (0)

#define WAIT(condition) WAIT_FOR(condition, WAIT_MS)

#endif

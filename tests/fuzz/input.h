/* What every fuzz target shares: its two entries, and a fuzzer's bytes taken apart into numbers and runs.
 *
 * A target is one file fuzz_NAME.c. It aborts (MUST) when what it checks does not hold. Bytes that are used
 * up read as 0, so every input is a good one. Runs are copies of just their length, so that the address
 * sanitizer sees a step behind their ends. */
#ifndef MANDRILL_FUZZ_INPUT_H
#define MANDRILL_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

typedef struct {
    const uint8_t *at;
    size_t left;
} input_t;

static inline uint64_t take(input_t *in, unsigned bytes)
{
    uint64_t v = 0;
    for (; bytes > 0; bytes--) {
        v = v << 8 | (in->left > 0 ? *in->at : 0);
        if (in->left > 0) {
            in->at++;
            in->left--;
        }
    }
    return v;
}

static inline uint8_t take_byte(input_t *in)
{
    return (uint8_t)take(in, 1);
}

/* At most `max` of what is left, as memory of its own with a NUL behind it for those who want text. */
static inline char *take_run(input_t *in, size_t max, size_t *ret_len)
{
    size_t len = in->left < max ? in->left : max;
    char *run = malloc(len + 1);
    MUST(run != NULL);
    memcpy(run, in->at, len);
    run[len] = '\0';
    in->at += len;
    in->left -= len;
    *ret_len = len;
    return run;
}

/* Exactly `len` bytes of memory: nothing behind them may be read. */
static inline void *exact_copy(const void *bytes, size_t len)
{
    void *copy = calloc(1, len > 0 ? len : 1);
    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

#endif

/* The client's side of DEAD (docs/PROTOCOL.md section 6): questions about dead letters, each sent again with
 * its number until it is answered. Several may be out at once; answers are told apart by number.
 *
 * A repeated question may have been carried out twice. That does no harm where it names one letter, which is
 * how redrive, purge and done are asked here: the second time finds it gone. `repeated` tells. */
#ifndef MANDRILL_LETTERS_H
#define MANDRILL_LETTERS_H

#include "common/core/proto.h"

enum { LETTERS_OUT_MAX = 64 };

typedef struct letters letters_t;

typedef struct {
    dead_t question;
    bool repeated;
    buried_t buried;
    letter_t *letters; /* good until the next call */
    uint32_t letters_count;
} answer_t;

/* 0 or -errno with `why` (WHY_BYTES). `timeout_ms`: how long a question may stay unanswered. */
int letters_open(letters_t **ret, const char *endpoint, int64_t timeout_ms, char *why);
void letters_close(letters_t **l);

/* How many questions are out. */
uint32_t letters_out(const letters_t *l);
/* Only below LETTERS_OUT_MAX. Version and number are filled in; texts of the filter outlive the answer. */
void letters_put(letters_t *l, const dead_t *question);
/* 1 with an answer; 0 when `until_ms` has come or `fd` (-1: none) can be read; -ETIMEDOUT,
 * -ECONNREFUSED (never reached anybody), -EPROTO (refused) and others, with `why`. */
int letters_wait(letters_t *l, int fd, int64_t until_ms, answer_t *ret, char *why);

#endif

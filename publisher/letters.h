/* Dead letters on the client endpoint: DEAD, answered by BURIED (docs/PROTOCOL.md section 6). Listing and
 * counting are answered at once; redrive, purge and done become part of the round and are answered after its
 * commit. Each request looks at a bounded number of letters: the client asks again from where it ended. */
#ifndef MANDRILL_LETTERS_H
#define MANDRILL_LETTERS_H

#include "common/runtime/server.h"
#include "publisher/round.h"

enum {
    /* A request is worth so many records of what one turn takes, by what it looks at: */
    LETTERS_COST_MIN = RECORDS_MAX / 64,
    LETTERS_COST_MAX = RECORDS_MAX / 4,
    LETTERS_ANSWERS_MAX = RECORDS_MAX / LETTERS_COST_MIN, /* so there are no more than this in a round */
};

typedef struct {
    uint32_t routing_id;
    uint32_t len;
    size_t at; /* in `answers_bytes` */
} letters_answer_t;

typedef struct {
    outbox_t *outbox;
    round_t *round;
    const char *closed; /* why nothing is changed any more; NULL: it is */
    buffer_t frame, answers_bytes;
    letters_answer_t answers[LETTERS_ANSWERS_MAX];
    uint32_t answers_count;
    struct letters_pick *picks; /* letters that a request has found */
    /* Since when the wall clock was not set back, as far as requests have seen; and what it was ahead of the
       monotonic one then. */
    int64_t steady_ms, ahead_ms;
    bool timed;
} letters_t;

int letters_open(letters_t *l, outbox_t *outbox, round_t *round); /* 0 or -ENOMEM */
void letters_close(letters_t *l);
/* A DEAD frame: what it was worth, or -EPROTO. */
int letters_take(letters_t *l, server_t *server, uint32_t client, const frame_t *frame);
/* BURIED for what was committed; or ERROR with `code` (0: none) when the round was undone. */
void letters_answer(letters_t *l, server_t *server, unsigned code, const char *why);

#endif

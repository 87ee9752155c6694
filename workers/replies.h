/* The RESULTS for one consumer: numbered from 1, and kept until the consumer has seen them, so that a cut
 * connection loses none and repeats no work (docs/PROTOCOL.md section 3, rule 7). Pure.
 *
 *   under construction --close--> to be sent --sent--> waits to be seen --seen--> gone
 *                                     ^------- again -------|
 *
 * Bounded: above REPLIES_KEPT_MAX results, or REPLIES_BYTES_MAX, the oldest are dropped. Their tasks are then
 * no longer held, so at the worst the consumer gives them again. */
#ifndef MANDRILL_REPLIES_H
#define MANDRILL_REPLIES_H

#include "common/core/proto.h"

enum {
    /* With a full window besides, they still fit into the `held` of one HELLO. */
    REPLIES_KEPT_MAX = HELD_MAX - WINDOW_MAX,
    REPLIES_BYTES_MAX = 8 * 1024 * 1024,
};

typedef struct {
    uint64_t no;
    uint32_t results;
    buffer_t bytes; /* the frame */
} reply_t;

typedef struct {
    reply_t *ring;
    uint32_t capacity; /* a power of two */
    uint32_t first;
    uint32_t count; /* with the one under construction */
    uint32_t sent;  /* of them, from the first */
    uint64_t next_no;
    uint32_t kept; /* results in all of them */
    size_t kept_bytes;
    batch_t batch;
    bool open; /* the last one is under construction */
    uint64_t dropped;
} replies_t;

void replies_init(replies_t *r);
void replies_done(replies_t *r);
/* 0 or -ENOMEM. */
int replies_add(replies_t *r, const result_record_t *result);
/* Ends the frame under construction, if there is one. */
void replies_close(replies_t *r);
/* The next frame to be sent, or NULL. */
const buffer_t *replies_unsent(const replies_t *r);
void replies_sent(replies_t *r);
/* The consumer has taken all up to this number. */
void replies_seen(replies_t *r, uint64_t seen);
/* A new session of the connection: everything that is kept is to be sent again. */
void replies_again(replies_t *r);
/* The consumer is gone: drops all and numbers from 1. */
void replies_forget(replies_t *r);
/* The refs of all results that are kept, at most `max`; how many. */
uint32_t replies_refs(const replies_t *r, uint64_t *ret, uint32_t max);

#endif

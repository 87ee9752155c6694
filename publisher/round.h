/* A round: what came in since the last commit becomes true on disk by one commit, and in memory and for
 * others only after it.
 *
 *   round_insert, round_client, round_load    new messages, and what is remembered of where they came from
 *   round_step                                what consumers report
 *   round_redrive, round_purge, round_resolve what becomes of dead letters
 *   round_commit                              all of it or nothing; then the codes are good, answers may go
 *   round_end                                 forgets the answers, for the next round
 *
 * A round that failed for want of space (-ENOSPC) is undone, but for the steps: a consumer waits for their
 * answer, and deletions are what makes room. round_again() stages them anew, without what was new, and
 * commits them in small pieces, which fit where a whole round does not. Any other failure is the end of this
 * process. */
#ifndef MANDRILL_ROUND_H
#define MANDRILL_ROUND_H

#include "publisher/backlog.h"

/* One frame may pass the limit at which receiving stops. */
enum { ROUND_STEPS_MAX = 2 * RECORDS_MAX };

typedef struct {
    uint64_t id;
    size_t at;
    uint32_t len;
} round_insert_t;

typedef struct {
    delivery_step_t step; /* its ref is its place */
    uint16_t session;
    uint8_t newly_bad; /* legs that end badly by it, and had not before */
    uint16_t text_len, note_len;
    uint32_t text_at, events_at, note_at; /* in `texts` */
    uint32_t events_len;
} round_step_t;

typedef struct {
    uint64_t published, acked, died, redriven, purged, resolved, noted;
    uint64_t legs_done[LEGS_MAX];
    uint64_t redelivered;
    int64_t first_us, last_us; /* first message handed over (or settled), last one settled; 0: none */
    histogram_t latency;
} round_counts_t;

typedef struct {
    outbox_t *outbox;
    delivery_t *delivery;
    backlog_t *backlog;
    uint8_t legs;            /* of new messages */
    uint64_t dispatch_ahead; /* ids */
    int64_t now_ms, now_us, wall_ms;

    bool open; /* a transaction has begun */
    int failed;
    buffer_t bodies;
    round_insert_t *inserts;
    uint32_t inserts_count, inserts_cap;
    round_step_t *steps;
    uint8_t *codes; /* step_code_t, in the order of the steps */
    uint32_t steps_count;
    bool undone;            /* its steps wait to be done again */
    uint32_t again_from;    /* steps before it are committed: of a round that is large, or done again */
    uint32_t deleted_alone; /* without an entry in memory */
    uint32_t done_alone[LEGS_MAX];
    uint32_t redriven, purged, resolved, noted;
    size_t moved_bytes; /* bodies that go to the dead letters with the next commit */
    buffer_t texts;     /* of the steps, and their events and notes */
    buffer_t event;
    /* Who is meant by a session's name (delivery_session_name), for people; may be NULL. */
    const char *(*label)(void *arg, uint32_t who);
    void *label_arg;
    void (*inserted)(void *arg, const round_insert_t *insert,
                     const void *body); /* after the commit; may be NULL */
    void *arg;
    round_counts_t counts;
} round_t;

int round_init(round_t *r, outbox_t *outbox, delivery_t *delivery, backlog_t *backlog,
               uint32_t dispatch_ahead);
void round_done(round_t *r);
void round_time(round_t *r, int64_t now_ms, int64_t now_us, int64_t wall_ms);

/* It has not failed, and its bodies have not reached ROUND_BYTES_MAX. */
bool round_takes_more(const round_t *r);
/* Appends the body that was written to r->bodies from `at` on. 0 or -errno; after a failure the round fails.
 * Not while it is `undone`: pieces of it may fail, and others not. */
int round_insert(round_t *r, size_t at, uint64_t *ret_id);
int round_client(round_t *r, uint64_t session, uint64_t number, uint64_t first_id, uint32_t stored);
int round_load(round_t *r, const char *load_id, uint64_t position);
/* The round is not to be committed; returns the error. 0 changes nothing. */
int round_fail(round_t *r, int error);
/* Stages the step; its place among the codes. */
uint32_t round_step(round_t *r, uint16_t session, uint64_t row_id, const step_t *s);

/* Of a dead letter: 0, also when there is none any more; -EAGAIN a step of this round names it; else the
 * round fails. `deliveries`: what it had lost. Steps come before these in a round, and not while it is
 * `undone`: one that came after would see what is not committed. */
int round_redrive(round_t *r, uint64_t id, uint32_t deliveries);
int round_purge(round_t *r, uint64_t id);
/* Those of the legs that have ended badly are done: also 0 when none has. */
int round_resolve(round_t *r, uint64_t id, uint8_t legs);

/* Stages leases that are lost, as delivery_expire() does, but no more than a commit has room for: the others
 * are due at once again. Returns how many. */
size_t round_expire(round_t *r, size_t max);

int round_commit(round_t *r);
int round_again(round_t *r);
void round_end(round_t *r);

#endif

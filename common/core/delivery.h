/* The publisher's delivery decisions: which message goes to which consumer, what a PROGRESS step means, what
 * expires. Pure: `now` is an argument, the disk is the caller's.
 *
 * Life in memory:
 *
 *   add -> READY --take--> LEASED --progress, expire--> (staged) --commit--> gone, READY or PARKED
 *
 * Nothing that has to be on disk takes effect before the commit: progress() and expire() only *stage*
 * changes; the caller writes what delivery_staged() lists in one transaction and then calls
 * delivery_commit(), or delivery_rollback() when the transaction failed. Several steps for one message in one
 * round become one change. What changes no disk counts at once: an extension, a release without a delay, the
 * end of a delay or of limbo.
 *
 * Memory: 88 bytes and an index entry for each message in the table, which grows by doubling; bodies only of
 * READY messages that were added with one. A lease holds no body: a redelivery reads it from the outbox
 * again. First deadlines are a FIFO for each session (they are all the same length); a heap holds only
 * extended leases, delays and limbo. Of messages that wait for longer than PARKED_SHORT_MS only `parked_max`
 * are in memory: the others leave it with the commit, and come back by delivery_add() when their time is
 * near.
 *
 * Suspects: a message that has lost two leases or more may be what kills its consumers. A session has few of
 * them out at a time, fewer the more they have lost, and of one level only, the highest that waits first: so
 * what dies with a suspect is at most its equals, and what is left alone with it are messages that are none.
 * When a session is dropped that has suspects out, only their leases count as lost; the others count for
 * suspicion alone, so that a poison among them is a suspect itself after two, or after one beside suspects
 * that have lost three or more.
 *
 * Ownership: bodies are copied in; items point to them until delivery_sent() or delivery_untake(). */
#ifndef MANDRILL_DELIVERY_H
#define MANDRILL_DELIVERY_H

#include "common/core/histogram.h"
#include "common/core/proto.h"

/* Row ids and tokens: epoch * 2^40 + counter, so neither is minted twice. */
#define EPOCH_SHIFT 40
enum { SESSIONS_MAX = 4096, DELIVERY_NO_SESSION = 0xffff };

typedef struct {
    uint32_t table_max;     /* messages in memory in any state */
    uint32_t ready_max;     /* of them READY, before no more are to be added */
    size_t ready_bytes_max; /* the same for their bodies, rounded up as memory is */
    int64_t ack_deadline_ms;
    int64_t lease_cap_ms;    /* total extension of one delivery */
    uint32_t max_deliveries; /* with so many lost leases a message is dead; at least 1 */
    uint32_t parked_max;     /* that wait for longer than PARKED_SHORT_MS; 0: as many as there are */
} delivery_limits_t;

enum { PARKED_SHORT_MS = 1000, SUSPECT_LOSSES = 2, SUSPECT_LEVELS = 3 };
/* By level how many a session may have out: of messages with two lost leases, three, more. */
extern const uint32_t suspects_max[SUSPECT_LEVELS];

typedef enum {
    MESSAGE_NEW,   /* to READY, or PARKED when wait_ms > 0 */
    MESSAGE_BACK,  /* the same, and when it goes out it goes before those that have never been */
    MESSAGE_LIMBO, /* may be out since before a restart: waits wait_ms (0: one ack deadline), or until an
                      extend or a note adopts it */
    MESSAGE_DEAD,  /* a dead letter that a late step names: leaves with the next commit or rollback */
} message_state_t;

typedef struct {
    uint64_t id; /* row id */
    uint8_t legs, done, bad;
    uint32_t deliveries;
    message_state_t state;
    uint64_t token; /* LIMBO: of the last lease that is known of; no older one adopts. 0: of none */
    int64_t wait_ms;
    int64_t added_us; /* monotonic; 0: not measured */
    const void *body; /* NULL: read it at delivery */
    uint32_t body_len;
} delivery_message_t;

typedef struct {
    uint32_t slot;
    uint64_t id;
    uint64_t token;
    uint8_t open; /* legs */
    uint32_t deliveries;
    const void *body; /* NULL: the caller reads it from the outbox */
    uint32_t body_len;
} delivery_item_t;

typedef enum { CHANGE_DELETE, CHANGE_MARK, CHANGE_BURY } change_kind_t;

/* How a lease ends with a change. */
typedef enum {
    LEASE_GOES_ON, /* or there is none, or the message has ended with it */
    LEASE_RELEASED,
    LEASE_NACKED,
    LEASE_CAPPED, /* extended for as long as there is */
    LEASE_LOST,
    LEASE_SPARED, /* lost and not counted: whoever had it held suspects */
} lease_end_t;

/* The message as it is to be on disk: all fields, not only those that changed. */
typedef struct {
    uint64_t id;
    change_kind_t kind;
    uint8_t done, bad;  /* never both for a leg */
    uint8_t newly_done; /* of `done`: what the disk does not know yet, for counting */
    uint32_t deliveries;
    uint32_t ref;    /* of the step that ended the lease: RELEASED, NACKED */
    int64_t wait_ms; /* from the commit to the next delivery */
    bool exhausted;  /* CHANGE_BURY because of max_deliveries */
    lease_end_t lease_end;
} delivery_change_t;

typedef struct {
    uint32_t who;   /* had it last: the name of its session; 0: not known */
    int64_t age_ms; /* since it was given */
} delivery_lease_t;

typedef struct {
    uint64_t id; /* row id of the step's message */
    uint64_t token;
    uint8_t done, bad;
    step_op_t op;
    uint8_t note_bit; /* NOTE: of which leg; the note itself is the caller's */
    int64_t ms;
    uint32_t ref; /* the caller's: comes back in the change */
} delivery_step_t;

typedef struct delivery delivery_t;

delivery_t *delivery_new(const delivery_limits_t *limits, uint32_t epoch);
void delivery_destroy(delivery_t **d);
/* From now on, also for what is there: a message that has lost so many leases already dies with the next. */
void delivery_limits(delivery_t *d, int64_t lease_cap_ms, uint32_t max_deliveries);

/* How many more messages may be added with a body now. A sixteenth of the table is left out of it: room for
 * those that steps name, which come without a body. */
size_t delivery_room(const delivery_t *d);
/* 0; -EEXIST the id is in the table; -ENOSPC no room; -EAGAIN it waits too long for a place among
 * `parked_max`; -EINVAL no legs, all have ended already (but for MESSAGE_DEAD), or the body is too long;
 * -ENOMEM. */
int delivery_add(delivery_t *d, const delivery_message_t *m, int64_t now_ms);
bool delivery_has(const delivery_t *d, uint64_t id);
bool delivery_in_limbo(const delivery_t *d, uint64_t id);

/* Sessions are small numbers of the caller (0..SESSIONS_MAX-1). Opening an open one sets its window. */
void delivery_session_open(delivery_t *d, uint16_t session, uint32_t window);
void delivery_session_window(delivery_t *d, uint16_t session, uint32_t window);
/* Any number but 0, which delivery_staged_lease() tells of its leases, also after it was dropped. */
void delivery_session_name(delivery_t *d, uint16_t session, uint32_t who);
uint32_t delivery_credit(const delivery_t *d, uint16_t session);
uint32_t delivery_outstanding(const delivery_t *d, uint16_t session);
/* The session is dead: its leases run out. The number may be opened again at once. */
void delivery_session_drop(delivery_t *d, uint16_t session);
/* The session holds only the `n` ids (sorted ascending) of what it was given: the rest is READY at once,
 * nothing counted. n = 0 for BYE. Of these ids, leases that a dropped session left and messages in limbo are
 * outstanding with this one from now on: it holds them and has no room for others in their place. */
void delivery_session_holds(delivery_t *d, uint16_t session, const uint64_t *ids, size_t n);
/* The session with credit that is least loaded: the smallest part of its window is outstanding; of those that
 * are equal, the widest. DELIVERY_NO_SESSION: nobody has credit. */
uint16_t delivery_best_session(const delivery_t *d);
/* The same of those that would be given something of what is READY. */
uint16_t delivery_taker(const delivery_t *d);

/* Leases up to `max` READY messages whose id is at most `id_max` to the session, within its credit: first
 * suspects, then those that were out or waited before, then the others, each in order. Each gets a fresh
 * token. Every item
 * must then be given to delivery_sent() or delivery_untake(). What is staged is left out. */
size_t delivery_take(delivery_t *d, uint16_t session, uint64_t id_max, size_t max, int64_t now_ms,
                     delivery_item_t *ret);
void delivery_sent(delivery_t *d, const delivery_item_t *items, size_t n);
/* The send failed: back to READY, in the old order. When items of one take come in several calls: the last
 * ones first. */
void delivery_untake(delivery_t *d, const delivery_item_t *items, size_t n);
/* The greatest of the ids that stand first among what is READY, 0 when none: for committing dispatched_to
 * ahead. Up to there none keeps those behind it from going out. */
uint64_t delivery_ready_head(const delivery_t *d);

/* A step from a session: its SETTLED byte. STEP_GONE when the id is not in the table: the caller looks on
 * disk, adds what it finds (MESSAGE_LIMBO, MESSAGE_DEAD or MESSAGE_NEW without a body) and calls again.
 * STEP_GRANTED: the caller writes the note with the round; a change is staged for the message, so that it
 * stays where it is until then. */
step_code_t delivery_progress(delivery_t *d, uint16_t session, const delivery_step_t *s, int64_t now_ms);
/* Under which token a note of the lease `token` is to be kept: behind the next start none that is older
 * adopts the message. Of a lease from an earlier start, which was adopted, this is the first of this start:
 * another may have been given later than it and before this start, and who has that one has not seen the
 * note. */
uint64_t delivery_note_token(const delivery_t *d, uint64_t token);
/* Its legs that have ended badly, with what is staged; 0 when the id is not in the table. */
uint8_t delivery_bad(const delivery_t *d, uint64_t id);
/* Stages leases that are lost and ends delays and limbo that are over, at most `max`; returns how many. Call
 * it when all that has come in was given to delivery_progress(). */
size_t delivery_expire(delivery_t *d, int64_t now_ms, size_t max);
/* When something is due next; INT64_MAX for never. */
int64_t delivery_next_ms(const delivery_t *d);

const delivery_change_t *delivery_staged(const delivery_t *d, size_t *ret_n);
/* Of the i-th change with a lease_end. */
void delivery_staged_lease(const delivery_t *d, size_t i, int64_t now_ms, delivery_lease_t *ret);
void delivery_commit(delivery_t *d, int64_t now_ms, int64_t now_us,
                     histogram_t *latency); /* latency of each CHANGE_DELETE; may be NULL */
void delivery_rollback(delivery_t *d);

typedef struct {
    uint32_t ready, leased, parked, limbo, total;
    uint32_t suspects; /* among all of these */
    size_t ready_bytes;
    uint64_t extended, expired, stale; /* counts since the start */
    uint64_t left;                     /* that have left memory to wait on disk */
} delivery_gauges_t;
void delivery_gauges(const delivery_t *d, delivery_gauges_t *ret);
/* For SIGUSR1: calls `each` for every leased message. */
void delivery_each_leased(const delivery_t *d,
                          void (*each)(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms,
                                       uint8_t done),
                          void *arg);

#endif

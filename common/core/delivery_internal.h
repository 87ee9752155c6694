/* What the files of the delivery share: the table of messages and its lists. Private to delivery*.c.
 *
 * A slot is in at most one list (its state says which) and in the heap only while a time of its own is to
 * come: a delay, limbo, or a lease that does not run out in the order of its session's `first` list. Every
 * change of state goes table_leave(), change of the entry, table_enter(): no list, heap or count is touched
 * elsewhere. */
#ifndef MANDRILL_DELIVERY_INTERNAL_H
#define MANDRILL_DELIVERY_INTERNAL_H

#include "common/core/delivery.h"
#include "common/core/fifo.h"
#include "common/core/heap.h"
#include "common/core/index.h"
#include "common/core/slab.h"

#define STAGE_NONE UINT32_MAX

typedef enum {
    ENTRY_FREE,
    ENTRY_READY,
    ENTRY_LEASED,
    ENTRY_PARKED, /* READY when its delay is over */
    ENTRY_LIMBO,
    ENTRY_DEAD, /* here for the round that named it */
    ENTRY_STATES,
} entry_state_t;

/* Of a lease whose session was dropped. */
typedef struct {
    uint32_t who;
    uint8_t spared; /* 0: it counts when it is lost; else for suspicion alone, as so many lost leases */
} orphan_t;

/* 64 bytes; links and heap add 24. */
typedef struct {
    uint64_t id;
    uint64_t token; /* of the lease; LIMBO: the first that may adopt it; 0: none */
    int64_t due_ms; /* LEASED: deadline; PARKED, LIMBO: end */
    int64_t added_us;
    void *body; /* of a READY one, from the slab; NULL: on disk only */
    uint32_t body_len;
    uint32_t extended_ms; /* of this lease, in total */
    uint32_t deliveries;
    uint32_t stage;   /* its place in `stages`, or STAGE_NONE */
    uint16_t session; /* who holds it: LEASED, or LIMBO that a HELLO has claimed; else DELIVERY_NO_SESSION */
    uint8_t legs, done, bad;
    uint8_t state;
    uint8_t spared;    /* what leases that were lost and not counted make it suspected for */
    bool timed : 1;    /* the lease's deadline is in the heap, not in the order of `first` */
    bool returned : 1; /* it has been out, or waited: it goes out before those that have not */
} entry_t;

_Static_assert(sizeof(entry_t) <= 64, "a cache line");

/* What becomes of the message with the commit. */
typedef enum { FATE_KEEP, FATE_RETURN, FATE_BURY, FATE_DELETE } fate_t;

typedef struct {
    uint32_t slot;
    fate_t fate;
    bool expired; /* for the gauge */
} stage_t;

typedef struct {
    fifo_t first;                      /* leases that were never extended: their deadlines are in order */
    fifo_t timed;                      /* the others */
    uint32_t suspects[SUSPECT_LEVELS]; /* of both */
    uint32_t window;
    uint32_t who;
    uint16_t place; /* in `open` */
    bool is_open;
} session_t;

struct delivery {
    delivery_limits_t limits;
    uint32_t epoch;
    uint64_t counter; /* of tokens */

    entry_t *entries;
    uint32_t used; /* slots from here on were never used */
    uint32_t capacity;
    links_t links;
    heap_t heap;
    index_t index; /* row id to slot */
    fifo_t unused;
    slab_t bodies;
    uint32_t counts[ENTRY_STATES];

    orphan_t *orphans; /* by slot: good for leases without a session only */

    fifo_t returned, fresh;          /* READY */
    fifo_t suspects[SUSPECT_LEVELS]; /* READY too */
    uint32_t suspects_count;         /* in any state */
    fifo_t dead;

    /* What is staged, and what each of that is on disk: two arrays side by side, since the second is handed
     * out as it is. As large as the table, so that staging cannot fail; only what a round needs is ever
     * touched. */
    stage_t *stages;
    delivery_change_t *changes;
    uint32_t stages_count;

    session_t sessions[SESSIONS_MAX];
    uint16_t open[SESSIONS_MAX]; /* numbers of the open ones */
    uint16_t open_count;

    uint64_t extended, expired, stale, left;
};

int table_init(delivery_t *d);
void table_done(delivery_t *d);
uint32_t table_find(const delivery_t *d, uint64_t id); /* FIFO_NONE: not there */
/* A zeroed entry with the id, in no list: the caller fills it and calls table_enter(). */
int table_insert(delivery_t *d, uint64_t id, uint32_t *ret_slot);
void table_remove(delivery_t *d, uint32_t slot);
void table_leave(delivery_t *d, uint32_t slot);
void table_enter(delivery_t *d, uint32_t slot);
/* Puts the slot into the heap when it belongs there; one with a stage does not until that is resolved. */
void table_arm(delivery_t *d, uint32_t slot);
void table_drop_body(delivery_t *d, uint32_t slot);
/* The lease, delay or limbo is over: READY, or PARKED until due_ms (0: not). */
void table_release(delivery_t *d, uint32_t slot);
void table_return(delivery_t *d, uint32_t slot, uint32_t deliveries, uint8_t spared, int64_t due_ms);
/* READY again as if it had never been leased: in front of its old list. */
void table_untake(delivery_t *d, uint32_t slot);
/* A lease or limbo is the session's now, or nobody's (DELIVERY_NO_SESSION); its end stays. */
void table_assign(delivery_t *d, uint32_t slot, uint16_t session);
/* Its place among the suspects, or SUSPECT_LEVELS: it is none. */
unsigned suspect_level(const entry_t *e);
/* There is a place among those that wait for longer than PARKED_SHORT_MS. */
bool table_may_park(const delivery_t *d, int64_t wait_ms);

#endif

/* What gather.c (tasks), gather_steps.c (reports) and gather_table.c (memory, lists) share. Private to them
 * and to their test.
 *
 * A task's number is slot * LEGS_MAX + leg. A task is in one list at most, the one of its state; only the
 * task_* functions change the state, and they move it between the lists. */
#ifndef MANDRILL_GATHER_INTERNAL_H
#define MANDRILL_GATHER_INTERNAL_H

#include "common/core/fifo.h"
#include "common/core/gather.h"
#include "common/core/heap.h"
#include "common/core/index.h"
#include "common/core/roster.h"
#include "common/core/slab.h"

typedef enum {
    ENTRY_FREE,
    ENTRY_OPEN,
    ENTRY_ENDED, /* in its source's `finals`, or handed out */
    ENTRY_SPENT, /* over; the slot waits for workers that still run one of its tasks */
    ENTRY_STATES
} entry_state_t;

typedef enum { TASK_NONE, TASK_WAITING, TASK_RUNNING, TASK_BACKOFF } task_state_t;

typedef struct {
    uint32_t worker;   /* while RUNNING */
    uint16_t failures; /* tries that count */
    uint8_t state;
    bool given; /* ever, to anybody: else there can be no result */
} task_t;

typedef struct {
    message_id_t id;
    uint64_t token;
    int64_t extend_ms; /* when the next extension is due */
    int64_t report_ms; /* when what has ended is reported, while in `reports` */
    int64_t resume_ms; /* released: when the longest backoff would have been over */
    uint8_t *body;
    uint8_t *text; /* why a leg ended badly, or NULL */
    uint32_t body_len, text_len;
    uint32_t generation, lease;
    uint32_t source;
    uint32_t extended;
    uint8_t state;
    uint8_t legs; /* to be run here */
    uint8_t done, bad;
    uint8_t told_done, told_bad; /* of them: in a step that was handed out */
    uint8_t running;             /* tasks at workers */
    bool lost;                   /* the publisher does not count it as ours */
    bool release;                /* ENDED by a release: legs are left open */
} entry_t;

typedef struct {
    fifo_t extends; /* OPEN, by extend_ms */
    fifo_t reports; /* OPEN with an untold end, by report_ms */
    fifo_t finals;  /* ENDED, not handed out yet */
} source_t;

struct gather {
    gather_limits_t limits;
    uint64_t random;
    uint32_t generation, lease; /* last ones */
    bool releasing;

    uint32_t capacity; /* slots there are; grows by doubling */
    entry_t *entries;
    task_t *tasks;
    links_t extend_links; /* of slots: `extends`, `spare` */
    links_t report_links; /* of slots: `reports`, `finals` */
    links_t task_links;   /* of tasks: `waiting`, `running` */
    heap_t backoffs;      /* tasks by the end of their wait */
    index_t index;        /* OPEN and ENDED slots by message id */
    slab_t slab;

    fifo_t spare;
    uint32_t states[ENTRY_STATES];
    source_t sources[SOURCES_MAX];
    fifo_t waiting[LEGS_MAX];
    fifo_t running[ROSTER_MAX]; /* by worker */
    uint32_t running_legs[LEGS_MAX], backing_off[LEGS_MAX];

    uint64_t done[LEGS_MAX], bad[LEGS_MAX], retries[LEGS_MAX], late, extended;
};

/* The generation's part of a ref: refs are at most 2^63-1. */
#define GENERATION_MASK UINT32_C(0x7fffffff)

static inline uint8_t entry_open_legs(const entry_t *e)
{
    return (uint8_t)(e->legs & ~(e->done | e->bad));
}

static inline bool entry_untold(const entry_t *e)
{
    return e->done != e->told_done || e->bad != e->told_bad;
}

/* gather_table.c */
/* A slot for a new message, or -ENOSPC, -ENOMEM. It is OPEN and in the index, and in no list. */
int gather_table_add(gather_t *g, const gather_message_t *m, uint32_t *ret_slot);
uint32_t gather_table_find(const gather_t *g, message_id_t id); /* INDEX_NONE */
void gather_table_state(gather_t *g, entry_t *e, entry_state_t state);
/* The message is over: out of the index, its memory given back; the slot follows when no task of it runs. */
void gather_table_leave(gather_t *g, uint32_t slot);
/* Out of the lists of its source. */
void gather_table_unlist(gather_t *g, uint32_t slot);
void gather_task_wait(gather_t *g, uint32_t n, bool first);
void gather_task_run(gather_t *g, uint32_t n, uint32_t worker);
void gather_task_back_off(gather_t *g, uint32_t n, int64_t due_ms);
/* In no list. May free the slot of a message that is over. */
void gather_task_stop(gather_t *g, uint32_t n);
/* Stops the tasks of the legs that are at no worker. */
void gather_table_stop_idle(gather_t *g, uint32_t slot, uint8_t legs);

/* gather_steps.c */
/* A leg has ended, or nothing runs any more: what follows from it for the message. */
void gather_entry_review(gather_t *g, uint32_t slot);
/* Puts what has ended on the list of things to report in time. */
void gather_entry_report_later(gather_t *g, uint32_t slot, int64_t now_ms);
/* To the end of the list of extensions. */
void gather_entry_extend_later(gather_t *g, uint32_t slot, int64_t now_ms);

#endif

/* What gather.c (messages, tasks), gather_workers.c (who has them), gather_ends.c (how tries end),
 * gather_tries.c (what is told of them), gather_notes.c (what workers record), gather_steps.c (reports) and
 * gather_table.c (memory, lists) share.
 * Private to them and to their test.
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
    int64_t since_ms; /* when it was given the last time, and then started */
    uint32_t who;     /* to whom then: gather_who() */
    uint32_t took_ms; /* with `kept_ok`: how long the try that ended well */
    uint32_t order;   /* its worker's `given` then, as far as it fits; 0: held when that began */
    uint16_t worker;  /* while RUNNING */
    uint16_t avoid;   /* the worker that let it go over its limit, and 1; 0: none */
    uint8_t failures; /* tries that count */
    uint8_t try_no;   /* of the try that runs */
    uint8_t giving;   /* how often it was given, in turn */
    uint8_t lost;     /* workers that it has lost here; what others have lost with it is only in `failures` */
    uint8_t state;
    bool given;   /* ever, to anybody: else there can be no result */
    bool kept_ok; /* ended well, and is told as a try only if another one of the message fails */
    bool barred;  /* others have recorded a note that its worker does not know: his own would hide it */
} task_t;

_Static_assert((int)ROSTER_MAX <= (int)UINT16_MAX, "task_t.worker");
_Static_assert((int)TRIES_MAX == (int)UINT8_MAX, "task_t.failures");

/* To whom a task was given, and since when he has it, or is at work on it. */
typedef struct {
    uint32_t who; /* gather_who() */
    int64_t since_ms;
} giving_t;

/* What was recorded last of a leg, here or elsewhere. */
typedef struct gather_note {
    struct gather_note *next; /* of another leg of the message */
    uint64_t ref;             /* of the task whose worker has recorded it here */
    int64_t until_ms;         /* when his grant, should he get one, is of no use any more */
    uint32_t try_no, who;     /* his */
    uint32_t told_no;         /* of the step that is on its way; 0: none is */
    uint32_t len, room;
    uint16_t worker;
    uint8_t leg;
    bool untold; /* no step has it yet; while another one of the leg is on its way it waits */
    bool asks;   /* his request for a grant has no answer */
    uint8_t bytes[];
} gather_note_t;

typedef struct {
    message_id_t id;
    uint64_t token;
    int64_t lease_ms;  /* when it was delivered */
    int64_t extend_ms; /* when the next extension is due */
    int64_t report_ms; /* when what has ended is reported, while in `reports` */
    int64_t resume_ms; /* released: when the longest backoff would have been over */
    uint8_t *body;
    uint8_t *text;        /* why a leg ended badly, or NULL */
    gather_try_t *tries;  /* not told yet, the oldest first, or NULL */
    gather_note_t *notes; /* of its legs, or NULL */
    uint32_t body_len, text_len;
    uint32_t generation, lease;
    uint32_t source;
    uint32_t extended;
    uint8_t state;
    uint8_t legs;      /* to be run here */
    uint8_t legs_ever; /* whose tasks may have been touched */
    uint8_t done, bad;
    uint8_t told_done, told_bad; /* of them: in a step that was handed out */
    uint8_t running;             /* tasks at workers */
    uint8_t waiting;             /* tasks in WAITING */
    uint8_t backing_off;         /* tasks in BACKOFF */
    uint8_t tries_count;
    uint16_t tries_bytes; /* what they take as events, at most */
    bool failed;          /* a try has, here or before: now the others are told too */
    bool lost;            /* the publisher does not count it as ours */
    bool release;         /* ENDED by a release: legs are left open */
    bool stray;           /* not given to us: only here to tell of a stray that ended well */
    bool held_up;         /* ENDED, and its final step waits until its notes are told */
} entry_t;

typedef struct {
    fifo_t extends;           /* OPEN, by extend_ms */
    fifo_t reports;           /* OPEN with an untold end, by report_ms */
    fifo_t finals;            /* ENDED, not handed out yet */
    fifo_t notes;             /* with a note that can be told now */
    int64_t extend_within_ms; /* of leases that are short for extend_every_ms; 0: not known */
    int64_t idle_max_ms;      /* a message of which nothing is at work goes back after this; 0: never */
} source_t;

/* The names of the workers that joined last: more than there can be at once, as tries outlive workers. */
enum { WHO_MAX = 2 * ROSTER_MAX };

typedef struct {
    uint8_t len;
    char bytes[LABEL_BYTES_MAX];
} who_t;

/* A try that a worker still has and that nobody waits for. */
enum { LOST_WORKER = ROSTER_MAX }; /* whose it is until he comes back */
typedef struct {
    uint64_t ref;
    message_id_t id; /* seq 0: not known any more */
    uint64_t token;
    uint32_t source; /* SOURCES_MAX: gone */
    uint32_t worker;
    giving_t of;
} stray_t;

/* How dangerous a task is, by the workers it has lost. */
enum { CLASS_NORMAL, CLASSES = 4 };

static inline uint32_t class_of(const task_t *t)
{
    return t->lost < 2 ? CLASS_NORMAL : t->lost < 4 ? t->lost - 1u : CLASSES - 1;
}

/* A request for a grant that is to be answered. */
typedef struct gather_answer {
    struct gather_answer *next;
    grant_record_t record;
} gather_answer_t;

typedef struct {
    fifo_t running; /* tasks, in the order in which they were given */
    fifo_t strays;
    uint32_t who;            /* 0: it has no name */
    uint64_t given, started; /* tasks since WELCOME */
    uint32_t unstarted;      /* the first of `running` that has not been started, or FIFO_NONE */
    uint32_t suspects;       /* of `running` */
    uint32_t suspects_class; /* theirs */
    gather_answer_t *answers, **answers_end; /* not taken yet, or NULL */
} holder_t;

/* Of a task that the worker has. What is out lies closer together than half of what fits into `order`. */
static inline bool has_started(const holder_t *h, const task_t *t)
{
    return t->order == 0 || (uint32_t)h->started - t->order <= INT32_MAX;
}

struct gather {
    gather_limits_t limits;
    gather_policy_t policies[LEGS_MAX];
    uint64_t random;
    uint32_t generation, lease; /* last ones */
    uint32_t generation_first;  /* the one before those that are ours: half of all behind, at most */
    bool releasing;

    uint32_t capacity; /* slots there are; grows by doubling */
    entry_t *entries;
    task_t *tasks;
    links_t extend_links; /* of slots: `extends`, `spare` */
    links_t report_links; /* of slots: `reports`, `finals` */
    links_t note_links;   /* of slots: `notes` */
    links_t task_links;   /* of tasks: `waiting`, `running` */
    heap_t backoffs;      /* tasks by the end of their wait */
    index_t index;        /* OPEN and ENDED slots by message id */
    slab_t slab;
    gather_try_t *told;  /* of the last steps: freed with the next ones */
    who_t *whos;         /* by number, in turn */
    uint32_t whos_count; /* ever */

    uint32_t strays_capacity; /* grows by doubling, up to messages_max */
    stray_t *strays;
    links_t stray_links;
    fifo_t strays_spare;
    fifo_t lost_strays;   /* of LOST_WORKER, the oldest first */
    index_t strays_index; /* by ref and worker */

    uint32_t note_no; /* the last one */
    links_t answer_links;
    fifo_t answering; /* workers with `answers` */

    fifo_t spare;
    uint32_t states[ENTRY_STATES];
    source_t sources[SOURCES_MAX];
    fifo_t waiting[LEGS_MAX][CLASSES];
    int64_t overdue_ms;   /* no try is over its hard limit before */
    uint32_t workers_end; /* no worker from here on was given anything */
    holder_t workers[ROSTER_MAX];
    uint32_t running_legs[LEGS_MAX], backing_off[LEGS_MAX], suspects[LEGS_MAX];

    uint64_t done[LEGS_MAX], bad[LEGS_MAX], retries[LEGS_MAX], timeouts[LEGS_MAX], lost[LEGS_MAX];
    uint64_t late, extended, notes, granted, refused;
};

/* The generation's part of a ref: refs are at most 2^63-1. */
#define GENERATION_MASK UINT32_C(0x7fffffff)
/* They come round after 2^31 messages: what is more than half of that behind cannot be told from what is to
 * come. */
#define GENERATIONS_BEHIND (GENERATION_MASK / 2)
/* And its lower half: the task's number, and above it how often the task was given. */
enum { REF_NUMBER_BITS = 24 };

static inline uint8_t entry_open_legs(const entry_t *e)
{
    return (uint8_t)(e->legs & ~(e->done | e->bad));
}

static inline uint64_t gather_ref(const gather_t *g, uint32_t n)
{
    return (uint64_t)g->entries[n / LEGS_MAX].generation << 32 |
           (uint32_t)g->tasks[n].giving << REF_NUMBER_BITS | n;
}

static inline uint32_t gather_ref_number(uint64_t ref)
{
    return (uint32_t)ref & ((UINT32_C(1) << REF_NUMBER_BITS) - 1);
}

/* The task that a ref names, or NULL when its slot was given to another message since, or never was one. */
static inline task_t *gather_task_by_ref(const gather_t *g, uint64_t ref)
{
    uint32_t n = gather_ref_number(ref);
    if (n / LEGS_MAX >= g->capacity)
        return NULL;
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state != ENTRY_FREE && e->generation == ref >> 32 ? &g->tasks[n] : NULL;
}

/* Whether the worker has this try and is waited for. */
static inline bool gather_is_current(const gather_t *g, uint32_t worker, uint64_t ref, uint32_t try_no)
{
    const task_t *t = gather_task_by_ref(g, ref);
    return t != NULL && t->state == TASK_RUNNING && t->worker == worker &&
           ref == gather_ref(g, gather_ref_number(ref)) && try_no == t->try_no;
}

static inline bool entry_untold(const entry_t *e)
{
    return e->done != e->told_done || e->bad != e->told_bad || e->tries != NULL;
}

/* gather_table.c */
/* A slot for a new message, or -ENOSPC, -ENOMEM. It is OPEN and in the index, and in no list. */
int gather_table_add(gather_t *g, const gather_message_t *m, uint32_t *ret_slot);
/* A stray becomes a message like others: it gets the body. 0, or -ENOMEM. */
int gather_table_body(gather_t *g, entry_t *e, const gather_message_t *m);
uint32_t gather_table_find(const gather_t *g, message_id_t id); /* INDEX_NONE */
void gather_table_state(gather_t *g, entry_t *e, entry_state_t state);
/* The message is over: out of the index, its memory given back; the slot follows when no task of it runs. */
void gather_table_leave(gather_t *g, uint32_t slot);
/* Out of the lists of its source. */
void gather_table_unlist(gather_t *g, uint32_t slot);
void gather_task_wait(gather_t *g, uint32_t n, bool first);
void gather_task_run(gather_t *g, uint32_t n, uint32_t worker, int64_t now_ms);
void gather_task_back_off(gather_t *g, uint32_t n, int64_t due_ms);
/* Its worker has started it, as far as is known now: its limit begins. */
void gather_task_started(gather_t *g, uint32_t n, int64_t now_ms);
/* In no list. May free the slot of a message that is over. */
void gather_task_stop(gather_t *g, uint32_t n);
/* Stops the tasks of the legs that are at no worker. */
void gather_table_stop_idle(gather_t *g, uint32_t slot, uint8_t legs);

/* gather_ends.c */
bool gather_leg_is_open(const gather_t *g, uint32_t n);
/* A task that nobody waits for has ended. It may have been the last one of a message that is let go. */
void gather_run_out(gather_t *g, uint32_t n);
/* Whether as many tries of the open leg have failed as are allowed, here or elsewhere: then it ends with
 * that. Its task is at no worker. */
bool gather_leg_is_tried_out(gather_t *g, uint32_t n, int64_t now_ms);
/* The leg, of a task that is at no worker, has ended badly. */
void gather_leg_fails(gather_t *g, uint32_t n, text_t reason, int64_t now_ms);
/* The result of a try of an open leg; the task is in no list unless another worker runs it now. */
gather_taken_t gather_try_ends(gather_t *g, uint32_t n, const giving_t *of, const result_record_t *r,
                               int64_t now_ms);
/* The leg is done, were it that it had ended badly before. `text`: what its worker says of that, or nothing.
 */
void gather_leg_done(gather_t *g, uint32_t n, const giving_t *of, text_t text, int64_t now_ms);
/* Its worker keeps it, and what he gets done of it is told. False: there is no room to note whose it is. */
bool gather_leave_behind(gather_t *g, uint32_t n);
/* The try is over its hard limit. False: there is no room to note whose it is, and it goes on. */
bool gather_time_out(gather_t *g, uint32_t n, int64_t now_ms);
/* Ends what the worker had of a task, as if it had not been given or as a try that failed. `at_work`: the
 * worker was lost over it, perhaps: should that happen again, it is a suspect, whether it cost a try or not.
 */
void gather_take_back(gather_t *g, uint32_t n, bool at_work, bool costs_try, int64_t now_ms);
/* It has not been given: it could not be sent. */
void gather_take_back_unsent(gather_t *g, uint32_t n);

/* gather_strays.c */
/* The worker has this try and nobody waits for it. `task` is its task's number when that is still known, else
 * UINT32_MAX. Room is made by forgetting what the lost ones had. False: there is none for one more. */
bool gather_stray_add(gather_t *g, uint32_t worker, uint64_t ref, uint32_t task, const giving_t *of);
/* The worker's stray of that ref, or UINT32_MAX. */
uint32_t gather_stray_find(const gather_t *g, uint32_t worker, uint64_t ref);
void gather_stray_remove(gather_t *g, uint32_t stray);
/* To another worker. False: it is forgotten instead, for want of memory. */
bool gather_stray_move(gather_t *g, uint32_t stray, uint32_t worker);
/* There is nobody to tell for this source any more. */
void gather_strays_forget(gather_t *g, uint32_t source);
/* It has ended well: told as far as that can be done. Removes it. */
gather_taken_t gather_stray_ok(gather_t *g, uint32_t stray, text_t text, int64_t now_ms,
                               message_id_t *ret_id);

/* gather_tries.c */
/* A number for a worker that has joined. */
uint32_t gather_who_joined(gather_t *g, const char *label);
/* The name of a worker by that number; empty when it is 0, or too long ago. */
text_t gather_who(const gather_t *g, uint32_t who);
/* Something of the message has failed, here or before: what ended well is told, too. */
void gather_tries_begin(gather_t *g, uint32_t slot);
/* A try of the task is to be told. */
void gather_try_tell(gather_t *g, uint32_t n, const gather_try_t *what);
void gather_tries_hand_out(gather_t *g, entry_t *e, gather_step_t *ret);
void gather_tries_drop(gather_t *g, entry_t *e);
/* Those of the last steps are not looked at any more. */
void gather_tries_told(gather_t *g);

/* gather_notes.c */
/* What the publisher says was recorded of the message's open legs, with a delivery of it: it knows. What was
 * recorded here and not told yet stays, unless others have recorded something since. 0, or -ENOMEM and
 * nothing has changed. To be listed again. */
int gather_notes_come(gather_t *g, uint32_t slot, const gather_message_t *m);
/* Into the list of the message's source when a note of it can be told, else out of it. */
void gather_notes_list(gather_t *g, uint32_t slot);
/* Of the leg, or NULL. */
const gather_note_t *gather_note_of(const entry_t *e, uint32_t leg);
/* The leg has ended: who waits for a grant of it gets none. */
void gather_notes_leg_ended(gather_t *g, uint32_t n, bool done);
/* The lease is lost: nothing more of them is told. */
void gather_notes_lost(gather_t *g, uint32_t slot);
void gather_notes_drop(gather_t *g, uint32_t slot);
bool gather_notes_untold(const entry_t *e);
size_t gather_notes_hand_out(gather_t *g, uint32_t source, int64_t now_ms, gather_step_t *ret, size_t max);
/* What the worker has not been answered is not for the next who has his number. */
void gather_answers_drop(gather_t *g, uint32_t worker);

/* gather_views.c */
entry_t *gather_entry_by_lease(const gather_t *g, uint32_t slot, uint32_t lease);

/* gather_steps.c */
/* A leg has ended, or nothing runs any more: what follows from it for the message. */
void gather_entry_review(gather_t *g, uint32_t slot);
/* When all that is open of the message waits for long, it goes back to its publisher meanwhile. */
void gather_entry_let_go(gather_t *g, uint32_t slot, int64_t now_ms);
/* The last step of a message that has ended, as soon as its notes are told. */
void gather_entry_finish(gather_t *g, uint32_t slot);
/* What all steps have in common: the message, and what was told of its legs before. */
gather_step_t gather_entry_step(const entry_t *e, uint32_t slot, step_op_t op, int64_t ms);
/* One more step for a message that has ended. */
void gather_entry_tell_again(gather_t *g, uint32_t slot);
/* Puts what has ended on the list of things to report in time. */
void gather_entry_report_later(gather_t *g, uint32_t slot, int64_t now_ms);
/* To the end of the list of extensions. */
void gather_entry_extend_later(gather_t *g, uint32_t slot, int64_t now_ms);

#endif

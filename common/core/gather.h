/* The consumer's gather: what is held, which legs of it are open, which task goes next, when to extend and
 * what to report. Pure.
 *
 *   leg:      WAITING (in its leg's queue) --give--> RUNNING --result--> DONE | BAD | BACKOFF --due-->
 * WAITING message:  OPEN --every leg ended--> ENDED (its final step is due or on its way) --SETTLED--> gone
 *
 * Legs here are the consumer's numbers (0..LEGS_MAX-1); the caller maps each publisher's bits to them. A
 * source is the caller's number of the publisher (0..SOURCES_MAX-1), a worker that of the worker. A task's
 * ref is (generation << 32 | giving << 24 | slot * LEGS_MAX + leg): a result finds its message without a
 * search, and one for a slot that was given to another message since is recognised as late. Generations start
 * at random, so that a ref of a former process is late too. The giving tells a task that a worker holds from
 * one that it has answered, that was given to it again since, and that it never got.
 *
 * A try that is over its hard limit has failed, and the worker still has it: a stray. So has a worker that
 * was lost and came back with tasks: these are remembered, as many as messages may be held. A stray's place
 * in the window comes back when it is answered, and when it ended well after all that is told, whatever has
 * become of its message.
 *
 * Tries that failed are counted by task, also over redeliveries (gather_message_t.tries), and told with the
 * message's steps. Nothing is kept of a message all of whose tries ended well, but for what one of them said.
 *
 * Notes (docs/PROTOCOL.md section 4) are the task's from when its worker sends them, and are told in steps of
 * their own, one of a leg at a time, before its message ends. A request for a grant is answered when that
 * step is, if it is the task's last one and the try still is.
 *
 * Ownership: bodies, labels and texts are copied in; tasks and steps point into the gather until the next
 * call that changes it. */
#ifndef MANDRILL_GATHER_H
#define MANDRILL_GATHER_H

#include "common/core/backoff.h"
#include "common/core/proto.h"

enum { SOURCES_MAX = 64 };

/* The leg of a task: a result counts only from a worker of that leg. */
static inline uint32_t gather_ref_leg(uint64_t ref)
{
    return (uint32_t)(ref % LEGS_MAX);
}

/* What a leg's tasks are allowed. */
typedef struct {
    uint32_t max_tries; /* 1..TRIES_MAX */
    backoff_t backoff;
    int64_t limit_ms;      /* when its worker is to cancel a task; 0: never. Told with TASKS, by the caller */
    int64_t limit_hard_ms; /* a try that has been started, and has no result by then, has failed; 0: never */
} gather_policy_t;

typedef struct {
    uint32_t messages_max;   /* held at once */
    int64_t extend_ms;       /* by how much */
    int64_t extend_every_ms; /* and how often; the first after this time */
    int64_t report_after_ms; /* a leg done is reported upstream at the latest then, though others are open */
    int64_t
        release_after_ms; /* a message all of whose open legs wait longer goes back meanwhile; 0: none does */
    gather_policy_t policy; /* of each leg that gather_policy() has said nothing about */
    uint64_t seed;          /* of the jitter */
} gather_limits_t;

typedef struct {
    uint32_t source;
    message_id_t id;
    uint64_t token;
    uint8_t legs;            /* to run, consumer's numbers as bits */
    uint8_t tries[LEGS_MAX]; /* of each leg: how many have failed so far, here or elsewhere */
    const void *body;
    uint32_t body_len;
    const note_t *notes; /* what earlier tries recorded: bit is the consumer's number, each leg once */
    uint32_t notes_count;
} gather_message_t;

typedef struct {
    task_record_t record; /* ready to send; body and note point into the gather */
    uint32_t leg;
} gather_task_t;

typedef enum {
    TAKEN_OK,    /* the leg is done */
    TAKEN_RETRY, /* it will be tried again */
    TAKEN_BAD,   /* the leg has ended badly */
    TAKEN_LATE,  /* ignored */
} gather_taken_t;

/* A try that has ended. */
typedef struct gather_try {
    struct gather_try *next; /* the one that ended after it; means nothing in the last of a step */
    uint32_t leg;
    uint32_t no; /* 1..TRIES_MAX */
    how_t how;
    int64_t since_ms; /* when it was started, as far as that was told, else given; as `now` */
    int64_t took_ms;
    text_t label; /* the worker */
    text_t text;
} gather_try_t;

typedef struct {
    uint32_t slot;
    uint32_t lease; /* names one delivery of the slot's message: an answer to an older one means nothing */
    uint32_t source;
    message_id_t id;
    uint64_t token;
    uint8_t done, bad; /* consumer's numbers */
    step_op_t op;
    int64_t ms;
    bool final;  /* every leg has ended: the slot goes when this is settled */
    text_t text; /* why a leg ended badly; points into the gather */
    const gather_try_t
        *tries; /* that were not told before, the oldest first; good until the next gather_steps() */
    uint32_t tries_count; /* at most STEP_EVENTS_MAX, and HISTORY_BYTES_MAX as events */
    note_t note;          /* OP_NOTE: bit is the consumer's number; points into the gather */
    uint32_t note_no;     /* names it, for gather_note_settled(); 0: there is none */
} gather_step_t;

typedef struct gather gather_t;

gather_t *gather_new(const gather_limits_t *limits);
void gather_destroy(gather_t **ref);
/* From now on, also for what is held: a leg of fewer tries than have failed ends with the next. */
void gather_policy(gather_t *g, uint32_t leg, const gather_policy_t *policy);
const gather_policy_t *gather_policy_of(const gather_t *g, uint32_t leg);

/* All but the seed; the policy is every leg's until gather_policy() says another. Messages that are held keep
 * room, however few may be held now; what is due by a shorter time that was in force stays due then. */
void gather_limits(gather_t *g, const gather_limits_t *limits);

/* 1: new. 0: held already: a newer token is taken, with the source that brings it, and the legs that are
 * still open; nothing runs twice. -ENOSPC: full (the publisher broke its credit). -ENOMEM. */
int gather_deliver(gather_t *g, const gather_message_t *m, int64_t now_ms);

/* Tasks that wait for a worker of the leg. */
uint32_t gather_waiting(const gather_t *g, uint32_t leg);
/* Takes the next task of the leg for the worker; false when none waits for him. A task that has lost two
 * workers is a suspect: of those with two a worker has 16 at a time, of those with three 4, of those with
 * more 1, and only of one kind at a time. `picky`: nothing that this worker has let go over its limit; say so
 * first, and give him that only when no other has room. */
bool gather_give(gather_t *g, uint32_t leg, uint32_t worker, bool picky, int64_t now_ms, gather_task_t *ret);
/* The task could not be sent: it waits again, first in its queue, and nothing was counted. Of several the
 * last that was given first. */
void gather_ungive(gather_t *g, uint64_t ref);

/* The worker's number stands for a new session, called so in tries, which holds these refs from before:
 * returns how many of them count against its window. */
uint32_t gather_worker_joined(gather_t *g, uint32_t worker, const char *label, const uint64_t *refs, size_t n,
                              int64_t now_ms);
/* The session has begun anew and holds only these refs (they get sorted): the rest waits again and costs
 * nothing. Returns how many it has lost. */
uint32_t gather_worker_holds(gather_t *g, uint32_t worker, uint64_t *refs, size_t n, int64_t now_ms);
/* The session gets one more WELCOME, though it has not begun anew: what it has counts as started. */
void gather_worker_welcomed(gather_t *g, uint32_t worker, int64_t now_ms);
/* So many of its tasks the worker has started, in the order in which they were given since its last WELCOME.
 * Their limits begin. */
void gather_worker_started(gather_t *g, uint32_t worker, uint64_t count, int64_t now_ms);
/* The worker is gone: what it was running waits again, first in its queue. `lost`, without a goodbye: what it
 * had started, and what it held when its session began, has used up a try, and the last one allowed ends the
 * leg badly; but when suspects were among that, only these. Returns how many it had. */
uint32_t gather_worker_gone(gather_t *g, uint32_t worker, bool lost, int64_t now_ms);
/* A result from the worker. `ret_id` (may be NULL) is filled unless TAKEN_LATE; ret_freed tells whether it
 * has one task less now (its credit comes back). */
gather_taken_t gather_result(gather_t *g, uint32_t worker, const result_record_t *r, int64_t now_ms,
                             message_id_t *ret_id, bool *ret_freed);

/* A worker records a note, and may ask for a grant. It becomes the task's own and is told with the next
 * steps, in place of one that was not told yet. False: the task is not his, its leg has ended, or the lease
 * is lost; then nothing is recorded, and a grant is refused. */
bool gather_note(gather_t *g, uint32_t worker, const note_record_t *r, int64_t now_ms);
/* Takes answers to requests for grants, at most `max`, all for one worker: how many; 0: there are none. Call
 * it until then. */
size_t gather_answers(gather_t *g, uint32_t *ret_worker, grant_record_t *ret, size_t max);

/* Steps for one source that are due now: notes, messages whose legs have all ended, extensions, legs done
 * that wait to be reported. At most `max`; call again until it returns less. */
size_t gather_steps(gather_t *g, uint32_t source, int64_t now_ms, gather_step_t *ret, size_t max);
/* What the source says of its leases, 0: nothing. Its messages are extended three times within an ack
 * deadline at least, whatever extend_every_ms says. One that is held for half of the cap while no worker has
 * anything of it goes back at the next extension that finds it so: it waits for what is away, or for its
 * turn, and that is to cost it no lease. When they change, gather_extend_all() is to follow. */
void gather_leases(gather_t *g, uint32_t source, int64_t ack_deadline_ms, int64_t lease_cap_ms);
/* Every message of the source that is held gets an extension step now: after a new WELCOME. */
void gather_extend_all(gather_t *g, uint32_t source, int64_t now_ms);
/* When a step of the source is due; INT64_MIN: at once, INT64_MAX: nothing. */
int64_t gather_steps_ms(const gather_t *g, uint32_t source);
/* The answer to a step. True when the message left the gather. When the publisher does not count it as ours
 * any more (all but KEPT, GRANTED), its waiting tasks are dropped, and running ones still count. */
bool gather_settled(gather_t *g, uint32_t slot, uint32_t lease, bool final, step_code_t code);
/* The same for a step with a note. */
bool gather_note_settled(gather_t *g, uint32_t slot, uint32_t lease, uint32_t note_no, step_code_t code);
/* Nobody will answer for this source again: its messages go, running tasks are let run out. */
void gather_source_gone(gather_t *g, uint32_t source);
/* Drain: hands out a release step for every message of which no task runs, and for the others as their tasks
 * end. */
void gather_release(gather_t *g);
/* Backoffs that are over: back to their queues; tries that are over their limit. Call before giving. */
void gather_tick(gather_t *g, int64_t now_ms);
int64_t gather_next_ms(const gather_t *g); /* when it is due; INT64_MAX for never */

/* What is held of a source, for HELLO: pairs of stream, seq. Returns how many numbers were written. */
size_t gather_held(const gather_t *g, uint32_t source, uint64_t *ret, size_t max);
/* For log lines: facts about a held message, by its step. */
typedef struct {
    uint32_t slot;
    message_id_t id;
    uint32_t source;
    uint32_t extended; /* times */
    uint8_t legs, done, bad;
    uint8_t running; /* tasks at workers */
    const void *body;
    uint32_t body_len;
} gather_view_t;
bool gather_view(const gather_t *g, uint32_t slot, uint32_t lease, gather_view_t *ret);
/* One leg of it. */
typedef enum { LEG_WAITING, LEG_RUNNING, LEG_BACKING_OFF, LEG_DONE, LEG_BAD } gather_leg_state_t;
typedef struct {
    gather_leg_state_t state;
    uint32_t failures; /* tries that have failed */
    uint32_t worker;   /* RUNNING: who has it */
    text_t label;      /* what he is called */
    int64_t at_ms;     /* RUNNING: since when; BACKING_OFF: until when */
} gather_leg_view_t;
void gather_leg_view(const gather_t *g, const gather_view_t *view, uint32_t leg, gather_leg_view_t *ret);
/* For SIGUSR1: calls `each` for every held message. */
void gather_each(const gather_t *g, void (*each)(void *arg, const gather_view_t *view), void *arg);

typedef struct {
    uint32_t held;
    uint32_t reporting; /* of them: every leg has ended, the publisher has not answered */
    uint32_t waiting[LEGS_MAX], running[LEGS_MAX], backing_off[LEGS_MAX];
    uint32_t suspects[LEGS_MAX]; /* of those that wait and run */
    uint32_t strays;             /* tries that are over their limit, or came back with their worker */
    /* Counts since the start: */
    uint64_t done[LEGS_MAX], bad[LEGS_MAX], retries[LEGS_MAX], late;
    uint64_t timeouts[LEGS_MAX], lost[LEGS_MAX]; /* tries */
    uint64_t extended;
    uint64_t notes;            /* that workers have recorded */
    uint64_t granted, refused; /* answers to those who asked for a grant */
} gather_gauges_t;
void gather_gauges(const gather_t *g, gather_gauges_t *ret);

#endif

/* What the files of the runtime share: runtime.c (the loop), intake.c (what consumers say), sink.c (what
 * kinds say). */
#ifndef MANDRILL_WORKER_RUNTIME_INTERNAL_H
#define MANDRILL_WORKER_RUNTIME_INTERNAL_H

#include "common/core/index.h"
#include "common/runtime/dialer.h"
#include "common/runtime/health.h"
#include "workers/executor.h"
#include "workers/replies.h"
#include "workers/runtime.h"

typedef struct {
    bool up;
    uint32_t generation; /* rises when another process answers: what the last one gave is its own affair */
    uint32_t held;       /* tasks of this generation */
    uint32_t window;     /* as it was told last */
    /* Since the last WELCOME (docs/PROTOCOL.md section 5, "Started"): */
    uint32_t welcomes; /* which one that is */
    uint64_t given;    /* tasks that came */
    uint64_t begun;    /* how far they have been begun */
    uint64_t told;     /* as it was told last */
    replies_t replies;
    /* NOTES under construction: sent once a turn, before RESULTS. What finds it full is not told of. */
    buffer_t notes;
    batch_t notes_batch;
} consumer_t;

/* The sink that kinds see is the whole runtime. */
struct worker_sink {
    runtime_options_t options;
    loop_t loop;
    int signals_item, signals;
    dialer_t *dialer;
    health_t health;
    held_t tasks;
    exec_t executor;
    consumer_t consumers[DIALS_MAX];
    uint32_t up; /* consumers */
    bool announced;
    bool draining;
    int64_t drain_until_ms;
    uint64_t drained;        /* tasks that were finished while it drained */
    int64_t paused_until_ms; /* the kind's store is away: window 0 until then */
    int failed;              /* -errno: the worker has to exit */
    uint64_t taken;          /* tasks */
    uint64_t outcomes[OUTCOMES];
    uint64_t bad_bodies, over_window, ownerless;
    uint64_t notes, notes_dropped, granted;
    index_t asks;                       /* tasks that wait for a grant, by ref */
    uint64_t *refs;                     /* for one HELLO */
    task_record_t records[RECORDS_MAX]; /* of one frame */
    grant_record_t grants[RECORDS_MAX];
};

typedef struct worker_sink runtime_t;

/* intake.c */
extern const dialer_events_t intake_events; /* but for `arg` */
/* Tells every consumer its share of the window where it has changed. */
void intake_windows(runtime_t *rt);
/* Sends the notes and results that are ready. True when a connected consumer still misses some. */
bool intake_flush(runtime_t *rt);

/* notes.c: what kinds record. */
/* GRANTS: 0 or -EPROTO. */
int notes_take_grants(runtime_t *rt, uint32_t dial, const frame_t *frame);
/* False: they cannot be sent now, and nothing may go before them. */
bool notes_send(runtime_t *rt, uint32_t dial);
void notes_forget(runtime_t *rt, uint32_t dial);
/* The task has ended, or has taken its request back. */
void notes_unask(runtime_t *rt, held_task_t *h);

/* sink.c: the task that a kind speaks of; `says` what, should it not be at work. */
held_task_t *sink_task_at_work(const runtime_t *rt, uint32_t number, const char *says);
/* A result for a task that was never taken. */
void sink_refuse(runtime_t *rt, consumer_t *c, const task_record_t *record, outcome_t outcome, int64_t ms,
                 const char *text);

#endif

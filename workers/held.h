/* The tasks that a worker holds: from TASKS until their result was given. Numbers are places in the table; a
 * task stays where it is in memory, so that kinds may keep pointers to it.
 *
 * Ownership: bodies and notes are copied in. */
#ifndef MANDRILL_HELD_H
#define MANDRILL_HELD_H

#include "common/core/slab.h"
#include "workers/worker.h"

enum { HELD_CHUNK = 1024 };
#define HELD_NONE UINT32_MAX

typedef struct {
    worker_task_t task;
    uint64_t ref;        /* the consumer's name for it */
    uint32_t consumer;   /* the runtime's number */
    uint32_t generation; /* of the consumer: which process gave it */
    void *bytes;
    uint32_t len;
    void *note;   /* NULL: it came with none */
    bool asks;    /* for a grant, and has no answer */
    bool gave_up; /* on one: an answer that comes now would be taken for the next one's */
    bool used;
    uint32_t next_free;
    int64_t taken_ms;
    int64_t begun_ms;  /* 0: it is queued */
    int64_t limit_ms;  /* of the time at work; 0: none */
    uint32_t welcomes; /* of the consumer when it gave the task */
    uint64_t place;    /* among those that it gave since that WELCOME, from 1 */
} held_task_t;

typedef struct {
    held_task_t **chunks;
    uint32_t chunks_count;
    uint32_t count; /* held */
    uint32_t first_free;
    slab_t bodies;
} held_t;

void held_init(held_t *t);
void held_done(held_t *t);
/* Everything but the body's contents is filled in from the record; NULL when memory is out. */
held_task_t *held_add(held_t *t, const task_record_t *record);
held_task_t *held_at(const held_t *t, uint32_t number);
void held_remove(held_t *t, uint32_t number);
/* The held task after this number, or HELD_NONE; begin with HELD_NONE. */
uint32_t held_next(const held_t *t, uint32_t after);

#endif

/* The PROGRESS frames of one publisher, from the first step that is written until their SETTLED has come.
 * They are numbered in order and sent in order, again after WHO or WELCOME.
 *
 * Bounded: KEPT_FRAMES_MAX frames. When all are under way no more steps are taken from the gather, so a
 * publisher that settles slowly gets fewer and larger frames. The struct is embedded and owns the frames. */
#ifndef MANDRILL_CONSUMER_KEPT_H
#define MANDRILL_CONSUMER_KEPT_H

#include "common/core/proto.h"

enum {
    KEPT_FRAMES_MAX = 256,
    KEPT_ROOM_MAX = 256,  /* steps that are promised room at once */
    KEPT_AGAIN_MS = 5000, /* so long without an answer: it is lost, and the frame is sent again */
};

typedef struct {
    uint32_t slot, lease; /* of the gather */
    uint32_t note_no;     /* 0: it has none */
    bool final;
} kept_step_t;

typedef struct {
    buffer_t frame;
    kept_step_t *steps;
    uint32_t count;
    int64_t sent_ms;
} kept_frame_t;

typedef struct {
    uint32_t steps_max;                    /* of a frame */
    kept_frame_t *frames[KEPT_FRAMES_MAX]; /* by number, in turn; NULL: settled */
    kept_frame_t *spare[KEPT_FRAMES_MAX];  /* the one used last on top: its memory is warm */
    uint32_t spare_count;
    uint64_t first_no;  /* the oldest that is not settled */
    uint64_t unsent_no; /* the next to be sent */
    uint64_t next_no;   /* of the next frame, or of the open one */
    bool open;
    batch_t batch; /* of the open frame */
} kept_t;

void kept_init(kept_t *k, uint32_t steps_max);
void kept_done(kept_t *k);
/* How many steps may surely be added now: up to KEPT_ROOM_MAX. */
uint32_t kept_room(const kept_t *k);
/* 0, -ENOSPC, -ENOMEM. */
int kept_add(kept_t *k, const step_t *step, kept_step_t of);
/* The open frame is ready to be sent. 0, or -ENOMEM: it cannot be, nor forgotten. */
int kept_end(kept_t *k);
/* The next frame to send, or NULL. Say kept_sent() when it was. */
const buffer_t *kept_unsent(const kept_t *k);
void kept_sent(kept_t *k, int64_t now_ms);
/* All that is not settled is to be sent again. */
void kept_again(kept_t *k);
/* When the oldest frame has waited too long for its answer; INT64_MAX: none waits. */
int64_t kept_again_ms(const kept_t *k);
/* The frame that a SETTLED is about, or NULL: settled before, or never sent. */
const kept_frame_t *kept_find(const kept_t *k, uint64_t no);
void kept_settled(kept_t *k, uint64_t no);
bool kept_empty(const kept_t *k);

#endif

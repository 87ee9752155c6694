/* Peers that a test plays itself: a consumer, a worker, a client, or somebody who sends what he likes.
 *
 * A fake with a session says HELLO by itself (again after WHO) and PINGs while it waits for something; what
 * it is given it keeps until the test takes it; nothing else is answered by itself. Errors: what does not
 * come in time fails the test. Frames that were received are good until the next call. */
#ifndef MANDRILL_TEST_FAKE_H
#define MANDRILL_TEST_FAKE_H

#include "common/core/proto.h"
#include "tests/support/rig.h"

enum { FAKE_GIVEN_MAX = 4 * RECORDS_MAX };

typedef struct {
    uint8_t frame[FRAME_BYTES_MAX];
    delivery_record_t deliveries[FAKE_GIVEN_MAX]; /* not yet taken, without their bodies */
    task_record_t tasks[FAKE_GIVEN_MAX];
} fake_room_t;

typedef struct {
    rig_t *rig;
    void *socket;
    hello_t hello; /* session 0: a client, or raw */
    const uint64_t *held;
    welcome_t welcome;
    bool welcomed;
    uint64_t next_no; /* of PROGRESS, RESULTS, PUBLISH: from 1 */
    int64_t said_ms;
    size_t len; /* of room->frame, the last one that was received */
    size_t deliveries_count, tasks_count;
    fake_room_t *room; /* the rig's */
} fake_t;

#define FAKE_LABEL "fake:1"

void fake_raw(fake_t *f, rig_t *rig, const char *endpoint);
/* Both have been welcomed when they return. */
void fake_consumer(fake_t *f, rig_t *rig, const char *endpoint, uint32_t window);
void fake_worker(fake_t *f, rig_t *rig, const char *endpoint, const char *kind, const char *leg,
                 uint32_t window);
/* Another peer on the same connection, with nothing in hand: whoever was there before is lost. */
void fake_again(fake_t *f);
/* Gone without a word. */
void fake_close(fake_t *f);
void fake_bye(fake_t *f);

void fake_send(fake_t *f, const void *frame, size_t len);
void fake_send_buffer(fake_t *f, buffer_t *frame); /* and empties it */
/* The next frame of any kind within the time: its command, or -1. */
int fake_recv_any(fake_t *f, int timeout_ms);
/* Drops others until a frame with the command comes; false after the time. */
bool fake_recv_within(fake_t *f, command_t command, int timeout_ms);
void fake_recv(fake_t *f, command_t command);
/* The code of the next ERROR. */
unsigned fake_recv_error(fake_t *f);

/* Whether it is given a message within the time. */
bool fake_given(fake_t *f, int timeout_ms);
/* Takes the next n messages. */
void fake_take(fake_t *f, delivery_record_t *ret, unsigned n);
/* One step, and the byte that SETTLED says about it. */
step_code_t fake_step(fake_t *f, const delivery_record_t *d, uint8_t done, uint8_t bad, step_op_t op,
                      int64_t ms);
/* The same of a whole step. */
step_code_t fake_say(fake_t *f, const step_t *step);
/* Whether it is given a task within the time. */
bool fake_tasked(fake_t *f, int timeout_ms);
/* Takes the next n tasks. */
void fake_take_tasks(fake_t *f, task_record_t *ret, unsigned n);
void fake_result(fake_t *f, const task_record_t *t, outcome_t outcome);

/* PUBLISH of `n` instances "<prefix>-0" ... under a session and number; sent only. */
void fake_publish(fake_t *f, uint64_t session, uint64_t number, const char *prefix, unsigned n);
/* And its CONFIRM, whose refusals are not kept. */
void fake_confirm(fake_t *f, confirm_t *ret);
/* DEAD and its BURIED: how many letters; they are good until the next frame. `number` is filled in. */
int fake_dead(fake_t *f, const dead_t *d, buried_t *ret, letter_t ret_letters[static LETTERS_MAX]);
/* A body with one attribute: {"instance": name}. */
void fake_body(buffer_t *b, const char *name);

#endif

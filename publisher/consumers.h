/* The lease endpoint: sessions of consumers, their credit, what they report, what they are given
 * (docs/PROTOCOL.md section 4). */
#ifndef MANDRILL_CONSUMERS_H
#define MANDRILL_CONSUMERS_H

#include "common/runtime/server.h"
#include "publisher/round.h"
#include "publisher/settings.h"

/* A PROGRESS of this round: its answer waits for the commit. */
typedef struct {
    uint32_t peer;
    uint64_t no;
    uint32_t first, count; /* steps of the round */
} progress_answer_t;

/* Who a session is. A lease may be lost long after its session: the name outlives it, until so many others
 * have come. */
enum { LABELS_MAX = 4 * SESSIONS_MAX };
typedef struct {
    uint32_t who;
    char text[LABEL_BYTES_MAX + 1];
} consumer_label_t;

typedef struct {
    server_t *server;
    outbox_t *outbox;
    delivery_t *delivery;
    round_t *round;
    uint32_t batch;
    uint64_t stream; /* of this start */
    uint32_t epoch;
    buffer_t frame;
    buffer_t notes; /* of the message that is put into it */
    step_t *steps;
    delivery_item_t *items;
    progress_answer_t *answers;
    uint32_t answers_count;
    /* A session that could not be sent to gets nothing more for a moment. */
    struct {
        uint32_t window;
        uint32_t who;
        bool blocked;
        uint64_t given; /* messages, since it connected */
    } sessions[SESSIONS_MAX];
    consumer_label_t *labels;
    uint32_t last_who;
    uint32_t blocked_count;
    int64_t blocked_until_ms;
    uint64_t redelivered;
} consumers_t;

int consumers_open(consumers_t *c, const settings_t *s, outbox_t *outbox, delivery_t *delivery,
                   round_t *round, loop_t *loop, char *why);
void consumers_close(consumers_t *c, int linger_ms);
/* Takes what has come in, a frame or two of the largest; true when nothing is left. */
bool consumers_receive(consumers_t *c);
/* SETTLED for what the round has committed. */
void consumers_answer(consumers_t *c);
/* Gives out what is READY, as far as dispatched_to is committed and no more than a turn's share: 0, or what
 * the outbox fails with. *ret_more: what is left would be taken in the next turn. */
int consumers_deliver(consumers_t *c, bool *ret_more, int64_t now_ms);
/* For round_t. */
const char *consumers_label(void *arg, uint32_t who);
void consumers_tick(consumers_t *c, int64_t now_ms);
int64_t consumers_next_ms(const consumers_t *c);

#endif

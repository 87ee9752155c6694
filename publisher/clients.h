/* The client endpoint: PUBLISH with confirm after the commit, STATUS, DEAD (docs/PROTOCOL.md section 6). */
#ifndef MANDRILL_CLIENTS_H
#define MANDRILL_CLIENTS_H

#include "common/runtime/server.h"
#include "publisher/letters.h"
#include "publisher/settings.h"

/* A PUBLISH of this round; its CONFIRM is encoded already and waits for the commit. */
typedef struct {
    uint32_t routing_id;
    bool repeat;
    uint32_t len;
    size_t at; /* in `confirms` */
} confirm_answer_t;

typedef struct {
    server_t *server;
    outbox_t *outbox;
    round_t *round;
    const char *domain;
    const char *closed; /* why nothing more is taken; NULL: it is */
    letters_t letters;
    buffer_t frame, confirms;
    text_t *bodies;
    refusal_t *refusals;
    buffer_t texts; /* of the refusals */
    confirm_answer_t *answers;
    uint32_t answers_count;
    uint64_t refused_bodies, refused_full;
    /* A JSON object for STATUS, in a string that is freed with free(); NULL when memory is out. */
    char *(*status)(void *arg);
    void *arg;
} clients_t;

int clients_open(clients_t *c, const settings_t *s, outbox_t *outbox, round_t *round, loop_t *loop,
                 char *(*status)(void *arg), void *arg, char *why);
void clients_close(clients_t *c, int linger_ms);
/* From now on nothing is stored; with `letters` dead letters too are only looked at. */
void clients_refuse(clients_t *c, const char *why, bool letters);
bool clients_receive(clients_t *c);
/* CONFIRM and BURIED for what was committed; or ERROR with `code` (0: none) when the round was undone. */
void clients_answer(clients_t *c, unsigned code, const char *why);
void clients_tick(clients_t *c);
int64_t clients_next_ms(const clients_t *c);

#endif

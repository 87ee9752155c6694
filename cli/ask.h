/* Asks a program for its status: STATUS to a client or control endpoint, answered by REPORT. Never waits: the
 * caller polls the socket. An unanswered question is simply asked again. */
#ifndef MANDRILL_ASK_H
#define MANDRILL_ASK_H

#include <jansson.h>

typedef struct ask ask_t;

/* 0 or -errno with `why` (WHY_BYTES). */
int ask_open(ask_t **ret, const char *endpoint, char *why);
void ask_close(ask_t **a);
void *ask_socket(const ask_t *a);
/* 0, or -errno when it can't be sent now (not connected yet). */
int ask_send(ask_t *a);
/* The latest report that has come in, the caller's to json_decref; NULL when none has. */
json_t *ask_take(ask_t *a);

#endif

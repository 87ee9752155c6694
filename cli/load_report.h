/* What `mandrill load` tells at its end, and how it knows that everything is acked. */
#ifndef MANDRILL_LOAD_REPORT_H
#define MANDRILL_LOAD_REPORT_H

#include "common/core/histogram.h"
#include "common/core/message.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The messages that were confirmed, as far as the publisher's status must be asked about them. */
typedef struct {
    message_id_t last;   /* of the last confirm; 0-0: none, or it did not say */
    int64_t last_epoch;  /* the start that its stream belongs to; 0: not known yet */
    int64_t dead_before; /* letters that were there before; -1: not known yet */
    int64_t dead;        /* that have come since */
    int64_t backlog;     /* as it was told last */
    bool settled;        /* nothing of it is left in the outbox but dead letters */
} load_watch_t;

void load_watch_init(load_watch_t *w);
void load_watch_confirmed(load_watch_t *w, message_id_t last);
/* A publisher's status. True when something has moved since the last. */
bool load_watch_report(load_watch_t *w, const json_t *status);

typedef struct {
    uint64_t count, confirmed, refused;
    uint64_t acked, dead;
    double seconds;       /* from the first PUBLISH until all was acked */
    histogram_t confirms; /* how long each PUBLISH took */
} load_result_t;

void load_result_text(const load_result_t *r, FILE *out);
/* One line, to be freed by the caller; NULL when memory is out. */
char *load_result_json(const load_result_t *r);

#endif

/* The publisher: its parts, and the loop that runs them in turns (docs/ARCHITECTURE.md, "Publisher"). */
#ifndef MANDRILL_PUBLISHER_H
#define MANDRILL_PUBLISHER_H

#include "common/runtime/health.h"
#include "common/runtime/metrics.h"
#include "common/runtime/progress.h"
#include "publisher/clients.h"
#include "publisher/consumers.h"
#include "publisher/sources.h"

typedef struct {
    settings_t settings;
    config_t *config; /* for SIGHUP; set once it is open */
    loop_t loop;
    health_t health;
    int signals_fd, signals_item;
    outbox_t *outbox;
    delivery_t *delivery;
    backlog_t backlog;
    round_t round;
    consumers_t consumers;
    clients_t clients;
    sources_t sources;

    rate_t published_rate, acked_rate;
    progress_t progress;
    uint64_t shown; /* counts at the last line of progress */
    int64_t start_ms;
    uint64_t dead_at_start;
    int64_t quiet_until_ms; /* nothing expires before: this process stood still */
    int64_t awake_ms;       /* when something could expire last */
    bool all_in;            /* of this turn: nothing of the consumers waits to be taken */
    bool may_expire;
    bool more; /* the next turn has work that nothing will wake it for */
    bool had_room;
    bool stuck; /* steps wait for room on the disk */
    bool draining;
    int64_t drain_until_ms;
    uint32_t drain_out;     /* messages that were out when it began, */
    uint64_t drain_settled; /* and how many had been settled by then */
    bool at_once;           /* a second signal */
    bool done;
    int exit_code;
} publisher_t;

/* 0, or -errno with `why` (WHY_BYTES). Strings of the settings are the caller's and outlive it. */
int publisher_open(publisher_t **ret, const settings_t *settings, int signals_fd, char *why);
/* Runs until everything is done or a signal says so; the exit code. */
int publisher_run(publisher_t *p);
/* 0, or -EIO when the last of the outbox could not be written; that is logged. */
int publisher_close(publisher_t **p);

#endif

/* What the publisher tells of itself: STATUS, the report at its end, the dump. */
#ifndef MANDRILL_PUBLISHER_REPORT_H
#define MANDRILL_PUBLISHER_REPORT_H

#include "publisher/publisher.h"

/* Messages that died since the start, less those that were done or redriven after all. */
uint64_t report_died(const publisher_t *p);
/* What the outbox holds: backlog, dead, oldest_age_ms, outbox_bytes. */
void report_outbox(outbox_t *outbox, metrics_t *m);
/* The JSON object of REPORT, to be freed; NULL when memory is out. */
char *report_status(publisher_t *p);
/* What became of the messages that were out when the drain began. */
typedef struct {
    uint32_t finished, released, left;
} report_drain_t;
report_drain_t report_drain(const publisher_t *p);
/* On stdout, as --report says. */
void report_end(publisher_t *p);
/* The line of STATUS= for a service manager, when it is time for one. */
void report_notify(const publisher_t *p);
/* SIGUSR1: everything above, and the leases, as log lines. */
void report_dump(publisher_t *p);

#endif

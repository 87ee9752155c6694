/* What the consumer tells about itself: STATUS, the report at the end, the dump on SIGUSR1. */
#ifndef MANDRILL_CONSUMER_REPORT_H
#define MANDRILL_CONSUMER_REPORT_H

#include "consumer/consumer.h"

/* The answer to STATUS; its keys stand in docs/ARCHITECTURE.md. */
void report_status(const consumer_t *c, metrics_t *m);
/* As --report says: a line on stdout, or for people on stderr. */
void report_end(const consumer_t *c);
void report_dump(const consumer_t *c);
/* The line of STATUS= for a service manager, when it is time for one. */
void report_notify(const consumer_t *c);

#endif

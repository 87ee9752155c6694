/* The consumer: stateless between publishers and workers. One thread; its loop is in consumer.c. */
#ifndef MANDRILL_CONSUMER_H
#define MANDRILL_CONSUMER_H

#include "common/runtime/health.h"
#include "common/runtime/loop.h"
#include "common/runtime/metrics.h"
#include "consumer/control.h"
#include "consumer/downstream.h"
#include "consumer/options.h"
#include "consumer/upstream.h"

typedef struct {
    consumer_options_t options;
    config_t *config; /* for SIGHUP; set once it is open */
    loop_t loop;
    int signals;
    int signals_item;
    gather_t *gather;
    roster_t *roster;
    legs_t legs;
    upstream_t *upstream;
    downstream_t *downstream;
    control_t *control;
    health_t health;
    int64_t started_ms;
    int64_t measured_ms;
    rate_t consumed_rate, acked_rate;
    bool draining;
    int64_t drain_until_ms;
    bool parted; /* from its workers: the drain's time is over */
    upstream_counts_t before_drain;
} consumer_t;

/* Binds, connects and announces. 0 or -errno; what is wrong has been told. `c` is to be closed either way. */
int consumer_open(consumer_t *c, const consumer_options_t *o, int signals);
/* Until it has drained or is told to stop at once: the exit code. */
int consumer_run(consumer_t *c);
/* The two halves of the loop's turn, for tests that run it themselves: when it is due at the latest, and what
 * is done after the wait (0 or -errno: it cannot go on). */
int64_t consumer_due_ms(const consumer_t *c);
int consumer_turn(consumer_t *c);
/* SIGTERM: takes nothing more, finishes what runs, gives back the rest. */
void consumer_drain(consumer_t *c);
bool consumer_drained(consumer_t *c);
/* After that: BYE, and the line that says what became of all that was held. */
void consumer_goodbye(consumer_t *c);
void consumer_close(consumer_t *c);

#endif

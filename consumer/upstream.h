/* The consumer's publishers: sessions with them, what they deliver, what they are told. A publisher's number
 * (its dial) is the gather's source.
 *
 * Each turn: upstream_receive() puts what was delivered into the gather and takes the answers;
 * upstream_flush() writes the gather's steps into PROGRESS frames (kept.h) and changes windows. */
#ifndef MANDRILL_CONSUMER_UPSTREAM_H
#define MANDRILL_CONSUMER_UPSTREAM_H

#include "common/runtime/dialer.h"
#include "consumer/legs.h"

typedef struct {
    gather_t *gather;
    const roster_t *roster;
    legs_t *legs;
    loop_t *loop;
    const char *const *publishers;
    size_t publishers_count;
    uint32_t batch;      /* steps of a frame, and what is held beyond the workers' windows */
    uint32_t window_max; /* shared among the publishers */
    const char *label;   /* what publishers call us; NULL: HOST:PID */
    bool log_messages;
} upstream_options_t;

typedef struct {
    uint64_t consumed; /* messages taken, redelivered ones that were held not again */
    uint64_t acked, dead, released;
    uint64_t refused; /* given back at once: no room for them, or a leg without a number */
    uint32_t window;  /* what the publishers were told, together */
    dialer_counts_t dialer;
} upstream_counts_t;

typedef struct upstream upstream_t;

/* 0 or -errno with `why` (WHY_BYTES). */
int upstream_open(upstream_t **ret, const upstream_options_t *o, char *why);
/* BYE to the publishers. Those that answer it have taken what was told before, and the rest back: both are
 * counted as if they had been answered one by one. How many messages are held of others. Only upstream_close
 * may follow. */
uint32_t upstream_bye(upstream_t *u, int linger_ms);
/* upstream_bye, where that was not called. */
void upstream_close(upstream_t **u, int linger_ms);
void upstream_receive(upstream_t *u);
/* Other values from now on; a window that became smaller takes nothing back. */
void upstream_options(upstream_t *u, uint32_t window_max, bool log_messages);
void upstream_tick(upstream_t *u);
/* 0, or -ENOMEM: what is to be told can't be any more. */
int upstream_flush(upstream_t *u);
int64_t upstream_next_ms(const upstream_t *u);
/* No more messages are taken. */
void upstream_drain(upstream_t *u);
/* Everything that was told has been answered. */
bool upstream_settled(const upstream_t *u);
void upstream_counts(const upstream_t *u, upstream_counts_t *ret);

#endif

/* What the processes of one run know of its messages, in memory that they share: when each was published,
 * which groups have acked it, and the latencies. Every message counts; they are numbered 1..count.
 *
 * Made before the processes are forked. Each group is one process, and so are the published times. */
#ifndef MANDRILL_PEERS_TALLY_H
#define MANDRILL_PEERS_TALLY_H

#include "common/core/histogram.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { GROUP_SAVE, GROUP_NOTHING, GROUPS } group_t;

typedef struct {
    uint64_t count;
    size_t bytes; /* of all of this */
    _Atomic uint64_t published;
    _Atomic uint64_t acked[GROUPS];    /* different messages */
    _Atomic uint64_t received[GROUPS]; /* deliveries */
    _Atomic uint32_t ready[GROUPS];    /* the group waits for messages */
    _Atomic int64_t started_us, ended_us[GROUPS];
    /* Of the messages that this group was the last to ack. */
    histogram_t latency[GROUPS];
    _Atomic int64_t *published_us;
    _Atomic uint8_t *groups; /* bits: who has acked it */
} tally_t;

/* 0 or -errno. */
int tally_new(tally_t **ret, uint64_t count);
void tally_destroy(tally_t **t);

/* Messages first..first + n - 1 are handed to the peer now. */
void tally_published(tally_t *t, uint64_t first, uint32_t n, int64_t now_us);
/* A group was given a message: -EINVAL when nobody published it. */
int tally_received(tally_t *t, group_t group, uint64_t number);
/* The peer has taken the group's ack. Once for each message; what comes again is not counted. */
void tally_acked(tally_t *t, group_t group, uint64_t number, int64_t now_us);
/* The group has acked every message. */
int tally_is_done(const tally_t *t, group_t group);
/* Published, and not acked by both. */
uint64_t tally_in_flight(const tally_t *t);
/* Acked by both. */
uint64_t tally_finished(const tally_t *t);
/* Deliveries beyond one to each group. */
uint64_t tally_duplicates(const tally_t *t);
/* From the first message handed over to the last ack. */
double tally_seconds(const tally_t *t);
/* Both groups' latencies in one. */
void tally_latency(const tally_t *t, histogram_t *ret);

#endif

/* What a seed makes of a run: how many programs, their settings, the network, and which faults come how
 * often. Pure. */
#ifndef MANDRILL_SIM_PLAN_H
#define MANDRILL_SIM_PLAN_H

#include "common/core/gather.h"
#include "publisher/settings.h"

/* What may go wrong in the course of a run; each has a mean gap, 0: never. */
typedef enum {
    FAULT_KILL,      /* a process, at once or some steps later */
    FAULT_STOP,      /* SIGSTOP, for up to some seconds */
    FAULT_TERM,      /* SIGTERM, and started again */
    FAULT_CUT,       /* a connection */
    FAULT_PARTITION, /* nothing passes between two processes */
    FAULT_WALL,      /* the wall clock of a process is set */
    FAULT_FULL,      /* the disk of a publisher or a saver is full */
    FAULT_EIO,       /* it fails */
    FAULT_AWAY,      /* the savers' store takes nothing for a while */
    FAULTS
} fault_t;

typedef struct {
    uint64_t seed;
    uint32_t publishers, consumers, savers, restarters, clients;
    uint32_t load;      /* messages of each publisher's own */
    uint32_t published; /* of each client */
    bool await_consumer;

    delivery_limits_t delivery;
    uint32_t publisher_batch;
    int64_t outbox_max;
    gather_limits_t gather;
    uint32_t consumer_batch, window_max;
    uint32_t save_batch, restart_slots;
    int64_t drain_ms;

    int64_t latency_us;                                   /* of the network, at most, when all is well */
    uint32_t spikes;                                      /* frames in a thousand that take */
    int64_t spike_us;                                     /* up to so long */
    uint32_t duplicates;                                  /* in a thousand */
    uint32_t pipe_frames;                                 /* unread, before a peer is told EAGAIN */
    int64_t commit_us;                                    /* at most, when all is well */
    uint32_t slow_commits;                                /* in a thousand, */
    int64_t slow_commit_us;                               /* up to so long */
    uint32_t stalls;                                      /* turns in a thousand that begin late, */
    int64_t stall_us;                                     /* by up to so much */
    uint32_t transient, permanent, blocked, slow, poison; /* tasks in a thousand */
    int64_t slow_ms, work_ms;                             /* at most */

    int64_t gap_us[FAULTS];
    int64_t faults_us; /* so long there are any */
} plan_t;

void plan_make(plan_t *ret, uint64_t seed);

#endif

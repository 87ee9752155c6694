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

/* How hosts are restarted: by a kind of the simulator's own, to which a restart is a moment, or by the
 * runner of the real kinds (workers/restart/runner.h) over hosts of the world (hosts.h). */
typedef struct {
    bool real;
    bool observes, repeats, checks; /* what can be done to them: a driver's traits */
    bool knows_uptime;              /* a look tells for how long a host is up */
    bool dry_run;
    bool denies; /* those whose names end in 7 */
    int64_t min_uptime_ms;
    int64_t grant_ms, act_ms, return_ms, poll_ms;

    uint32_t compares;                /* hosts in a thousand that compare what was observed themselves */
    int64_t down_ms;                  /* after a restart, at most, when all is well */
    uint32_t long_down;               /* restarts in a thousand after which it takes longer */
    uint32_t unreadable;              /* looks in a thousand after which one cannot be read for a time */
    uint32_t lost_before, lost_after; /* acts in a thousand that get lost, before or after they take effect */
    uint32_t delayed;                 /* that take effect only later, within the return time-out */
    uint32_t crashes;                 /* looks in a thousand at a host that has just restarted by itself */
    uint32_t frozen;                  /* acts in a thousand before which their worker is stopped, when it */
                                      /* has looked at its grant */
} plan_hosts_t;

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

    plan_hosts_t hosts;
} plan_t;

void plan_make(plan_t *ret, uint64_t seed);

#endif

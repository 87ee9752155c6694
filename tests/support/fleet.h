/* A pipeline under load with every program on a host of its own. Consumers find their publisher, and workers
 * the consumers, by the names "publisher" and "consumer" alone; the second stands for every replica that is
 * listed. What is numbered counts from 0, as in pipeline.h; so do the endpoints. */
#ifndef MANDRILL_TEST_FLEET_H
#define MANDRILL_TEST_FLEET_H

#include "tests/support/hosts.h"
#include "tests/support/trial.h"

/* Longer than silence: what a lost consumer had is given out once more, and not again and again. */
enum { FLEET_LEASE_MS = 4000, FLEET_MEMBERS_MAX = 8 };

typedef struct {
    process_t *process;
    host_t *host;
    bool listed; /* under its name */
} member_t;

typedef struct {
    trial_t trial;
    member_t publisher, save;
    member_t consumers[FLEET_MEMBERS_MAX], restarts[FLEET_MEMBERS_MAX];
    unsigned consumers_count, restarts_count;
    int64_t looked_ms, late_ms; /* of FLEET_WITHIN */
} fleet_t;

void fleet_start(fleet_t *f, rig_t *rig, unsigned consumers, unsigned restarts);
/* One more replica on a new host, which no worker knows of yet; its number. */
unsigned fleet_add_consumer(fleet_t *f);
/* Whether "consumer" stands for this replica too. */
void fleet_list_consumer(fleet_t *f, unsigned n, bool listed);
/* SIGTERM, and the load goes on until it has ended, with 0; then its host goes. */
void fleet_scale_down(fleet_t *f, member_t *m);
/* A number of its STATUS; -1 while it cannot be reached. */
int64_t fleet_consumer_number(fleet_t *f, unsigned n, const char *path);
/* trial_end() with nobody of the fleet started a second time; what still runs stops with 0. */
void fleet_end(fleet_t *f, const char *fault);

/* Waits under load for a condition that has to come true at most `limit_ms` after `from_ms`; prints how long
 * it took. By what this program came too late itself it may be later: nobody is in time on a machine that
 * busy. */
#define FLEET_WITHIN(f, from_ms, limit_ms, condition)                                                        \
    do {                                                                                                     \
        (f)->looked_ms = test_now_ms();                                                                      \
        (f)->late_ms = 0;                                                                                    \
        WAIT((fleet_look(f), condition));                                                                    \
        fleet_took(f, from_ms, limit_ms, #condition);                                                        \
    } while (0)
void fleet_look(fleet_t *f);
void fleet_took(fleet_t *f, int64_t from_ms, int64_t limit_ms, const char *what);

#endif

#include "tests/sim/run.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/hosts.h"
#include "tests/sim/net.h"
#include "tests/sim/programs.h"
#include "tests/sim/store.h"
#include "tests/sim/trace.h"
#include <stdio.h>

enum {
    /* When nothing goes wrong any more, some message ends in every such time, until none is left: the tries,
       delays, lost leases and slow work of one add up to less. */
    SETTLE_S = 600,
    DRAIN_S = 30,
};

static void turns_until(int64_t until_us)
{
    while (world.now_us < until_us && world_turn())
        ;
}

static void end_faults(void)
{
    trace("the faults are over");
    world.faults = false;
    net_heal();
    disk_heal();
    store_heal();
    for (uint32_t i = 0; i < world.processes_count; i++) {
        world.processes[i].strike_in = 0;
        if (!world.processes[i].stays_stopped)
            world.processes[i].stopped_until_us = 0;
    }
}

/* What is not as it is to be in the end, or NULL. */
static const char *unsettled(void)
{
    static char text[120];
    char id[MESSAGE_ID_TEXT];
    if (!programs_published())
        return "not everything is published";
    for (uint32_t i = 0; i < world.plan.publishers; i++)
        if (disk_living(i) > 0) {
            message_id_format(disk_id(i, disk_first_living(i)), id);
            snprintf(text, sizeof text, "%u messages of publisher-%u are neither done nor dead, as %s",
                     disk_living(i), i, id);
            return text;
        }
    for (uint32_t i = 0; i < world.processes_count; i++) {
        process_t *p = &world.processes[i];
        bool open =
            p->alive && (p->self != NULL || p->program == PROGRAM_CLIENT) && !p->termed && p->terms == 0;
        if (!open && !p->finished)
            return "not everybody is up";
        if (program_holds(p) > 0) {
            snprintf(text, sizeof text, "%s holds %u messages or tasks of nobody", p->name, program_holds(p));
            return text;
        }
    }
    return NULL;
}

static void settle(void)
{
    int64_t since_us = world.now_us;
    uint64_t ended = check_ended();
    const char *what;
    while ((what = unsettled()) != NULL) {
        if (!world_turn() || world.now_us - since_us > INT64_C(1000000) * SETTLE_S)
            broken("liveness", "for %d s no message has come to its end, and %s", SETTLE_S, what);
        if (check_ended() != ended) {
            ended = check_ended();
            since_us = world.now_us;
        }
    }
}

static bool any_alive(void)
{
    for (uint32_t i = 0; i < world.processes_count; i++)
        if (world.processes[i].alive)
            return true;
    return false;
}

/* Everybody goes, in any order, and gives back all that it had (world.c looks). */
static void drain(void)
{
    const int64_t until_us = world.now_us + INT64_C(1000000) * DRAIN_S;
    for (uint32_t i = 0; i < world.processes_count; i++)
        world.processes[i].finished = true;
    for (uint32_t i = 0; i < world.processes_count; i++) {
        process_term(&world.processes[i]);
        turns_until(world.now_us + chance_between(0, 500000));
    }
    while (any_alive())
        if (!world_turn() || world.now_us > until_us)
            broken("drain", "%d s after SIGTERM not everybody has ended", DRAIN_S);
    for (uint32_t i = 0; i < world.processes_count; i++)
        if (world.processes[i].exit_code != 0)
            broken("drain", "%s ends with exit code %d", world.processes[i].name,
                   world.processes[i].exit_code);
}

static void add_sums(run_sums_t *sums)
{
    check_sums_t s;
    check_sums(&s);
    sums->turns += world.steps;
    sums->virtual_us += world.now_us;
    sums->kills += world.kills;
    sums->sums.messages += s.messages;
    sums->sums.done += s.done;
    sums->sums.dead += s.dead;
    sums->sums.acts += s.acts;
    sums->sums.redelivered += s.redelivered;
    sums->sums.restarts += s.restarts;
    sums->sums.skipped += s.skipped;
    sums->sums.unknown += s.unknown;
    sums->sums.late += s.late;
    sums->sums.doubles += s.doubles;
    sums->real += world.plan.hosts.real;
}

void run_seed(uint64_t seed, run_sums_t *sums)
{
    world_open(seed);
    net_open();
    disk_open();
    hosts_open();
    store_heal();
    programs_open();
    check_open();
    for (uint32_t i = 0; i < world.processes_count; i++)
        process_start_later(&world.processes[i]);
    faults_begin();
    turns_until(world.now_us + world.plan.faults_us);
    end_faults();
    settle();
    check_end();
    drain();
    add_sums(sums);
    world_close();
    check_close();
    disk_close();
    net_close();
}

#include "tests/sim/faults.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/store.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"

enum { STEPS_AHEAD = 40, STOP_US_MAX = 6000000, PARTITION_US_MAX = 7000000, DISK_US_MAX = 3000000 };

static process_t *any_process(void)
{
    return &world.processes[chance_below(world.processes_count)];
}

/* Half of them strike in the middle of a turn that is to come. */
static void strike(process_t *p, strike_t what, int64_t us)
{
    if (!p->alive)
        return;
    if (chance(500)) {
        p->strike = what;
        p->strike_us = us;
        p->strike_in = 1 + (uint32_t)chance_below(STEPS_AHEAD);
    } else if (what == STRIKE_KILL) {
        process_kill(p);
    } else {
        process_stop(p, us);
    }
}

static void fault(uint64_t kind, uint64_t unused)
{
    const plan_t *plan = &world.plan;
    (void)unused;
    if (!world.faults)
        return;
    world_at(world.now_us + chance_between(0, 2 * plan->gap_us[kind]), fault, kind, 0);
    process_t *p = any_process();
    switch ((fault_t)kind) {
    case FAULT_KILL:
        strike(p, STRIKE_KILL, 0);
        break;
    case FAULT_STOP:
        strike(p, STRIKE_STOP, chance_between(1, STOP_US_MAX));
        break;
    case FAULT_TERM:
        process_term(p);
        if (chance(200))
            process_term(p);
        break;
    case FAULT_CUT:
        net_cut_any();
        break;
    case FAULT_PARTITION:
        net_partition(p, any_process(), chance_between(1, PARTITION_US_MAX));
        break;
    case FAULT_WALL:
        p->wall_us = chance_between(-86400, 86400) * 1000000;
        trace("the wall clock of %s is set", p->name);
        break;
    case FAULT_FULL:
        if (chance(500))
            store_full(chance_between(1, DISK_US_MAX));
        else
            disk_full((uint32_t)chance_below(plan->publishers), chance_between(1, DISK_US_MAX));
        break;
    case FAULT_EIO:
        if (chance(500))
            store_fail();
        else
            disk_fail((uint32_t)chance_below(plan->publishers));
        break;
    case FAULT_AWAY:
        store_away(chance_between(1, DISK_US_MAX));
        break;
    case FAULTS:
        break;
    }
}

void faults_begin(void)
{
    for (uint64_t kind = 0; kind < FAULTS; kind++)
        if (world.plan.gap_us[kind] > 0)
            world_at(world.now_us + chance_between(0, 2 * world.plan.gap_us[kind]), fault, kind, 0);
}

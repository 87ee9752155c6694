#include "tests/sim/fates.h"
#include "common/core/backoff.h"
#include "common/core/index.h"
#include "tests/sim/check.h"

doom_t fate_of(const worker_task_t *task, uint32_t leg)
{
    const plan_t *p = &world.plan;
    uint64_t random = index_mix(task->id.stream, task->id.seq) ^ (p->seed + leg);
    uint32_t begun = check_begun(task->id, leg);
    uint32_t lasts = (uint32_t)(random_next(&random) % 8); /* tries; 7: all of them */
    bool marked = lasts == 7 || begun <= lasts;
    uint32_t drawn = (uint32_t)(random_next(&random) % 1000);
    int64_t slow_ms = (int64_t)(random_next(&random) % (uint64_t)p->slow_ms);
    doom_t d = {FATE_OK, p->work_ms > 0 ? chance_between(0, p->work_ms) : 0};
    if (!marked)
        return d;
    if (drawn < p->transient)
        return (doom_t){FATE_TRANSIENT, d.ms};
    drawn -= p->transient;
    if (drawn < p->permanent)
        return (doom_t){FATE_PERMANENT, d.ms};
    drawn -= p->permanent;
    if (drawn < p->blocked && begun < 8)
        return (doom_t){FATE_BLOCKED, slow_ms / 2};
    drawn -= p->blocked;
    if (drawn < p->poison && world.faults)
        return (doom_t){FATE_POISON, d.ms};
    drawn -= p->poison;
    return drawn < p->slow ? (doom_t){FATE_OK, slow_ms} : d;
}

void fate_strikes(void)
{
    world.current->strike = STRIKE_KILL;
    world.current->strike_in = 1;
    world_step();
}

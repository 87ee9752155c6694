/* The savers' store. Which rows it has the checks remember. */
#include "tests/sim/store.h"
#include "tests/sim/check.h"
#include "tests/sim/disk_internal.h"
#include "tests/sim/trace.h"
#include <errno.h>

static int64_t away_until_us, full_until_us;
static bool fails;

void store_heal(void)
{
    away_until_us = full_until_us = 0;
    fails = false;
}

void store_away(int64_t us)
{
    trace("the store is away for %.3f s", (double)us / 1e6);
    away_until_us = world.now_us + us;
}

void store_full(int64_t us)
{
    trace("the store is full for %.3f s", (double)us / 1e6);
    full_until_us = world.now_us + us;
}

void store_fail(void)
{
    trace("the store fails with the next commit");
    fails = true;
}

static void save_all(const message_id_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        check_act(ids[i], LEG_SAVE);
}

int store_commit(const message_id_t *ids, uint32_t n)
{
    enum { AWAY_MS = 300 };
    world_step();
    if (away_until_us > world.now_us || (full_until_us > world.now_us && chance(700)))
        return AWAY_MS;
    int64_t us = disk_commit_us();
    process_sleep(us / 2);
    if (fails) {
        fails = false;
        if (chance(500))
            save_all(ids, n);
        return -EIO;
    }
    save_all(ids, n);
    process_sleep(us - us / 2);
    world_step();
    return 0;
}

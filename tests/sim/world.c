#include "tests/sim/world.h"
#include "common/core/backoff.h"
#include "common/core/heap.h"
#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/programs.h"
#include "tests/sim/trace.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_FIRST = 64,
    /* Without any time passing: something goes round in circles. */
    TURNS_MAX = 100000,
    RESTART_MS_MAX = 1500,
};

typedef struct {
    void (*happens)(uint64_t a, uint64_t b);
    uint64_t a, b;
    uint32_t next_free;
} event_slot_t;

world_t world;

static heap_t queue;
static event_slot_t *slots;
static uint32_t slots_count, first_free;
static int64_t busy_us; /* the time that turns_now counts turns of */
static uint32_t turns_now;
static fiber_t *fibers[PROCESSES_MAX]; /* kept from run to run */

/* --- chance --- */

uint64_t chance_below(uint64_t below)
{
    return (random_next(&world.random) >> 11) % below;
}

int64_t chance_between(int64_t low, int64_t high)
{
    return low + (int64_t)chance_below((uint64_t)(high - low) + 1);
}

bool chance(uint32_t per_thousand)
{
    return per_thousand > 0 && chance_below(1000) < per_thousand;
}

/* --- events --- */

static void more_slots(void)
{
    uint32_t count = slots_count > 0 ? 2 * slots_count : EVENTS_FIRST;
    slots = keep_grow(slots, count * sizeof *slots);
    /* Not the memory of the process whose turn it is, which may be killed. */
    memory_t *whose = memory_enter(NULL);
    if ((slots_count > 0 ? heap_grow(&queue, count) : heap_init(&queue, count)) != 0)
        abort();
    memory_enter(whose);
    for (uint32_t i = slots_count; i < count; i++)
        slots[i].next_free = i + 1 < count ? i + 1 : HEAP_NONE;
    first_free = slots_count;
    slots_count = count;
}

void world_at(int64_t at_us, void (*happens)(uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
    if (first_free == HEAP_NONE || slots_count == 0)
        more_slots();
    uint32_t slot = first_free;
    first_free = slots[slot].next_free;
    slots[slot] = (event_slot_t){.happens = happens, .a = a, .b = b};
    heap_set(&queue, slot, at_us);
}

static void happen(uint32_t slot)
{
    event_slot_t e = slots[slot];
    heap_remove(&queue, slot);
    slots[slot].next_free = first_free;
    first_free = slot;
    e.happens(e.a, e.b);
}

/* --- processes --- */

process_t *world_process(program_t program, uint32_t index)
{
    for (uint32_t i = 0; i < world.processes_count; i++)
        if (world.processes[i].program == program && world.processes[i].index == index)
            return &world.processes[i];
    return NULL;
}

static void run(void *arg)
{
    process_t *p = arg;
    if (!p->struck)
        p->exit_code = program_run(p);
}

static void start_again(uint64_t place, uint64_t life)
{
    process_t *p = &world.processes[place];
    if (!p->alive && !p->finished && p->life == life)
        process_start(p);
}

void process_start(process_t *p)
{
    assert(!p->alive);
    p->alive = true;
    p->struck = p->termed = false;
    p->terms = p->strike_in = 0;
    p->stopped_until_us = 0;
    p->stays_stopped = false;
    p->wake_us = world.now_us;
    p->life++;
    trace("%s starts", p->name);
    fiber_begin(p->fiber, run, p);
}

void process_start_later(process_t *p)
{
    world_at(world.now_us + chance_between(1, RESTART_MS_MAX) * 1000, start_again,
             (uint64_t)(p - world.processes), p->life);
}

/* Its turn has ended for good: by itself, or it was killed. */
static void bury(process_t *p)
{
    bool killed = p->struck;
    p->alive = false;
    p->polls = false;
    trace("%s %s", p->name, killed ? "is killed" : "ends");
    net_process_gone(p, killed);
    disk_process_gone(p);
    program_gone(p, killed);
    if (!killed && p->memory.blocks > 0)
        broken("memory", "%s ended with exit code %d and %zu blocks (%zu bytes) still taken", p->name,
               p->exit_code, p->memory.blocks, p->memory.bytes);
    memory_release(&p->memory);
    world.kills += killed;
    if (!p->finished)
        process_start_later(p);
}

static void give_turn(process_t *p)
{
    world.current = p;
    memory_enter(&p->memory);
    fiber_resume(p->fiber);
    memory_enter(NULL);
    world.current = NULL;
    if (fiber_ended(p->fiber))
        bury(p);
    else
        check_turn(p);
}

void process_kill(process_t *p)
{
    assert(p != world.current);
    if (!p->alive)
        return;
    p->struck = true;
    give_turn(p);
}

void process_term(process_t *p)
{
    if (!p->alive)
        return;
    trace("%s gets SIGTERM", p->name);
    p->terms++;
    process_notify(p, world.now_us);
}

void process_stop(process_t *p, int64_t us)
{
    if (!p->alive)
        return;
    trace("%s is stopped for %.3f s", p->name, (double)us / 1e6);
    p->stopped_until_us = world.now_us + us;
}

void process_notify(process_t *p, int64_t at_us)
{
    if (p->polls && at_us < p->wake_us)
        p->wake_us = at_us > world.now_us ? at_us : world.now_us;
}

void process_wait(int64_t until_us)
{
    process_t *p = world.current;
    p->wake_us = until_us;
    fiber_yield(p->fiber);
    if (p->struck)
        fiber_leave(p->fiber);
}

void process_sleep(int64_t us)
{
    process_wait(world.now_us + us);
}

void world_step(void)
{
    process_t *p = world.current;
    if (p == NULL || p->strike_in == 0 || --p->strike_in > 0)
        return;
    if (p->strike == STRIKE_KILL) {
        p->struck = true;
        fiber_leave(p->fiber);
    }
    process_stop(p, p->strike_us);
    process_sleep(0);
}

/* --- what comes next --- */

static int64_t due_us(const process_t *p)
{
    if (!p->alive)
        return INT64_MAX;
    return p->wake_us > p->stopped_until_us ? p->wake_us : p->stopped_until_us;
}

static process_t *next_process(void)
{
    process_t *next = NULL;
    int64_t first_us = INT64_MAX;
    uint32_t from = (uint32_t)(world.steps % world.processes_count);
    for (uint32_t i = 0; i < world.processes_count; i++) {
        process_t *p = &world.processes[(from + i) % world.processes_count];
        if (due_us(p) < first_us) {
            first_us = due_us(p);
            next = p;
        }
    }
    return next;
}

bool world_turn(void)
{
    process_t *p = next_process();
    int64_t event_us = heap_first_key(&queue);
    int64_t at_us = p != NULL && due_us(p) < event_us ? due_us(p) : event_us;
    if (at_us == INT64_MAX)
        return false;
    world.steps++;
    if (at_us > world.now_us)
        world.now_us = at_us;
    if (world.now_us != busy_us) {
        busy_us = world.now_us;
        turns_now = 0;
    } else if (++turns_now > TURNS_MAX) {
        broken("liveness", "%u turns and no time has passed", TURNS_MAX);
    }
    if (at_us == event_us)
        happen(heap_first(&queue));
    else
        give_turn(p);
    return true;
}

/* --- the beginning and the end --- */

static void add_processes(program_t program, const char *name, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = world.processes_count++;
        assert(place < PROCESSES_MAX);
        process_t *p = &world.processes[place];
        if (fibers[place] == NULL)
            fibers[place] = fiber_new();
        *p = (process_t){.program = program, .index = i, .fiber = fibers[place]};
        snprintf(p->name, sizeof p->name, "%s-%u", name, i);
    }
}

void world_open(uint64_t seed)
{
    world = (world_t){.random = seed, .ids = ~seed, .faults = true};
    /* A program's first millisecond is not 0, which it takes for "never". */
    world.now_us = 1000000;
    plan_make(&world.plan, seed);
    const plan_t *p = &world.plan;
    add_processes(PROGRAM_PUBLISHER, "publisher", p->publishers);
    add_processes(PROGRAM_CONSUMER, "consumer", p->consumers);
    add_processes(PROGRAM_SAVE, "save", p->savers);
    add_processes(PROGRAM_RESTART, "restart", p->restarters);
    add_processes(PROGRAM_CLIENT, "client", p->clients);
}

void world_close(void)
{
    for (uint32_t i = 0; i < world.processes_count; i++) {
        process_t *p = &world.processes[i];
        p->finished = true;
        process_kill(p);
    }
    while (queue.count > 0) {
        uint32_t slot = heap_first(&queue);
        heap_remove(&queue, slot);
        slots[slot].next_free = first_free;
        first_free = slot;
    }
}

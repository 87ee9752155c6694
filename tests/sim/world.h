/* A world of one seed: its clock, its processes, and what happens next. Everything else in here happens by
 * world_at() or in the turn of a process, one after the other, so a seed always gives the same run.
 *
 * A process is a program of the project, run as it is on a fiber: where it would wait (zmq_poll, a commit)
 * the next event comes, and time jumps to it. It may be killed or stopped at any world_step(), which every
 * layer below it calls: before and after each frame, each commit, each piece of work. */
#ifndef MANDRILL_SIM_WORLD_H
#define MANDRILL_SIM_WORLD_H

#include "tests/sim/fiber.h"
#include "tests/sim/memory.h"
#include "tests/sim/plan.h"
#include <stdint.h>

enum {
    PROCESSES_MAX = 16,
    PROCESS_BYTES_MAX = 64 * 1024 * 1024,
    WALL_START_S = 1700000000, /* since 1970, when a run begins */
};

typedef enum { PROGRAM_PUBLISHER, PROGRAM_CONSUMER, PROGRAM_SAVE, PROGRAM_RESTART, PROGRAM_CLIENT } program_t;

typedef enum { STRIKE_NONE, STRIKE_KILL, STRIKE_STOP } strike_t;

typedef struct {
    char name[16];
    program_t program;
    uint32_t index; /* among those of its program */
    bool alive;
    bool finished; /* it has ended and is not started again */
    uint32_t life; /* how often it was started */
    fiber_t *fiber;
    memory_t memory;
    void *self; /* the program's struct, while it is open */
    int exit_code;

    int64_t wake_us;          /* when it goes on by itself */
    int64_t stopped_until_us; /* as by SIGSTOP: not before */
    bool stays_stopped;       /* also when the faults have ended */
    bool polls;               /* it waits for its sockets or signals */
    uint32_t terms;           /* SIGTERMs that wait to be read */
    bool termed;              /* one was read */

    uint32_t strike_in; /* steps until the strike; 0: none */
    strike_t strike;
    int64_t strike_us; /* how long a stop takes */
    bool struck;       /* killed by the step that it is in */
    int64_t wall_us;   /* how far its wall clock is off */
} process_t;

typedef struct {
    plan_t plan;
    int64_t now_us;
    uint64_t random; /* of everything but the plan and ids */
    uint64_t ids;    /* of clock_random_id() */
    uint64_t steps;
    uint64_t kills;
    bool faults; /* they have not ended */
    process_t processes[PROCESSES_MAX];
    uint32_t processes_count;
    process_t *current; /* whose turn it is; NULL: nobody's */
} world_t;

extern world_t world;

void world_open(uint64_t seed);
void world_close(void);
/* The next thing happens. False: nothing ever will. */
bool world_turn(void);

/* Calls back at a time, in nobody's turn. */
void world_at(int64_t at_us, void (*happens)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);

process_t *world_process(program_t program, uint32_t index);
void process_start(process_t *p);
/* In a moment that is drawn. */
void process_start_later(process_t *p);
/* As by SIGKILL, at once. Not the one whose turn it is. */
void process_kill(process_t *p);
void process_term(process_t *p);
void process_stop(process_t *p, int64_t us);
/* Something has come for a process that waits, or will have at this time. */
void process_notify(process_t *p, int64_t at_us);
/* From its own turn: */
void process_sleep(int64_t us);
void process_wait(int64_t until_us);
void world_step(void);

/* Random numbers of this run: 0..below-1; low..high; one in so many thousand. */
uint64_t chance_below(uint64_t below);
int64_t chance_between(int64_t low, int64_t high);
bool chance(uint32_t per_thousand);

#endif

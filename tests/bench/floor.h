/* What the two files of the floor share: floor.c (the first process, its options and report) and
 * floor_roles.c (what the four do). */
#ifndef MANDRILL_BENCH_FLOOR_H
#define MANDRILL_BENCH_FLOOR_H

#include "common/core/histogram.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { PUBLISHER, CONSUMER, SAVE, RESTART, ROLES };
enum { LEASES, SAVES, RESTARTS, HOPS };
/* What a message passes one after the other. */
enum { INSERT, OUT, TASK, SAVING, RESULT, ACK, DELETE, PARTS };
enum { ENDPOINT_BYTES = 256, DIRECTORY_BYTES = 200 };

/* What the processes share with the first one. */
typedef struct {
    int64_t cpu_us[ROLES];
    double seconds;
    histogram_t parts[PARTS], latency;
    char endpoints[HOPS][ENDPOINT_BYTES]; /* "" until it is bound */
    atomic_bool bound[HOPS];
} floor_shared_t;

typedef struct {
    uint64_t count;
    double rate; /* 0: as fast as it goes */
    size_t size; /* of a body, in bytes */
    const char *transport, *data;
} floor_options_t;

extern floor_options_t floor_options;
extern floor_shared_t *floor_shared;
extern char floor_directory[DIRECTORY_BYTES]; /* of sockets and databases */

/* Ends the process with a line that says what failed. */
_Noreturn void floor_die(const char *what);
int64_t floor_now_us(void);
/* The role's whole life, in a process of its own. */
void floor_role(int role);

#endif

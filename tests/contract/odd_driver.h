/* A kind that only tests have: the runner over hosts that are files, so that what was done to them is there
 * whatever became of the worker, and over a driver that fails as the host's name says. */
#ifndef MANDRILL_TEST_ODD_DRIVER_H
#define MANDRILL_TEST_ODD_DRIVER_H

#include "workers/worker.h"

enum {
    ODD_ACT_MS = 40,       /* slow */
    ODD_LONG_ACT_MS = 1500 /* parked */
};

/* A host is <--fleet>/<instance>: a byte for each of its restarts, the last of them when the file was written
 * last. Further files there: `away`: nothing can be looked at or restarted while it is there; `cancelled`: a
 * byte for each thing that was cancelled.
 *
 * Begin of the name:
 *   gone     there is no such host          down      cannot be looked at
 *   slow     restarts after ODD_ACT_MS      parked    restarts after ODD_LONG_ACT_MS
 *   refuses  is not restarted, for sure     lost      is restarted, and nobody can tell
 *   undone   is not, and nobody can tell    hung      restart, and looks after it, give up when they have to
 *   ill      is restarted, and not well     comes     can be looked at again ODD_ACT_MS after its restart
 *   dies     kills the worker before the restart, but for a try that finds a note
 *   died     the same, after it
 *   blocked  there is no memory for its restart          nofile    no descriptor for a look at it
 * Any other: is restarted at once. What is looked at, restarted and checked is told in the next turn.
 *
 * --blind: hosts cannot be looked at. --repeats: who asks twice for a message gets one restart. */
extern const worker_kind_t odd_runner;

#endif

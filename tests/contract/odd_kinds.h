/* Kinds that only tests have: what a kind may do, decided by the instance's name, in each of the executors.
 */
#ifndef MANDRILL_TEST_ODD_KINDS_H
#define MANDRILL_TEST_ODD_KINDS_H

#include "workers/worker.h"

enum {
    ODD_SLOW_MS = 40,
    ODD_PARKED_MS = 1500,
    ODD_HUNG_MS = 4500, /* longer than a silent worker is waited for */
    ODD_WAIT_MS = 250,
    ODD_PAUSE_MS = 400,
    ODD_GRANT_MS = 600,
    ODD_SLOTS = 8,
    ODD_BATCH = 16
};

/* Begin of the name:
 *   gone    PERMANENT "it is gone"       again   TRANSIENT, not before ODD_WAIT_MS
 *   down    as again while there is ODD_DOWN in the environment
 *   later   BLOCKED for ODD_WAIT_MS      long    PERMANENT with more text than fits, no UTF-8 at its end
 *   slow    OK after ODD_SLOW_MS         parked  OK after ODD_PARKED_MS
 *   hung    OK after ODD_HUNG_MS         stuck   never, whatever it is told
 *   bound   never, but cancelled when its time is over
 *   nearly  as bound, but it turns out to be done: OK
 *   poison  abort()                      twice   two results (not in threads)
 *   full    batch: all BLOCKED, and nothing more for ODD_PAUSE_MS
 *   broken  batch: -EIO
 *   tells   PERMANENT, with the note that it came with
 *   because loop: OK, "it was done before"
 *   asks    loop: notes "intent", and when that is granted OK "granted", else TRANSIENT "refused"; without an
 *           answer for ODD_GRANT_MS it notes that it is void, and is BLOCKED
 *   askstwice loop: the same, but asks once more, with "again", before it has an answer: there is to be none
 *   hasty   loop: notes "intent" with a request, and is OK without waiting for the answer
 *   voids   loop: notes "intent" with a request, then that it is void, and never ends
 * Any other: OK. */
extern const worker_kind_t odd_threads, odd_batch, odd_loop;
extern const worker_kind_t *const odd_kinds[]; /* ends with NULL */

#endif

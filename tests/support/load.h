/* Load with a journal: one `mandrill publish --from -` after the other, each for a batch of hosts that nobody
 * else asks for, and the checker's verdict over them. Driven by load_tick(), which belongs into every wait.
 */
#ifndef MANDRILL_TEST_LOAD_H
#define MANDRILL_TEST_LOAD_H

#include "tests/support/figures.h"
#include "tests/support/rig.h"

typedef struct {
    rig_t *rig;
    char name[PROCESS_NAME_MAX];
    process_t *client;
    unsigned batch;    /* hosts a client */
    unsigned every_ms; /* at least between two clients */
    int64_t next_ms;
    bool collected; /* what the last client confirmed is in the journal */
    unsigned requested, confirmed;
    unsigned failed; /* clients that did not end with 0 */
    char journal[TEST_PATH_MAX], requests[TEST_PATH_MAX];
} load_t;

/* To publisher n of the rig. */
void load_init(load_t *l, rig_t *rig, const char *name, unsigned n, unsigned batch);
/* Takes up what the last client confirmed and starts the next when it has ended. */
void load_tick(load_t *l);
/* kill -9 in the middle of it; what it had printed counts. */
void load_kill(load_t *l);
/* Waits for the last client. */
void load_finish(load_t *l);

/* The journals and requests of several loads in one file each. */
void load_merge(const load_t *loads, unsigned n, const char *journal, const char *requests);

#define LOAD_UNTIL(load, condition)                                                                          \
    do {                                                                                                     \
        int64_t load_until_ms_ = test_now_ms() + WAIT_MS;                                                    \
        while (!(condition)) {                                                                               \
            if (test_now_ms() > load_until_ms_)                                                              \
                fail_msg("waited %d ms under load for: %s", (int)WAIT_MS, #condition);                       \
            load_tick(load);                                                                                 \
            test_pause();                                                                                    \
        }                                                                                                    \
    } while (0)

typedef struct {
    int code; /* the checker's exit code */
    unsigned long long confirmed, saved, lost, unexpected, duplicate;
    unsigned long long work,
        again; /* tasks that the logs of the workers tell of, and those that were not new */
} checked_t;

/* Runs the checker over saved-n.db, a journal, a list of requests (NULL: not judged) and the logs of the
 * rig's workers. */
checked_t check_saved(rig_t *rig, unsigned n, const char *journal, const char *requests);
/* The same over a file of rows that the checker reads (postgres_export()). */
checked_t check_rows(rig_t *rig, const char *rows, const char *journal, const char *requests);
/* The same of what publish_hosts() published: what was confirmed under the prefixes (ends with NULL) is to be
 * there, and nothing that was not asked for under any. */
checked_t check_published(rig_t *rig, unsigned n, const char *const *prefixes);
/* Adds the verdict to the figures. */
void figures_judged(figures_t *f, const checked_t *c);
/* Nothing lost, nothing twice, nothing that nobody asked for; and something was confirmed. */
void assert_judged(const checked_t *c);

#endif

/* What every contract test stands on: a row of a table of kinds, the real program for it, and a boss. */
#ifndef MANDRILL_TEST_CONTRACT_H
#define MANDRILL_TEST_CONTRACT_H

#include "tests/contract/boss.h"
#include "tests/contract/odd_kinds.h"
#include "tests/support/dockerd.h"
#include "tests/support/httpd.h"
#include "tests/support/pipeline.h"

typedef struct {
    const char *program;
    const worker_kind_t *kind;
} row_t;

typedef struct {
    row_t row;
    const char *transport;
    rig_t *rig;
    boss_t boss;
    char schema[32];    /* of a kind that saves in PostgreSQL; else "" */
    dockerd_t *dockerd; /* of the kind that restarts containers; else NULL */
    httpd_t *httpd;     /* of those that speak HTTP; else NULL */
    char name[128];     /* of the test */
} contract_t;

/* Every row of the real table, then of the test's own; how many. */
size_t contract_rows(row_t *ret, size_t max);
/* The row of one kind of the real table. */
row_t contract_row(const char *kind);
/* Runs each test for each row, over ipc and tcp in turn; for main() to return. */
int contract_run(const char *suite, const struct CMUnitTest *tests, size_t tests_count, const row_t *rows,
                 size_t rows_count);

/* The row's program for the boss (and others: endpoints that are NULL are left out), not yet welcomed.
 * Options of the kind that name a file get one in the rig's directory; save-postgres gets a schema of the
 * program's server; restart-docker an engine that stands in for Docker's, where it may restart all;
 * restart-exec commands that always go well; odd-runner a folder of hosts; a simulated restart takes 0..20
 * ms. */
process_t *contract_spawn(contract_t *c, const char *name, const char *other_boss, const char *const *args);
/* The same, welcomed by the boss as its next worker and ready for tasks. */
process_t *contract_start(contract_t *c, const char *name, const char *const *args);
/* SIGTERM, and the boss goes on until the program has ended; its exit code. */
int contract_stop(contract_t *c, process_t *p);
/* A program with these arguments, and with flags up to NULL or so many, which ends by itself: with this code,
 * and `says` stands in its log. */
process_t *contract_ends(contract_t *c, const char *program, const char *const *arguments,
                         const char *const *flags, size_t flags_max, int code, const char *says);
/* Whether the program has announced that it is ready. */
bool contract_ready(const process_t *p);
/* How many tasks it should be ready to take. */
uint32_t contract_window(const contract_t *c);
/* One task for a host as it was asked for, published at some time, to the worker that came last; `note`: of
 * an earlier try, NULL: none. Returns its ref. */
uint64_t contract_ask(contract_t *c, const char *host, int64_t published_ms, const boss_intent_t *note);
/* Waits for its result, which has to be this one, with a text that holds `text`. */
const boss_result_t *contract_expect(contract_t *c, uint64_t ref, outcome_t outcome, const char *text);
/* When bodies of tests are published that do not care. */
#define CONTRACT_PUBLISHED_MS INT64_C(1700000000000)
/* Where the hosts of odd-runner are, in a buffer of TEST_PATH_MAX. */
char *contract_fleet(const contract_t *c, char *path);
/* How long a file there is: how often the host was restarted. */
unsigned contract_boots(const contract_t *c, const char *name);
/* Where the engine of restart-docker listens, in a buffer of TEST_PATH_MAX. */
char *contract_socket(const contract_t *c, char *path);
/* A kind that has a file: where its rows are; else NULL. */
const char *contract_file(const contract_t *c, char *path);

#endif

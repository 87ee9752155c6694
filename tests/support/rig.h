/* What every test stands on: a directory of its own, endpoints for the transport under test, and the programs
 * that it started. Everything is gone after the test, however it ended; of a failed test the ends of all logs
 * are shown (and with MANDRILL_TEST_KEEP set its directory stays).
 *
 *   static const struct CMUnitTest tests[] = {RIG_TESTS(test_happy)};      one test for each transport
 */
#ifndef MANDRILL_TEST_RIG_H
#define MANDRILL_TEST_RIG_H

#include "tests/support/process.h"
#include <zmq.h>

enum {
    RIG_PROCESSES_MAX = 64,
    RIG_ENDPOINTS_MAX = 64,
    RIG_ENDPOINT_MAX = 128,
    RIG_SOCKETS_MAX = 64,
    RIG_DEFERRED_MAX = 16
};

typedef struct {
    char name[PROCESS_NAME_MAX];
    char endpoint[RIG_ENDPOINT_MAX];
    char detour[RIG_ENDPOINT_MAX]; /* where who connects goes instead; "": nowhere else */
} rig_endpoint_t;

typedef struct {
    const char *transport; /* "ipc" or "tcp" */
    char dir[64];
    void *zmq; /* the context of raw peers, made when first asked for */
    void *sockets[RIG_SOCKETS_MAX];
    void *memory[RIG_SOCKETS_MAX];
    process_t *processes[RIG_PROCESSES_MAX];
    size_t processes_count;
    rig_endpoint_t endpoints[RIG_ENDPOINTS_MAX];
    size_t endpoints_count;
    int guard;
    pid_t guard_pid;
    bool passed;
    struct {
        void (*run)(void *arg);
        void *arg;
    } deferred[RIG_DEFERRED_MAX];
    size_t deferred_count;
    const char *stdin_file; /* of the next program; NULL: /dev/null */
} rig_t;

int rig_setup(void **state);
int rig_teardown(void **state);
/* The last line of a test: what is left after it is no failure. It also looks through the logs for what the
 * sanitizers say. */
void rig_passed(rig_t *rig);

#define RIG_TEST(function, transport)                                                                        \
    {                                                                                                        \
#function " over " transport, function, rig_setup, rig_teardown, (void *)(uintptr_t)(transport)      \
    }
#define RIG_TESTS(function) RIG_TEST(function, "ipc"), RIG_TEST(function, "tcp")

/* An endpoint by name: the same one each time, so that a program can come back where it was. */
const char *rig_endpoint(rig_t *rig, const char *name);
/* It is this one from now on: for what does not lie on the loopback. */
void rig_place(rig_t *rig, const char *name, const char *text);
/* Whoever connects to `name` from now on is given `by` instead; who binds is not. */
void rig_detour(rig_t *rig, const char *name, const char *by);
/* Where to connect for what is bound at rig_endpoint(). */
const char *rig_way_to(rig_t *rig, const char *name);
/* Called when the programs of the test have ended, the last first. */
void rig_defer(rig_t *rig, void (*run)(void *arg), void *arg);
/* "<dir>/<name>" in a buffer of TEST_PATH_MAX; returns it. */
char *rig_path(const rig_t *rig, const char *name, char *path);
/* A DEALER connected to an endpoint, closed at the end of the test or by rig_close (which takes NULL). */
void *rig_dealer(rig_t *rig, const char *endpoint);
void rig_close(rig_t *rig, void *socket);
/* Memory that is freed at the end of the test, or by rig_free. */
void *rig_alloc(rig_t *rig, size_t size);
void rig_free(rig_t *rig, void *memory);

/* A program of the build by its name ("mandrill-publisher"), or any by its whole path, not yet started.
 * `name` is unique in the test. */
process_t *rig_program(rig_t *rig, const char *name, const char *program, const char *const *arguments);
/* The same, started. */
process_t *rig_spawn(rig_t *rig, const char *name, const char *program, const char *const *arguments);
#define SPAWN(rig, name, program, ...) rig_spawn(rig, name, program, (const char *const[]){__VA_ARGS__, NULL})
/* Runs a program to its end; returns its exit code. */
#define RUN(rig, name, program, ...) process_wait(SPAWN(rig, name, program, __VA_ARGS__), WAIT_MS)

#endif

/* What stands in for a Docker Engine where a test wants it to fail: the few calls that restart-docker makes,
 * over a socket, in a thread of its own. (The real engine is that of tests/compose.)
 *
 * Faults are planned by call: the next so many of that sort. Errors: what cannot be done fails the test. */
#ifndef MANDRILL_TEST_DOCKERD_H
#define MANDRILL_TEST_DOCKERD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dockerd dockerd_t;

typedef enum { CALL_PING, CALL_LIST, CALL_INSPECT, CALL_RESTART, CALLS } dockerd_call_t;

typedef enum {
    DOCKERD_FINE,
    DOCKERD_SILENT,   /* no answer, and nothing is done */
    DOCKERD_SLOW,     /* done and answered after `value` ms */
    DOCKERD_STATUS,   /* `value` with a message, and nothing is done */
    DOCKERD_RESET,    /* done, and the connection ends in the middle of the answer */
    DOCKERD_CLOSE,    /* done, and the connection ends without an answer */
    DOCKERD_CHUNKED,  /* done, and answered in chunks of `value` bytes */
    DOCKERD_LARGE,    /* an answer of `value` bytes */
    DOCKERD_HEADERS,  /* headers without an end */
    DOCKERD_NO_JSON,  /* 200 with half of the answer */
    DOCKERD_NO_HTTP,  /* an answer in another language */
    DOCKERD_ENDS,     /* restart: the container ends as soon as it was started */
    DOCKERD_UNTOUCHED /* restart: answered as if it was done */
} dockerd_fault_t;

/* Listens at the path when it returns. */
dockerd_t *dockerd_open(const char *path);
void dockerd_close(dockerd_t *d); /* NULL: nothing */
/* Its process ends, with all connections; its containers stay. And comes again. */
void dockerd_stop(dockerd_t *d);
void dockerd_start(dockerd_t *d);

/* One container, running since 2020, with a label "key=value" (NULL: none). A name may be there twice.
 * Without any every name that has no dot is one. */
void dockerd_add(dockerd_t *d, const char *name, const char *label);
/* From now on the next `times` calls of this sort do so. */
void dockerd_plan(dockerd_t *d, dockerd_call_t call, dockerd_fault_t fault, long value, unsigned times);
/* How often one was restarted; how often a call came. */
unsigned dockerd_restarts(dockerd_t *d, const char *name);
unsigned dockerd_calls(dockerd_t *d, dockerd_call_t call);
/* How many requests had this in their first line. */
unsigned dockerd_saw(dockerd_t *d, const char *text);
/* Connections that are open, or were since it began. */
unsigned dockerd_connections(dockerd_t *d);
unsigned dockerd_connections_made(dockerd_t *d);

#endif

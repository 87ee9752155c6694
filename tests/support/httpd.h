/* An HTTP(S) server of a test's own, on a port of 127.0.0.1, in a thread. It stands for hosts that can be
 * restarted and looked at, and fails as it is told:
 *
 *   POST /hosts/NAME/restart   the host is another one then; with "?boot=ID" only if it is ID
 *   GET  /hosts/NAME/boot      "boot-N UP": how often it was restarted, since how many seconds it is up
 *   GET  /...                  "ok"
 *
 * Faults are planned by call: the next so many of that sort. Errors: what cannot be done fails the test. */
#ifndef MANDRILL_TEST_HTTPD_H
#define MANDRILL_TEST_HTTPD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct httpd httpd_t;

typedef enum { HTTPD_ACT, HTTPD_LOOK, HTTPD_GET, HTTPD_CALLS } httpd_call_t;

typedef enum {
    HTTPD_FINE,
    HTTPD_STATUS,        /* `value`, and nothing is done */
    HTTPD_SLOW,          /* done and answered after `value` ms */
    HTTPD_SILENT,        /* no answer, and nothing is done */
    HTTPD_RESET,         /* nothing is done, and the connection is reset */
    HTTPD_DONE_RESET,    /* done, and the connection is reset */
    HTTPD_DONE_HALF,     /* done, and it ends in the middle of the answer's first line */
    HTTPD_DONE_HEADLESS, /* done, and it ends in the middle of the answer's headers, after a 200 */
    HTTPD_DONE_SHORT,    /* done, and it ends in the middle of the answer's body */
    HTTPD_DONE_STATUS,   /* done, and answered `value` */
    HTTPD_UNTOUCHED,     /* answered as if it was done */
    HTTPD_NO_HTTP,       /* done, and answered in another language */
    HTTPD_HEADERS,       /* done, and answered with headers without an end */
    HTTPD_LARGE,         /* done, and answered with a body of `value` bytes */
    HTTPD_TEXT,          /* nothing is done; answered 200 with the text of httpd_text() */
} httpd_fault_t;

/* For TLS: what the certificate says. It is signed by itself. */
typedef struct {
    const char *name; /* "IP:127.0.0.1", "DNS:other.example" */
    bool expired;
    const char *file; /* where it is written, as PEM */
} httpd_certificate_t;

/* NULL: without TLS. */
httpd_t *httpd_open(const httpd_certificate_t *tls);
void httpd_close(httpd_t *h); /* NULL: nothing */
/* Nobody listens any more, and all connections end; what it knows stays. And comes again, on the same port.
 */
void httpd_stop(httpd_t *h);
void httpd_start(httpd_t *h);
/* "http://127.0.0.1:PORT" and the path; good until the next but 7. */
const char *httpd_url(const httpd_t *h, const char *path);

void httpd_plan(httpd_t *h, httpd_call_t call, httpd_fault_t fault, long value, unsigned times);
/* A line that every answer has from now on: "Retry-After: 7"; "": none. */
void httpd_header(httpd_t *h, const char *line);
void httpd_text(httpd_t *h, const char *text);
/* It takes a message with an Idempotency-Key once, and answers as if for the first time. */
void httpd_remember(httpd_t *h);
/* Somebody else restarts it. */
void httpd_restart(httpd_t *h, const char *host);
/* How often a host was restarted; how often a call came; how many requests had this in them. */
unsigned httpd_restarts(httpd_t *h, const char *host);
unsigned httpd_calls(httpd_t *h, httpd_call_t call);
unsigned httpd_saw(httpd_t *h, const char *text);
/* Connections that are open; the most that were at once. */
unsigned httpd_connections(httpd_t *h);
unsigned httpd_most_connections(httpd_t *h);

#endif

/* The programs of a pipeline with the files and endpoints of the rig. What is numbered counts from 0:
 * publisher n has the endpoints "leases-n" and "clients-n" and outbox-n.db; consumer n "tasks-n" and
 * "control-n"; save worker n saved-n.db. Each function returns when the program has announced itself. */
#ifndef MANDRILL_TEST_PIPELINE_H
#define MANDRILL_TEST_PIPELINE_H

#include "tests/support/rig.h"
#include <jansson.h>

/* Further arguments of a program. */
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ARGS   ((const char *const[]){NULL})

process_t *start_publisher(rig_t *rig, unsigned n, const char *const *args);
/* Of all publishers below `publishers`. */
process_t *start_consumer(rig_t *rig, unsigned n, unsigned publishers, const char *const *args);
/* Of all consumers below `consumers`. */
process_t *start_save(rig_t *rig, unsigned n, unsigned consumers, const char *const *args);
process_t *start_restart(rig_t *rig, unsigned n, unsigned consumers, const char *const *args);

/* Worker n of those that save in PostgreSQL. */
process_t *start_save_postgres(rig_t *rig, unsigned n, unsigned consumers, const char *conninfo,
                               const char *const *args);

/* As above, with another program in place of mandrill-publisher or mandrill-worker. */
process_t *start_publisher_as(rig_t *rig, unsigned n, const char *program, const char *const *args);
process_t *start_save_as(rig_t *rig, unsigned n, const char *program, unsigned consumers,
                         const char *const *args);

typedef enum { PART_PUBLISHER, PART_CONSUMER, PART_SAVE, PART_RESTART, PIPELINE_PROGRAMS } part_t;
/* One of each, with an ack deadline of `lease_ms` and extensions to match, and with limits that nothing a
 * fault test does will reach: a dead letter would be rightful there, and no answer. The workers log what they
 * do, and know as many consumers as there are to be; consumer 0 is started. */
void start_sturdy(rig_t *rig, process_t *programs[static PIPELINE_PROGRAMS], unsigned lease_ms,
                  unsigned consumers);
/* One more like its; the consumer of the publishers below `publishers`. */
process_t *start_sturdy_publisher(rig_t *rig, unsigned n, unsigned lease_ms);
process_t *start_sturdy_consumer(rig_t *rig, unsigned n, unsigned publishers, unsigned lease_ms);
/* Its workers alone. */
void start_sturdy_workers(rig_t *rig, process_t *programs[static PIPELINE_PROGRAMS], unsigned consumers);

/* `mandrill publish` for a list of hosts in a file of the rig (made by write_hosts), not yet started: to
 * publisher n. Its stdout is the journal. */
process_t *publish_program(rig_t *rig, const char *name, unsigned n, const char *hosts_file);
/* Writes "<prefix>-0" .. a line each. */
void write_hosts(const rig_t *rig, const char *file, const char *prefix, unsigned count);
/* Publishes `count` hosts and expects every one to be confirmed. */
void publish_hosts(rig_t *rig, unsigned n, const char *prefix, unsigned count);

/* STATUS of a publisher's client endpoint or a consumer's control endpoint: a number by its dotted path
 * ("legs.save.done"); -1 when nobody answers within a second or the name is not there. */
int64_t status_number(rig_t *rig, const char *endpoint_name, const char *path);
/* All that a program has refused, whatever for. */
int64_t status_refused(rig_t *rig, const char *endpoint_name);
/* The whole answer, to be given to json_decref(); NULL when nobody answers. */
json_t *status_query(rig_t *rig, const char *endpoint_name);
int64_t json_number(const json_t *object, const char *path);
/* A number of the last --report json line of a program. */
int64_t report_number(const process_t *p, const char *path);

/* Their names in STATUS. */
#define STATUS_BACKLOG     "backlog"
#define STATUS_DEAD        "dead"
#define STATUS_REDELIVERED "redelivered"

/* Rows in saved-n.db, and for one host. */
int64_t saved(const rig_t *rig, unsigned n);
int64_t saved_host(const rig_t *rig, unsigned n, const char *host);

#endif

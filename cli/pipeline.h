/* The whole pipeline as children of this process: a publisher, consumers, save and restart workers. Shared by
 * `up` and `bench`.
 *
 * Started publisher, consumers, workers: each connects to addresses that its server has announced, so nobody
 * waits for a reconnect, any free port will do, and a wrong setting stops the start at the child that has it.
 * Drained publisher and consumers together, then the workers: the publisher lets no more out and is there
 * until the consumers have told what they finished and given back the rest, for which these need the workers.
 * So all of it takes one drain time-out and what is needed for goodbyes.
 *
 *   STARTING --all ready--> RUNNING --drain, the load's end, a failure--> DRAINING --> ENDED
 */
#ifndef MANDRILL_PIPELINE_H
#define MANDRILL_PIPELINE_H

#include "cli/parts.h"
#include "cli/supervisor.h"
#include <jansson.h>

enum { PIPELINE_PUBLISHER = 0 /* its child number */ };

typedef enum { PIPELINE_STARTING, PIPELINE_RUNNING, PIPELINE_DRAINING, PIPELINE_ENDED } pipeline_state_t;
typedef struct pipeline pipeline_t;

/* `line` gets what the children write to their standard error. The settings are the caller's and outlive the
 * pipeline. 0 or -ENOMEM. */
int pipeline_new(pipeline_t **ret, loop_t *loop, const pipeline_settings_t *settings,
                 void (*line)(void *arg, uint32_t child, const char *name, const char *text, size_t len),
                 void *arg);
/* Kills what still runs. */
void pipeline_destroy(pipeline_t **p);
void pipeline_start(pipeline_t *p);
void pipeline_turn(pipeline_t *p, bool read_lines);
int64_t pipeline_next_ms(const pipeline_t *p);
void pipeline_drain(pipeline_t *p);
/* Asks every child to log what it has in flight. */
void pipeline_dump(pipeline_t *p);
/* Asks every child to read its configuration again. */
void pipeline_reload(pipeline_t *p);
/* Ends every child at once; when called again, without letting it close its files. */
void pipeline_kill(pipeline_t *p);

pipeline_state_t pipeline_state(const pipeline_t *p);
/* Why it could not start or go on; NULL when all went well. */
const char *pipeline_failure(const pipeline_t *p);
/* It was ended at once. */
bool pipeline_hurried(const pipeline_t *p);
/* Where the publisher serves clients, the first consumer its control: NULL before they have announced it. */
const char *pipeline_clients(const pipeline_t *p);
const char *pipeline_control(const pipeline_t *p);
/* The child that was the cause of a failed start had been given something wrong to do. */
bool pipeline_misused(const pipeline_t *p);
/* The publisher has ended by itself with a report, its load finished. */
bool pipeline_finished(const pipeline_t *p);

uint32_t pipeline_children(const pipeline_t *p);
part_t pipeline_part(const pipeline_t *p, uint32_t child);
/* The last report of a child, or NULL; the pipeline's. */
const json_t *pipeline_report(const pipeline_t *p, uint32_t child);
/* CPU time of all children of a part that have ended, the largest resident set of any of them. */
int64_t pipeline_cpu_us(const pipeline_t *p, part_t part);
int64_t pipeline_rss_kb(const pipeline_t *p, part_t part);

#endif

/* What the save kinds share: the row that a message becomes, and what is told of it.
 *
 * Ownership: texts of a row point into its task and into the caller's buffer. */
#ifndef MANDRILL_SAVE_ROW_H
#define MANDRILL_SAVE_ROW_H

#include "workers/worker.h"

enum {
    SAVE_BATCH = 1024, /* rows of one transaction, unless --batch says otherwise */
};

typedef struct {
    int64_t stream, seq;
    const char *instance, *host;
    uint32_t instance_len, host_len;
    int64_t published_ms, saved_ms; /* since 1970 */
    const char *attributes;         /* a JSON object; NULL: the message has none */
    size_t attributes_len;
} save_row_t;

/* `json` is overwritten. 0 or -ENOMEM. */
int save_row_make(save_row_t *ret, const worker_task_t *task, int64_t saved_ms, buffer_t *json);
/* The row has been committed. */
void save_row_committed(const worker_task_t *task, worker_sink_t *sink);
/* The store takes nothing for so long: `why`. */
void save_row_blocked(const worker_task_t *task, int64_t wait_ms, const char *why, worker_sink_t *sink);

#endif

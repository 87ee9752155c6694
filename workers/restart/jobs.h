/* What is at work, by number of task: a table of pointers. The runtime gives low numbers and uses them again,
 * so it is as large as the most that were at work at once.
 *
 * Ownership: what the pointers point to is the caller's. */
#ifndef MANDRILL_RESTART_JOBS_H
#define MANDRILL_RESTART_JOBS_H

#include <stdint.h>

typedef struct {
    void **at;
    uint32_t capacity;
} jobs_t;

void jobs_init(jobs_t *j);
void jobs_done(jobs_t *j);
/* Makes room for this number: 0 or -ENOMEM. */
int jobs_reserve(jobs_t *j, uint32_t number);
/* NULL: nothing is at work under this number. */
void *jobs_get(const jobs_t *j, uint32_t number);
/* There must be room. NULL: it is at work no more. */
void jobs_set(jobs_t *j, uint32_t number, void *job);

#endif

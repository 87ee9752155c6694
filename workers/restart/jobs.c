#include "workers/restart/jobs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

void jobs_init(jobs_t *j)
{
    *j = (jobs_t){.at = NULL};
}

void jobs_done(jobs_t *j)
{
    free(j->at);
    jobs_init(j);
}

int jobs_reserve(jobs_t *j, uint32_t number)
{
    uint32_t capacity = j->capacity > 0 ? j->capacity : CAPACITY_MIN;
    if (number < j->capacity)
        return 0;
    while (capacity <= number)
        capacity *= 2;
    void **at = realloc(j->at, capacity * sizeof(void *));
    if (at == NULL)
        return -ENOMEM;
    memset(at + j->capacity, 0, (capacity - j->capacity) * sizeof(void *));
    j->at = at;
    j->capacity = capacity;
    return 0;
}

void *jobs_get(const jobs_t *j, uint32_t number)
{
    return number < j->capacity ? j->at[number] : NULL;
}

void jobs_set(jobs_t *j, uint32_t number, void *job)
{
    assert(number < j->capacity);
    j->at[number] = job;
}

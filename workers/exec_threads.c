/* The threads executor: --slots threads, each running one task at a time, for kinds that block. Results come
 * back to the loop through a list and an eventfd. A thread that is stuck holds only its slot. */
#include "workers/executor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* One place for each task at work: from the queue to a thread to the list of results. */
typedef struct job {
    struct job *next;
    const worker_task_t *task;
    worker_result_t result;
} job_t;

/* First in, first out. */
typedef struct {
    job_t *first;
    job_t **end;
} jobs_t;

typedef struct {
    const worker_kind_t *kind;
    void *self;
    job_t *places;
    job_t *idle;          /* places that are free; of the loop's thread */
    uint32_t at_work;     /* places that are not; of the loop's thread */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    jobs_t todo, done;
    bool stop;
    int event; /* rises when something is done */
    int item;  /* of the loop */
    uint32_t threads_count;
    pthread_t threads[];
} pool_t;

static void jobs_init(jobs_t *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void jobs_push(jobs_t *l, job_t *j)
{
    j->next = NULL;
    *l->end = j;
    l->end = &j->next;
}

static job_t *jobs_pop(jobs_t *l)
{
    job_t *j = l->first;
    if (j != NULL) {
        l->first = j->next;
        if (l->first == NULL)
            l->end = &l->first;
    }
    return j;
}

static void *work(void *arg)
{
    pool_t *p = arg;
    const uint64_t one = 1;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        job_t *j;
        while ((j = jobs_pop(&p->todo)) == NULL && !p->stop)
            pthread_cond_wait(&p->more, &p->lock);
        if (j == NULL)
            break;
        pthread_mutex_unlock(&p->lock);
        j->result = (worker_result_t){0};
        p->kind->run(p->self, j->task, &j->result);
        j->result.text[TEXT_BYTES_MAX] = '\0';
        pthread_mutex_lock(&p->lock);
        jobs_push(&p->done, j);
        /* Only fails when the counter is full: then the loop is awake anyway. */
        (void)!write(p->event, &one, sizeof one);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static bool threads_close(exec_t *e)
{
    pool_t *p = e->state;
    if (p == NULL)
        return true;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    while (jobs_pop(&p->todo) != NULL || jobs_pop(&p->done) != NULL)
        p->at_work--;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->threads_count; i++) {
        if (p->at_work > 0)
            pthread_detach(p->threads[i]);
        else
            pthread_join(p->threads[i], NULL);
    }
    if (p->at_work > 0)
        return false;
    if (p->item >= 0)
        loop_remove(e->loop, p->item);
    if (p->event >= 0)
        close(p->event);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->more);
    free(p->places);
    free(p);
    e->state = NULL;
    return true;
}

static int start_threads(exec_t *e, pool_t *p)
{
    p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event < 0)
        return -errno;
    p->item = loop_add_fd(e->loop, p->event);
    if (p->item < 0)
        return p->item;
    for (; p->threads_count < e->slots; p->threads_count++) {
        const int error = pthread_create(&p->threads[p->threads_count], NULL, work, p);
        if (error != 0)
            return -error;
    }
    return 0;
}

static int threads_open(exec_t *e, char *why)
{
    pool_t *p = calloc(1, sizeof *p + e->slots * sizeof p->threads[0]);
    job_t *places = calloc(e->slots, sizeof *places);
    if (p == NULL || places == NULL) {
        free(p);
        free(places);
        snprintf(why, WHY_BYTES, "no memory for %u threads", e->slots);
        return -ENOMEM;
    }
    p->kind = e->kind;
    p->self = e->self;
    p->places = places;
    p->event = p->item = -1;
    for (uint32_t i = 0; i < e->slots; i++) {
        places[i].next = p->idle;
        p->idle = &places[i];
    }
    jobs_init(&p->todo);
    jobs_init(&p->done);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    e->state = p;
    const int error = start_threads(e, p);
    if (error != 0) {
        snprintf(why, WHY_BYTES, "cannot start %u threads: %s", e->slots, strerror(-error));
        threads_close(e);
    }
    return error;
}

static void give_results(exec_t *e, pool_t *p)
{
    uint64_t count;
    if (read(p->event, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&p->lock);
    job_t *done = p->done.first;
    jobs_init(&p->done);
    pthread_mutex_unlock(&p->lock);
    while (done != NULL) {
        job_t *j = done;
        done = j->next;
        if (j->result.outcome == OUTCOME_OK)
            worker_ok(e->sink, j->task->number);
        else
            worker_fail(e->sink, j->task->number, j->result.outcome, j->result.ms, j->result.text);
        j->next = p->idle;
        p->idle = j;
        p->at_work--;
    }
}

static int threads_run(exec_t *e)
{
    pool_t *p = e->state;
    if (loop_ready(e->loop, p->item))
        give_results(e, p);
    if (e->queue_count == 0 || p->idle == NULL)
        return 0;
    uint32_t n = executor_begin(e, p->threads_count - p->at_work);
    pthread_mutex_lock(&p->lock);
    for (; n > 0; n--) {
        job_t *j = p->idle;
        p->idle = j->next;
        p->at_work++;
        j->task = &executor_pop(e)->task;
        jobs_push(&p->todo, j);
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return 0;
}

static int64_t threads_next_ms(const exec_t *e)
{
    (void)e;
    return INT64_MAX; /* the eventfd wakes the loop */
}

const executor_ops_t exec_threads = {threads_open, threads_run, threads_next_ms, threads_close, NULL,
                                     NULL,         NULL};

/* Work that waits: 10,000 restarts of 100 ms each in flight at once over a few workers, against the rate that
 * so many could have at best, and what each costs in memory. And the same waits in threads, one for each:
 * what the loop executor is there for.
 *
 *   waiting [--runs N] [--tasks N] [--seconds S]
 *
 * Tables in Markdown on stdout; the exit code tells only that it could be measured. */
#include "tests/bench/course.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TASK_MS = 100, FEW = 1000, STACK_BYTES = 64 * 1024, CASES = 4, SAVE_BATCH = 4096 };

typedef struct {
    unsigned runs, tasks, seconds;
} waiting_t;

typedef struct {
    unsigned workers, save_batch;
    figure_t rate, part, cpu_us[COURSE_ROLES], kb[COURSE_ROLES];
} case_t;

static course_t course_of(const waiting_t *w, const case_t *c, unsigned tasks)
{
    const uint64_t a_second = (uint64_t)tasks * 1000 / TASK_MS;

    return (course_t){.publishers = 1,
                      .consumers = 1,
                      .restarts = c->workers,
                      .size_bytes = 100,
                      .simulate = "100..100",
                      .slots = tasks,
                      .save_batch = c->save_batch,
                      .warm_up = a_second,
                      .count = a_second * w->seconds};
}

static double ideal(const waiting_t *w)
{
    return w->tasks * 1000.0 / TASK_MS;
}

static void measure(const waiting_t *w, case_t *c)
{
    const course_t many = course_of(w, c, w->tasks), few = course_of(w, c, FEW);
    course_result_t with, without;

    course_run(&few, &without);
    course_run(&many, &with);
    figure_add(&c->rate, with.rate);
    figure_add(&c->part, with.rate / ideal(w));
    for (unsigned role = 0; role < COURSE_ROLES; role++) {
        figure_add(&c->cpu_us[role], with.cpu_us[role]);
        figure_add(&c->kb[role], (with.now_mb[role] - without.now_mb[role]) * 1024 / (w->tasks - FEW));
    }
}

static void print_pipeline(const waiting_t *w, const case_t *cases)
{
    char rate[96], part[96];
    double best = 0;

    printf("\n### %u restarts of %d ms in flight\n\nIdeal: %.0f restarts a second. %u rounds, min / median / "
           "max. kB a "
           "task: RSS with %u in flight less that with %d, by the tasks between.\n\n",
           w->tasks, TASK_MS, ideal(w), w->runs, w->tasks, FEW);
    printf("| restart workers | save --batch | restarts/s | of the ideal | CPU us a message: publisher, "
           "consumer, "
           "save, restart | kB a task: publisher, consumer, save, restart |\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < CASES; i++) {
        const case_t *c = &cases[i];
        printf("| %u | %u | %s | %s | ", c->workers, c->save_batch > 0 ? c->save_batch : 1024,
               figure_text(&c->rate, 0, rate), figure_text(&c->part, 3, part));
        for (unsigned role = 0; role < COURSE_ROLES; role++)
            printf("%.2f%s", figure_at(&c->cpu_us[role], 50), role + 1 < COURSE_ROLES ? ", " : " | ");
        for (unsigned role = 0; role < COURSE_ROLES; role++)
            printf("%.2f%s", figure_at(&c->kb[role], 50), role + 1 < COURSE_ROLES ? ", " : " |\n");
        if (figure_at(&c->part, 50) > best)
            best = figure_at(&c->part, 50);
    }
    printf("\ngoal: at least 0.95 of the ideal rate (median, best of the cases): %s\n",
           best >= 0.95 ? "met" : "missed");
}

/* --- threads --- */

typedef struct {
    atomic_bool stop;
    atomic_ulong done;
} crew_t;

static void *wait_and_wait(void *arg)
{
    crew_t *crew = arg;
    const struct timespec wait = {.tv_nsec = TASK_MS * 1000000L};

    while (!atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
        nanosleep(&wait, NULL);
        atomic_fetch_add_explicit(&crew->done, 1, memory_order_relaxed);
    }
    return NULL;
}

static double own_rss_kb(void)
{
    const process_t self = {.pid = getpid(), .name = "waiting"};

    return measure_rss_mb(&self, false) * 1024;
}

static double own_cpu_us(void)
{
    const process_t self = {.pid = getpid(), .name = "waiting"};

    return (double)measure_cpu_us(&self);
}

/* What the kernel has for the stacks of all threads there are. */
static double kernel_stacks_kb(void)
{
    char *text = test_read_file("/proc/meminfo");
    const char *at = strstr(text, "KernelStack:");
    const double kb = at != NULL ? strtod(at + strlen("KernelStack:"), NULL) : 0;

    free(text);
    return kb;
}

/* One thread for each task; 0 when the machine lets nobody have so many. */
static unsigned start_threads(pthread_t *threads, unsigned count, crew_t *crew)
{
    pthread_attr_t attributes;
    unsigned n = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (n < count && pthread_create(&threads[n], &attributes, wait_and_wait, crew) == 0)
        n++;
    pthread_attr_destroy(&attributes);
    return n;
}

static void measure_threads(const waiting_t *w)
{
    crew_t crew = {.stop = false};
    pthread_t *threads = calloc(w->tasks, sizeof *threads);
    const struct timespec second = {.tv_sec = 1}, stretch = {.tv_sec = w->seconds};

    assert_non_null(threads);
    const double before_kb = own_rss_kb(), stacks_kb = kernel_stacks_kb();
    const unsigned count = start_threads(threads, w->tasks, &crew);
    nanosleep(&second, NULL);
    const unsigned long done = atomic_load(&crew.done);
    const double cpu_us = own_cpu_us(), kb = own_rss_kb();
    const int64_t from_us = measure_now_us();
    nanosleep(&stretch, NULL);
    const double seconds = (double)(measure_now_us() - from_us) / 1e6;
    const double ended = (double)(atomic_load(&crew.done) - done);
    const double used_us = own_cpu_us() - cpu_us;
    const double stack_kb = (kernel_stacks_kb() - stacks_kb) / count;
    atomic_store(&crew.stop, true);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    printf("\n### The same in threads\n\nNothing but threads that each wait %d ms again and again, stacks of "
           "%d kB.\n\n",
           TASK_MS, STACK_BYTES / 1024);
    printf("| threads | waits/s | of the ideal | CPU us a wait | RSS kB a thread | kB of its stack in the "
           "kernel "
           "|\n|---|---|---|---|---|---|\n");
    printf("| %u | %.0f | %.3f | %.2f | %.1f | %.1f |\n", count, ended / seconds, ended / seconds / ideal(w),
           used_us / ended, (kb - before_kb) / count, stack_kb);
}

int main(int argc, char **argv)
{
    waiting_t w = {.runs = 5, .tasks = 10000, .seconds = 5};
    case_t cases[CASES] = {
        {.workers = 2},
        {.workers = 1, .save_batch = SAVE_BATCH},
        {.workers = 2, .save_batch = SAVE_BATCH},
        {.workers = 4, .save_batch = SAVE_BATCH},
    };

    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--runs") == 0)
            w.runs = (unsigned)measure_number(argv[i], value, 1, RUNS_MAX);
        else if (strcmp(argv[i], "--tasks") == 0)
            w.tasks = (unsigned)measure_number(argv[i], value, 2 * FEW, 15000);
        else if (strcmp(argv[i], "--seconds") == 0)
            w.seconds = (unsigned)measure_number(argv[i], value, 1, 600);
        else {
            fprintf(stderr, "%s: '%s' is no option\nusage: %s [--runs N] [--tasks N] [--seconds S]\n",
                    argv[0], argv[i], argv[0]);
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned n = 0; n < w.runs; n++)
        for (unsigned i = 0; i < CASES; i++) {
            measure(&w, &cases[i]);
            fprintf(stderr, "round %u: %u workers: %.3f of the ideal\n", n + 1, cases[i].workers,
                    cases[i].part.values[n]);
        }
    print_pipeline(&w, cases);
    measure_threads(&w);
    return 0;
}

/* sim: many runs of all programs in simulated worlds, each from its seed (docs/ARCHITECTURE.md, "Simulator").
 *
 *   sim [--seeds N] [--first SEED] [--jobs N]     runs so many seeds; 0 when every invariant held in all
 *   sim --seed SEED [--trace]                     runs one, and tells everything that happens
 *   sim --expect INVARIANT,... [--seeds N]        0 when a run breaks one of them: for planted bugs */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/sim/run.h"
#include "tests/sim/trace.h"
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS_MAX = 64,
    LOOK_MS = 20,
    HANG_S = 30,     /* of CPU: one run takes milliseconds */
    BLOCKED_S = 600, /* of time: on a machine that does other things, too, a run may take long */
    TAIL_LINES = 150,
    LINE_BYTES = 512,
};

typedef struct {
    uint64_t seeds, first, seed;
    uint32_t jobs;
    bool one, trace;
    const char *expect;
} options_t;

/* What a child tells its parent, in memory that they share. */
typedef struct {
    volatile uint64_t seed, done;
    volatile bool ended;
    run_sums_t sums;
    char verdict[VERDICT_BYTES];
} job_t;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of CPU, used by the process so far; less than before when it has ended. */
static double cpu_seconds(pid_t pid)
{
    struct timespec t = {0};
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_job(job_t *job, const options_t *o, uint32_t place)
{
    trace_verdict_to(job->verdict);
    for (uint64_t i = place; i < o->seeds; i += o->jobs) {
        job->seed = o->first + i;
        run_seed(job->seed, &job->sums);
        job->done++;
    }
    job->ended = true;
}

/* The run once more, with its trace: the end of it is shown. */
static void show_trace(uint64_t seed)
{
    static char lines[TAIL_LINES][LINE_BYTES];
    uint32_t count = 0;
    int fds[2];
    if (pipe(fds) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        run_sums_t sums = {0};
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        trace_verdict_to(NULL);
        setvbuf(stdout, NULL, _IOLBF, 0);
        tracing = true;
        run_seed(seed, &sums);
        printf("it did not break this time\n");
        fflush(stdout);
        _exit(EXIT_SUCCESS);
    }
    close(fds[1]);
    FILE *f = fdopen(fds[0], "r");
    while (f != NULL && fgets(lines[count % TAIL_LINES], LINE_BYTES, f) != NULL)
        count++;
    if (f != NULL)
        fclose(f);
    waitpid(pid, NULL, 0);
    for (uint32_t i = count > TAIL_LINES ? count - TAIL_LINES : 0; i < count; i++)
        fputs(lines[i % TAIL_LINES], stdout);
}

/* The jobs run until all have ended or one has failed: its place, or -1. */
static int watch(job_t *jobs, pid_t *pids, uint32_t n)
{
    uint32_t left = n;
    uint64_t done[JOBS_MAX] = {0};
    double since[JOBS_MAX] = {0}, since_s[JOBS_MAX];
    for (uint32_t i = 0; i < n; i++)
        since_s[i] = seconds();
    while (left > 0) {
        const struct timespec wait = {.tv_nsec = LOOK_MS * 1000000L};
        nanosleep(&wait, NULL);
        for (uint32_t i = 0; i < n; i++) {
            int status;
            if (pids[i] == 0)
                continue;
            if (jobs[i].done != done[i]) {
                done[i] = jobs[i].done;
                since[i] = cpu_seconds(pids[i]);
                since_s[i] = seconds();
            }
            if (cpu_seconds(pids[i]) - since[i] > HANG_S || seconds() - since_s[i] > BLOCKED_S) {
                snprintf(jobs[i].verdict, VERDICT_BYTES, "liveness: the run does not end");
                return (int)i;
            }
            if (waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            pids[i] = 0;
            left--;
            if (WIFSIGNALED(status))
                snprintf(jobs[i].verdict, VERDICT_BYTES, "crash: signal %d", WTERMSIG(status));
            else if (!jobs[i].ended && jobs[i].verdict[0] == '\0')
                snprintf(jobs[i].verdict, VERDICT_BYTES, "crash: exit code %d", WEXITSTATUS(status));
            if (!jobs[i].ended)
                return (int)i;
        }
    }
    return -1;
}

/* Whether the verdict is about one of the invariants, which stand with commas between them. */
static bool is_expected(const char *verdict, const char *expect)
{
    size_t len;
    for (const char *name = expect; *name != '\0'; name += len + (name[len] == ',')) {
        len = strcspn(name, ",");
        if (strncmp(verdict, name, len) == 0 && verdict[len] == ':')
            return true;
    }
    return false;
}

static int tell(const options_t *o, const job_t *jobs, int failed, double took_s)
{
    run_sums_t s = {0};
    uint64_t done = 0;
    for (uint32_t i = 0; i < o->jobs; i++) {
        done += jobs[i].done;
        s.turns += jobs[i].sums.turns;
        s.kills += jobs[i].sums.kills;
        s.virtual_us += jobs[i].sums.virtual_us;
        s.sums.messages += jobs[i].sums.sums.messages;
        s.sums.done += jobs[i].sums.sums.done;
        s.sums.dead += jobs[i].sums.sums.dead;
        s.sums.acts += jobs[i].sums.sums.acts;
        s.sums.redelivered += jobs[i].sums.sums.redelivered;
        s.real += jobs[i].sums.real;
        s.sums.restarts += jobs[i].sums.sums.restarts;
        s.sums.skipped += jobs[i].sums.sums.skipped;
        s.sums.unknown += jobs[i].sums.sums.unknown;
        s.sums.late += jobs[i].sums.sums.late;
        s.sums.doubles += jobs[i].sums.sums.doubles;
    }
    printf("%" PRIu64 " seeds in %.1f s: %.0f a second, %.0f h of their time; %" PRIu64 " turns, %" PRIu64
           " kills, %" PRIu64 " messages, %" PRIu64 " done, %" PRIu64 " dead, %" PRIu64 " leases lost\n",
           done, took_s, (double)done / took_s, (double)s.virtual_us / 3.6e9, s.turns, s.kills,
           s.sums.messages, s.sums.done, s.sums.dead, s.sums.redelivered);
    printf("%" PRIu64 " of them with hosts: %" PRIu64 " restarts, %" PRIu64 " skipped, %" PRIu64
           " unknown; %" PRIu64 " acts by workers that were stopped between the look at their grant and the "
           "act until it was over, %" PRIu64 " second restarts that came of these\n",
           s.real, s.sums.restarts, s.sums.skipped, s.sums.unknown, s.sums.late, s.sums.doubles);
    if (failed < 0)
        return o->expect != NULL ? (printf("no run breaks %s\n", o->expect), EXIT_FAILURE) : EXIT_SUCCESS;
    const job_t *job = &jobs[failed];
    bool expected = o->expect != NULL && is_expected(job->verdict, o->expect);
    if (!expected)
        show_trace(job->seed);
    printf("seed %" PRIu64 " breaks %s\n", job->seed, job->verdict);
    if (!expected)
        printf("again, with all of its trace: sim --seed %" PRIu64 " --trace\n", job->seed);
    return expected ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_many(const options_t *o)
{
    pid_t pids[JOBS_MAX] = {0};
    double start = seconds();
    job_t *jobs =
        mmap(NULL, o->jobs * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jobs == MAP_FAILED)
        return EXIT_FAILURE;
    fflush(stdout);
    for (uint32_t i = 0; i < o->jobs; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            return EXIT_FAILURE;
        if (pids[i] == 0) {
            run_job(&jobs[i], o, i);
            exit(EXIT_SUCCESS);
        }
    }
    int failed = watch(jobs, pids, o->jobs);
    for (uint32_t i = 0; i < o->jobs; i++)
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    return tell(o, jobs, failed, seconds() - start);
}

static int run_one(const options_t *o)
{
    run_sums_t sums = {0};
    tracing = o->trace;
    run_seed(o->seed, &sums);
    printf("seed %" PRIu64 ": every invariant held; %" PRIu64 " messages, %" PRIu64 " done, %" PRIu64
           " dead, %" PRIu64 " kills, %" PRIu64 " turns, %.1f s\n",
           o->seed, sums.sums.messages, sums.sums.done, sums.sums.dead, sums.kills, sums.turns,
           (double)sums.virtual_us / 1e6);
    return EXIT_SUCCESS;
}

static bool parse(int argc, char **argv, options_t *o)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        char *end = NULL;
        if (strcmp(name, "--trace") == 0) {
            o->trace = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        const char *value = argv[++i];
        uint64_t n = strtoull(value, &end, 10);
        if (strcmp(name, "--expect") == 0) {
            o->expect = value;
            continue;
        }
        if (*end != '\0' || end == value)
            return false;
        if (strcmp(name, "--seeds") == 0)
            o->seeds = n;
        else if (strcmp(name, "--first") == 0)
            o->first = n;
        else if (strcmp(name, "--jobs") == 0)
            o->jobs = (uint32_t)n;
        else if (strcmp(name, "--seed") == 0)
            o->seed = n, o->one = true;
        else
            return false;
    }
    return o->jobs >= 1 && o->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    options_t o = {
        .seeds = 1000, .first = 1, .jobs = processors > JOBS_MAX ? JOBS_MAX : (uint32_t)processors};
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: sim [--seeds N] [--first SEED] [--jobs N] [--expect INVARIANT,...]\n"
                        "       sim --seed SEED [--trace]\n");
        return 2;
    }
    /* Large blocks that are zeroed come fresh from the kernel: most of their pages are never touched. */
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    return o.one ? run_one(&o) : run_many(&o);
}

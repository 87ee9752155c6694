/* floor: the least that this design can cost. Four processes over ZeroMQ with raw structs, SQLite with
 * synchronous FULL on both sides, frames of up to 1024 records, and nothing else: no protocol, no leases, no
 * retries, no checks. What `mandrill bench` costs more than this is the price of those.
 *
 *   floor [--count N] [--rate R] [--size BYTES] [--transport ipc|tcp] [--data DIR]
 *
 * One line of JSON. With --rate the parts that a message passes one after the other are timed, too: their sum
 * is the least that a message can take. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/bench/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SYNCS = 200, PAGE = 4096 };

static const char *const role_names[ROLES] = {"publisher", "consumer", "save", "restart"};
static const char *const part_names[PARTS] = {"insert", "out", "task", "save", "result", "ack", "delete"};

floor_options_t floor_options = {.count = 500000, .size = 100, .transport = "ipc"};
floor_shared_t *floor_shared;
char floor_directory[DIRECTORY_BYTES];

void floor_die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
    exit(EXIT_FAILURE);
}

int64_t floor_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static pid_t start_role(int role)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        floor_die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        exit(EXIT_FAILURE);
    floor_role(role);
    floor_shared->cpu_us[role] = cpu_us();
    exit(EXIT_SUCCESS);
}

/* What the disk takes for a page that must survive, alone. */
static double sync_us(void)
{
    static uint8_t page[PAGE];
    static histogram_t h;
    char path[256];
    snprintf(path, sizeof path, "%s/page", floor_directory);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < SYNCS; i++) {
        const int64_t since_us = floor_now_us();
        if (pwrite(fd, page, sizeof page, (off_t)i % 16 * PAGE) != PAGE || fdatasync(fd) != 0)
            floor_die(path);
        histogram_add(&h, floor_now_us() - since_us);
    }
    close(fd);
    unlink(path);
    return (double)histogram_quantile(&h, 0.5);
}

static void report(double fdatasync_us)
{
    int64_t sum = 0;
    uint64_t serial = 0;
    for (int i = 0; i < ROLES; i++)
        sum += floor_shared->cpu_us[i];
    printf("{\"count\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.0f, \"cpu_us_per_message\": %.3f",
           floor_options.count, floor_shared->seconds, (double)floor_options.count / floor_shared->seconds,
           (double)sum / (double)floor_options.count);
    printf(", \"latency_us\": {\"p50\": %" PRIu64 ", \"p99\": %" PRIu64
           "}, \"fdatasync_us\": %.0f, \"roles\": {",
           histogram_quantile(&floor_shared->latency, 0.5), histogram_quantile(&floor_shared->latency, 0.99),
           fdatasync_us);
    for (int i = 0; i < ROLES; i++)
        printf("%s\"%s\": {\"cpu_us\": %" PRId64 "}", i > 0 ? ", " : "", role_names[i],
               floor_shared->cpu_us[i]);
    printf("}");
    for (int i = 0; floor_options.rate > 0 && i < PARTS; i++) {
        const uint64_t p50 = histogram_quantile(&floor_shared->parts[i], 0.5);
        serial += p50;
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : ", \"parts_us\": {", part_names[i], p50);
    }
    if (floor_options.rate > 0)
        printf(", \"sum\": %" PRIu64 "}", serial);
    printf("}\n");
}

static bool parse(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--count") == 0)
            floor_options.count = strtoull(value, NULL, 10);
        else if (strcmp(name, "--rate") == 0)
            floor_options.rate = strtod(value, NULL);
        else if (strcmp(name, "--size") == 0)
            floor_options.size = strtoull(value, NULL, 10);
        else if (strcmp(name, "--transport") == 0)
            floor_options.transport = value;
        else if (strcmp(name, "--data") == 0)
            floor_options.data = value;
        else
            return false;
    }
    return argc % 2 == 1 && floor_options.count > 0 && floor_options.rate >= 0 &&
           floor_options.size <= 65536 &&
           (strcmp(floor_options.transport, "ipc") == 0 || strcmp(floor_options.transport, "tcp") == 0);
}

int main(int argc, char **argv)
{
    static const char *const files[] = {"outbox.db", "outbox.db-wal", "saved.db", "saved.db-wal"};
    const char *tmp = getenv("TMPDIR");
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: floor [--count N] [--rate R] [--size BYTES] [--transport ipc|tcp] [--data DIR]\n");
        return 2;
    }
    snprintf(floor_directory, sizeof floor_directory, "%s/floor-XXXXXX",
             floor_options.data != NULL ? floor_options.data
             : tmp != NULL              ? tmp
                                        : "/tmp");
    floor_shared =
        mmap(NULL, sizeof *floor_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (floor_shared == MAP_FAILED || mkdtemp(floor_directory) == NULL)
        floor_die(floor_directory);
    const double fdatasync_us = sync_us();
    pid_t pids[ROLES];
    for (int role = 0; role < ROLES; role++)
        pids[role] = start_role(role);
    bool failed = false;
    int status;
    while (wait(&status) > 0) {
        /* The others would wait for it for ever. */
        for (int role = 0; role < ROLES && status != 0 && !failed; role++)
            kill(pids[role], SIGKILL);
        failed = failed || status != 0;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", floor_directory, files[i]);
        unlink(path);
    }
    for (int hop = 0; hop < HOPS && strcmp(floor_options.transport, "ipc") == 0; hop++)
        unlink(floor_shared->endpoints[hop] + strlen("ipc://"));
    rmdir(floor_directory);
    if (!failed)
        report(fdatasync_us);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

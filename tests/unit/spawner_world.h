/* A spawner with a loop around it, and what became of the programs that it was told to run. The programs are
 * the test's own, called with a word for what they should do (spawner_child()), and those that every machine
 * has. */
#ifndef MANDRILL_TESTS_SPAWNER_WORLD_H
#define MANDRILL_TESTS_SPAWNER_WORLD_H

#include "common/runtime/clock.h"
#include "tests/support/wait.h"
#include "workers/restart/spawner.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 256, KILL_AFTER_MS = 300, LONG_MS = 60000, TOLD_BYTES = 4096 };

typedef struct {
    unsigned ends;
    int code, signal;
    bool stopped;
    int64_t ms, at_ms;
    uint64_t out_len;
    char out[TOLD_BYTES], err[TOLD_BYTES];
} told_t;

typedef struct {
    spawner_t *spawner;
    spawned_t *running[NUMBERS];
    told_t told[NUMBERS];
    unsigned ends;
    char self[512]; /* this program */
    char dir[64];
} spawner_world_t;

static inline void spawner_world_told(void *arg, uint32_t number, const spawn_end_t *end)
{
    spawner_world_t *w = arg;
    told_t *t = &w->told[number];
    *t = (told_t){.ends = t->ends + 1,
                  .code = end->code,
                  .signal = end->signal,
                  .stopped = end->stopped,
                  .ms = end->ms,
                  .at_ms = clock_ms(),
                  .out_len = end->out->len};
    excerpt_text(end->out, t->out, sizeof t->out);
    excerpt_text(end->err, t->err, sizeof t->err);
    w->running[number] = NULL;
    w->ends++;
}

static inline void spawner_world_open(spawner_world_t *w, uint32_t most)
{
    char why[192];
    const ssize_t n = readlink("/proc/self/exe", w->self, sizeof w->self - 1);
    assert_true(n > 0);
    w->self[n] = '\0';
    strcpy(w->dir, "/tmp/mandrill-spawner-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    if (spawner_new(&w->spawner, most, KILL_AFTER_MS, spawner_world_told, w, why) != 0)
        fail_msg("%s", why);
}

static inline void spawner_world_close(spawner_world_t *w)
{
    DIR *d = opendir(w->dir);
    spawner_destroy(&w->spawner);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(w->dir), 0);
}

static inline int world_begin_until(spawner_world_t *w, uint32_t number, int64_t until_ms, bool apart,
                                    const char *const *words)
{
    const spawn_order_t order = {.path = words[0][0] == '/' ? words[0] : w->self,
                                 .argv = (char *const *)words,
                                 .until_ms = until_ms,
                                 .apart = apart};
    return spawner_begin(w->spawner, &order, number, &w->running[number]);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define BEGIN(w, number, ...)                                                                                \
    assert_int_equal(world_begin_until(w, number, clock_ms() + LONG_MS, false, WORDS(__VA_ARGS__)), 0)
#define BEGIN_FOR(w, number, ms, ...)                                                                        \
    assert_int_equal(world_begin_until(w, number, clock_ms() + (ms), false, WORDS(__VA_ARGS__)), 0)
#define BEGIN_APART(w, number, ...)                                                                          \
    assert_int_equal(world_begin_until(w, number, clock_ms() + LONG_MS, true, WORDS(__VA_ARGS__)), 0)

/* As the runtime does: sleeps until there is something to do, and has it done. */
static inline void world_turn(spawner_world_t *w)
{
    struct pollfd wait = {.fd = spawner_fd(w->spawner), .events = POLLIN};
    const int64_t left_ms = spawner_due_ms(w->spawner) - clock_ms();
    poll(&wait, 1, left_ms < 0 ? 0 : left_ms > 20 ? 20 : (int)left_ms);
    spawner_go_on(w->spawner);
}

#define WORLD_UNTIL(w, condition)                                                                            \
    do {                                                                                                     \
        const int64_t give_up_ms_ = clock_ms() + WAIT_MS;                                                    \
        while (!(condition)) {                                                                               \
            if (clock_ms() > give_up_ms_)                                                                    \
                fail_msg("waited in vain for: %s", #condition);                                              \
            world_turn(w);                                                                                   \
        }                                                                                                    \
    } while (0)

static inline int world_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Running or waited for by nobody. */
static inline bool world_has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

#endif

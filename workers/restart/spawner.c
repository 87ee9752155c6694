/* pipe2, pidfd_open, posix_spawn_file_actions_addclosefrom_np, sigabbrev_np */
#define _GNU_SOURCE
#include "workers/restart/spawner.h"

#include "common/core/message.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    READ_BYTES = 16 << 10,
    /* Of one program in a turn, and of what it has left in its pipes (64 kB each) at its end. */
    READS_A_TURN = 4,
    READS_AT_END = 16,
    LOOK_MS = 20, /* between two looks at those that no descriptor tells of */
    /* After SIGKILL; then its end is told, though it is there (in a file system that hangs) and keeps its
     * place. */
    GIVE_UP_MS = 1000,
    ENVIRONMENT_MAX = 4,
};

/* What a descriptor is, in the last bits of what epoll hands back. */
enum { IS_OUT, IS_ERR, IS_PIDFD, IS_BITS = 3 };

typedef enum { RUNS, STOPS, KILLED, HOPELESS } stage_t;

struct spawned {
    spawner_t *spawner;
    pid_t pid;  /* of its process group, too */
    int pidfd;  /* -1: there is none */
    int fds[2]; /* IS_OUT, IS_ERR; -1: at its end */
    uint32_t number;
    stage_t stage;
    bool told, stopped;
    int64_t begun_ms, due_ms, kill_ms;
    excerpt_t said[2];
    bool apart;
    spawned_t *previous, *next;
};

struct spawner {
    int epoll;
    uint32_t most, count;
    uint32_t blind; /* without a pidfd */
    int64_t kill_after_ms;
    int64_t due_ms; /* of the first of all; may be too early */
    spawner_done_t done;
    void *arg;
    spawned_t *all;
    char *environment[ENVIRONMENT_MAX + 1];
};

/* --- the list of all, and when there is something to do --- */

static void link_in(spawner_t *s, spawned_t *p)
{
    p->previous = NULL;
    p->next = s->all;
    if (p->next != NULL)
        p->next->previous = p;
    s->all = p;
    s->count++;
}

static void free_program(spawner_t *s, spawned_t *p)
{
    if (p->previous != NULL)
        p->previous->next = p->next;
    else
        s->all = p->next;
    if (p->next != NULL)
        p->next->previous = p->previous;
    s->count--;
    s->blind -= p->pidfd < 0 ? 1 : 0;
    for (int i = 0; i < 2; i++)
        if (p->fds[i] >= 0)
            close(p->fds[i]);
    if (p->pidfd >= 0)
        close(p->pidfd);
    free(p);
}

static void due_at(spawned_t *p, int64_t due_ms)
{
    p->due_ms = due_ms;
    if (due_ms < p->spawner->due_ms)
        p->spawner->due_ms = due_ms;
}

/* --- beginning one --- */

/* Where this process was begun without them, a pipe would be descriptor 0, 1 or 2, in the way of those that
 * the program gets. */
static int move_up(int *fd)
{
    if (*fd > STDERR_FILENO)
        return 0;
    const int higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0)
        return -errno;
    close(*fd);
    *fd = higher;
    return 0;
}

/* The end that is read never waits; the other one is as a program expects its output to be. */
static int open_pipe(spawner_t *s, spawned_t *p, int which, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)p | (unsigned)which};
    int error = move_up(&ends[1]);
    if (error == 0 && (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 ||
                       epoll_ctl(s->epoll, EPOLL_CTL_ADD, ends[0], &event) != 0))
        error = -errno;
    if (error != 0) {
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    p->fds[which] = ends[0];
    *ret_write = ends[1];
    return 0;
}

static int set_up_files(posix_spawn_file_actions_t *files, int out, int err)
{
    int error = posix_spawn_file_actions_adddup2(files, err, STDERR_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    return error;
}

static int set_up_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                         POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    return error;
}

static int spawn(const spawner_t *s, const spawn_order_t *order, int out, int err, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&files);
    if (error != 0)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_up_files(&files, out, err);
        if (error == 0)
            error = set_up_attributes(&attributes);
        if (error == 0)
            error = posix_spawn(ret_pid, order->path, &files, &attributes, order->argv, s->environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return -error;
}

/* Without one, or without room for it, the program is looked at now and then. */
static void watch_end(spawner_t *s, spawned_t *p)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)p | IS_PIDFD};
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd >= 0) {
        /* That of glibc sets it; of others it is not promised. */
        fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, p->pidfd, &event) == 0)
            return;
        close(p->pidfd);
        p->pidfd = -1;
    }
    s->blind++;
    if (clock_ms() + LOOK_MS < s->due_ms)
        s->due_ms = clock_ms() + LOOK_MS;
}

int spawner_begin(spawner_t *s, const spawn_order_t *order, uint32_t number, spawned_t **ret)
{
    int out = -1, err = -1;
    if (s->count >= s->most)
        return -EAGAIN;
    spawned_t *p = calloc(1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    *p = (spawned_t){.spawner = s, .pidfd = -1, .fds = {-1, -1}, .number = number, .apart = order->apart};
    int error = open_pipe(s, p, IS_OUT, &out);
    if (error == 0 && order->apart)
        error = open_pipe(s, p, IS_ERR, &err);
    if (error == 0)
        error = clock_ms() < order->until_ms ? spawn(s, order, out, order->apart ? err : out, &p->pid)
                                             : -ETIMEDOUT;
    if (out >= 0)
        close(out);
    if (err >= 0)
        close(err);
    if (error != 0) {
        for (int i = 0; i < 2; i++)
            if (p->fds[i] >= 0)
                close(p->fds[i]);
        free(p);
        return error;
    }
    watch_end(s, p);
    link_in(s, p);
    p->begun_ms = clock_ms();
    p->kill_ms = order->until_ms;
    /* It has at least half of its time before it is asked to end. */
    const int64_t half_ms = (order->until_ms - p->begun_ms) / 2;
    due_at(p, order->until_ms - (half_ms < s->kill_after_ms ? half_ms : s->kill_after_ms));
    *ret = p;
    return 0;
}

/* --- ending one --- */

/* As long as it has not been waited for, nobody else can have its number. */
static void signal_group(const spawned_t *p, int signal)
{
    if (kill(-p->pid, signal) != 0)
        kill(p->pid, signal);
}

static void ask_to_end(spawned_t *p, int64_t kill_ms)
{
    if (p->stage != RUNS)
        return;
    p->stage = STOPS;
    p->stopped = true;
    signal_group(p, SIGTERM);
    /* One that is stopped itself (SIGSTOP) hears it now. */
    signal_group(p, SIGCONT);
    due_at(p, kill_ms);
}

/* When one that is asked to end now is killed: never after its time. */
static int64_t kill_soon_ms(const spawner_t *s, const spawned_t *p, int64_t now_ms)
{
    const int64_t kill_ms = now_ms + s->kill_after_ms;
    return kill_ms < p->kill_ms ? kill_ms : p->kill_ms;
}

void spawner_drop(spawner_t *s, spawned_t **program)
{
    spawned_t *p = *program;
    if (p == NULL)
        return;
    p->told = true;
    ask_to_end(p, kill_soon_ms(s, p, clock_ms()));
    *program = NULL;
}

static void tell(spawner_t *s, spawned_t *p, int code, int signal)
{
    if (p->told)
        return;
    p->told = true;
    const spawn_end_t end = {.code = code,
                             .signal = signal,
                             .stopped = p->stopped,
                             .ms = clock_ms() - p->begun_ms,
                             .out = &p->said[IS_OUT],
                             .err = &p->said[p->apart ? IS_ERR : IS_OUT]};
    s->done(s->arg, p->number, &end);
}

static void read_some(spawned_t *p, int which, int reads)
{
    char bytes[READ_BYTES];
    for (int i = 0; i < reads && p->fds[which] >= 0; i++) {
        const ssize_t n = read(p->fds[which], bytes, sizeof bytes);
        if (n > 0) {
            excerpt_add(&p->said[which], bytes, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else {
            close(p->fds[which]);
            p->fds[which] = -1;
        }
    }
}

/* Looks whether it has ended; if so, tells, and it is gone. */
static bool reap(spawner_t *s, spawned_t *p)
{
    siginfo_t info = {.si_pid = 0};
    const int flags = WEXITED | WNOHANG;
    if (waitid(P_PID, (id_t)p->pid, &info, flags | WNOWAIT) == 0 && info.si_pid == 0)
        return false;
    /* Whom it has left in its group, before somebody else can have its number. */
    if (p->stopped)
        kill(-p->pid, SIGKILL);
    waitid(P_PID, (id_t)p->pid, &info, flags);
    read_some(p, IS_OUT, READS_AT_END);
    read_some(p, IS_ERR, READS_AT_END);
    const bool exited = info.si_code == CLD_EXITED;
    tell(s, p, exited ? info.si_status : -1, exited ? 0 : info.si_pid == 0 ? -1 : info.si_status);
    free_program(s, p);
    return true;
}

/* Its time has come, of one kind or the other. */
static void go_further(spawner_t *s, spawned_t *p, int64_t now_ms)
{
    switch (p->stage) {
    case RUNS:
        ask_to_end(p, p->kill_ms);
        break;
    case STOPS:
        p->stage = KILLED;
        signal_group(p, SIGKILL);
        due_at(p, now_ms + GIVE_UP_MS);
        break;
    case KILLED:
        p->stage = HOPELESS;
        p->due_ms = INT64_MAX;
        tell(s, p, -1, -1);
        break;
    case HOPELESS:
        break;
    }
}

/* Those that are over their time, and, without a pidfd, those that have ended. */
static void look_at_all(spawner_t *s, int64_t now_ms)
{
    int64_t due_ms = INT64_MAX;
    for (spawned_t *p = s->all, *next; p != NULL; p = next) {
        next = p->next;
        if (p->pidfd < 0 && reap(s, p))
            continue;
        if (p->due_ms <= now_ms)
            go_further(s, p, now_ms);
    }
    for (const spawned_t *p = s->all; p != NULL; p = p->next)
        due_ms = p->due_ms < due_ms ? p->due_ms : due_ms;
    s->due_ms = s->blind > 0 && now_ms + LOOK_MS < due_ms ? now_ms + LOOK_MS : due_ms;
}

void spawner_go_on(spawner_t *s)
{
    struct epoll_event events[EVENTS];
    const int n = epoll_wait(s->epoll, events, EVENTS, 0);
    /* Output before ends: whom an end frees has no other event behind it. */
    for (int ends = 0; ends < 2; ends++) {
        for (int i = 0; i < n; i++) {
            const unsigned which = (unsigned)(events[i].data.u64 & IS_BITS);
            spawned_t *p = (spawned_t *)(uintptr_t)(events[i].data.u64 - which);
            if ((which == IS_PIDFD) != (ends == 1))
                continue;
            if (which == IS_PIDFD)
                reap(s, p);
            else
                read_some(p, (int)which, READS_A_TURN);
        }
    }
    const int64_t now_ms = clock_ms();
    if (s->due_ms <= now_ms)
        look_at_all(s, now_ms);
}

int spawner_fd(const spawner_t *s)
{
    return s->epoll;
}

int64_t spawner_due_ms(const spawner_t *s)
{
    return s->due_ms;
}

uint32_t spawner_count(const spawner_t *s)
{
    return s->count;
}

const char *spawner_signal(int signal)
{
    const char *name = sigabbrev_np(signal);
    return name != NULL ? name : "?";
}

/* --- a spawner --- */

static int copy_environment(spawner_t *s)
{
    static const char *const names[] = {"PATH", "HOME", "LANG", "SSH_AUTH_SOCK"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value == NULL)
            continue;
        const size_t size = strlen(names[i]) + strlen(value) + 2;
        s->environment[n] = malloc(size);
        if (s->environment[n] == NULL)
            return -ENOMEM;
        snprintf(s->environment[n++], size, "%s=%s", names[i], value);
    }
    return 0;
}

int spawner_new(spawner_t **ret, uint32_t most, int64_t kill_after_ms, spawner_done_t done, void *arg,
                char *why)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    spawner_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    *s = (spawner_t){
        .most = most, .kill_after_ms = kill_after_ms, .done = done, .arg = arg, .due_ms = INT64_MAX};
    sigaction(SIGCHLD, &standard, NULL);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    const int error = s->epoll < 0 ? -errno : copy_environment(s);
    if (error != 0) {
        spawner_destroy(&s);
        snprintf(why, WHY_BYTES, "cannot begin programs: %s", strerror(-error));
        return error;
    }
    *ret = s;
    return 0;
}

/* Whatever happens on the way, it does not last longer than this; and no program longer than its time. */
static void end_all(spawner_t *s)
{
    const int64_t begun_ms = clock_ms(), last_ms = begun_ms + s->kill_after_ms + GIVE_UP_MS;
    for (spawned_t *p = s->all; p != NULL; p = p->next) {
        const int64_t kill_ms = kill_soon_ms(s, p, begun_ms);
        p->told = true;
        ask_to_end(p, kill_ms);
        if (p->stage == STOPS && p->due_ms > kill_ms)
            due_at(p, kill_ms);
    }
    for (int64_t now_ms = begun_ms; s->all != NULL && now_ms < last_ms; now_ms = clock_ms()) {
        struct pollfd wait = {.fd = s->epoll, .events = POLLIN};
        const int64_t left_ms = (s->due_ms < last_ms ? s->due_ms : last_ms) - now_ms;
        poll(&wait, 1, left_ms > 0 ? (int)left_ms : 0);
        spawner_go_on(s);
    }
}

void spawner_destroy(spawner_t **spawner)
{
    spawner_t *s = *spawner;
    if (s == NULL)
        return;
    end_all(s);
    while (s->all != NULL)
        free_program(s, s->all);
    for (size_t i = 0; i < ENVIRONMENT_MAX; i++)
        free(s->environment[i]);
    if (s->epoll >= 0)
        close(s->epoll);
    free(s);
    *spawner = NULL;
}

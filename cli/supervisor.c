/* wait4() gives the resources that a child used; POSIX has them only for all children together. */
#define _DEFAULT_SOURCE
#include "cli/supervisor.h"
#include "cli/lines.h"
#include "cli/restarts.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    STREAMS = 2,
    READ_BYTES = 64 * 1024,
    READS_AT_END = 64, /* what a dead child can have left in a pipe is less than this many reads */
};

typedef struct {
    int fd; /* -1: closed */
    int item;
    lines_t lines;
} stream_t;

typedef struct {
    supervisor_t *supervisor;
    uint32_t number;
    char name[CHILD_NAME_MAX];
    char *announce;
    args_t args;
    child_state_t state;
    pid_t pid;
    bool asked; /* to stop */
    int64_t started_ms;
    int64_t due_ms; /* WAITING: to be started; asked: to be killed */
    uint32_t in_a_row, restarts;
    int status;
    int64_t cpu_us, rss_kb;
    stream_t streams[STREAMS];
} child_t;

struct supervisor {
    loop_t *loop;
    supervisor_events_t events;
    restarts_t restarts;
    int gave_up;
    char **environment; /* `secrets` of them in front */
    size_t secrets;
    char variable[48]; /* MANDRILL_SUPERVISOR=<pid>, in `environment` */
    child_t *children[CHILDREN_MAX];
    uint32_t count;
};

static bool begins_with_any(const char *variable, const char *const *beginnings)
{
    for (; *beginnings; beginnings++) {
        if (strncmp(variable, *beginnings, strlen(*beginnings)) == 0)
            return true;
    }
    return false;
}

/* A service manager that started us hears of us alone, and of some commands nothing. */
static const char *const left_out[] = {
    "MANDRILL_SUPERVISOR=", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", NULL};
/* Of a database: a conninfo may hold a password. */
static const char *const secret[] = {
    "MANDRILL_POSTGRES=", "MANDRILL_POSTGRES_PASSWORD_FILE=", "PGPASSWORD=", NULL};

/* Ours, with MANDRILL_SUPERVISOR replaced. The strings are not copied: nothing here changes the environment.
 */
static int environment_make(supervisor_t *s)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    s->environment = calloc(n + 2, sizeof(char *));
    if (!s->environment)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (begins_with_any(environ[i], secret))
            s->environment[kept++] = environ[i];
    }
    s->secrets = kept;
    for (size_t i = 0; i < n; i++) {
        if (!begins_with_any(environ[i], secret) && !begins_with_any(environ[i], left_out))
            s->environment[kept++] = environ[i];
    }
    snprintf(s->variable, sizeof(s->variable), "MANDRILL_SUPERVISOR=%ld", (long)getpid());
    s->environment[kept] = s->variable;
    return 0;
}

supervisor_t *supervisor_new(loop_t *loop, const supervisor_events_t *events)
{
    supervisor_t *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->events = *events;
    s->gave_up = -1;
    restarts_init(&s->restarts);
    if (environment_make(s) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

static void stream_close(supervisor_t *s, stream_t *stream)
{
    if (stream->fd < 0)
        return;
    loop_remove(s->loop, stream->item);
    close(stream->fd);
    stream->fd = -1;
}

void supervisor_destroy(supervisor_t **s)
{
    if (!*s)
        return;
    supervisor_kill_all(*s);
    for (uint32_t i = 0; i < (*s)->count; i++) {
        child_t *c = (*s)->children[i];
        if (c->pid > 0)
            waitpid(c->pid, NULL, 0);
        for (int k = 0; k < STREAMS; k++)
            stream_close(*s, &c->streams[k]);
        args_done(&c->args);
        if (c->announce)
            unlink(c->announce);
        free(c->announce);
        free(c);
    }
    free((*s)->environment);
    free(*s);
    *s = NULL;
}

int supervisor_add(supervisor_t *s, const char *name, args_t *args, const char *announce)
{
    if (s->count == CHILDREN_MAX)
        return -ENOSPC;
    if (!args_ok(args))
        return -ENOMEM;
    child_t *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->announce = announce ? strdup(announce) : NULL;
    if (announce && !c->announce) {
        free(c);
        return -ENOMEM;
    }
    c->supervisor = s;
    c->number = s->count;
    c->state = CHILD_NEW;
    snprintf(c->name, sizeof(c->name), "%s", name);
    for (int k = 0; k < STREAMS; k++)
        c->streams[k].fd = -1;
    c->args = *args;
    args_init(args);
    s->children[s->count] = c;
    return (int)s->count++;
}

/* --- starting */

static int pipe_open(int ret_ends[2])
{
    if (pipe(ret_ends) != 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        fcntl(ret_ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ret_ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* Signals are blocked here for the signalfd, and SIGPIPE is ignored: a child would inherit both. */
static int spawn(const supervisor_t *s, child_t *c, int out_fd, int err_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -r;
    }
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGHUP);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    if (r == 0)
        r = posix_spawn(&c->pid, c->args.words[0], &actions, &attributes, c->args.words,
                        s->environment + (c->args.secrets ? 0 : s->secrets));
    if (r != 0)
        c->pid = 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int stream_open(supervisor_t *s, stream_t *stream, int fd)
{
    int item = loop_add_fd(s->loop, fd);
    if (item < 0)
        return item;
    stream->fd = fd;
    stream->item = item;
    lines_init(&stream->lines);
    return 0;
}

int supervisor_start(supervisor_t *s, uint32_t child)
{
    child_t *c = s->children[child];
    assert(c->state != CHILD_RUNNING);
    int ends[STREAMS][2] = {{-1, -1}, {-1, -1}};
    int r = 0;
    if (c->announce && unlink(c->announce) != 0 && errno != ENOENT)
        return -errno;
    for (int k = 0; k < STREAMS && r == 0; k++)
        r = pipe_open(ends[k]);
    for (int k = 0; k < STREAMS && r == 0; k++) {
        r = stream_open(s, &c->streams[k], ends[k][0]);
        if (r == 0)
            ends[k][0] = -1;
    }
    if (r == 0)
        r = spawn(s, c, ends[CHILD_OUT][1], ends[CHILD_ERR][1]);
    for (int k = 0; k < STREAMS; k++) {
        for (int end = 0; end < 2; end++) {
            if (ends[k][end] >= 0)
                close(ends[k][end]);
        }
        if (r < 0)
            stream_close(s, &c->streams[k]);
    }
    if (r < 0)
        return r;
    c->state = CHILD_RUNNING;
    c->asked = false;
    c->started_ms = clock_ms();
    c->due_ms = INT64_MAX;
    return 0;
}

/* --- lines */

static void line_out(void *arg, const char *line, size_t len)
{
    const child_t *c = arg;
    c->supervisor->events.line(c->supervisor->events.arg, c->number, CHILD_OUT, line, len);
}

static void line_err(void *arg, const char *line, size_t len)
{
    const child_t *c = arg;
    c->supervisor->events.line(c->supervisor->events.arg, c->number, CHILD_ERR, line, len);
}

static lines_each_t *const line_to[STREAMS] = {line_out, line_err};

/* One read: true when there may be more. */
static bool stream_read(supervisor_t *s, child_t *c, int k)
{
    static char bytes[READ_BYTES];
    stream_t *stream = &c->streams[k];
    ssize_t n = read(stream->fd, bytes, sizeof(bytes));
    if (n > 0) {
        lines_feed(&stream->lines, bytes, (size_t)n, line_to[k], c);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    lines_end(&stream->lines, line_to[k], c);
    stream_close(s, stream);
    return false;
}

static void streams_finish(supervisor_t *s, child_t *c)
{
    for (int k = 0; k < STREAMS; k++) {
        stream_t *stream = &c->streams[k];
        for (int i = 0; i < READS_AT_END && stream->fd >= 0 && stream_read(s, c, k); i++)
            ;
        /* Still open: a process that the child left behind holds the pipe. */
        if (stream->fd >= 0)
            lines_end(&stream->lines, line_to[k], c);
        stream_close(s, stream);
    }
}

/* --- ends */

void child_end_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}

static void start_again(supervisor_t *s, child_t *c, int64_t now_ms)
{
    c->in_a_row = now_ms - c->started_ms >= RESTARTS_SOUND_MS ? 1 : c->in_a_row + 1;
    if (!restarts_allow(&s->restarts, now_ms)) {
        c->state = CHILD_ENDED;
        s->gave_up = (int)c->number;
        return;
    }
    int64_t wait_ms = restarts_wait_ms(c->in_a_row);
    char how[96];
    child_end_text(c->status, how, sizeof(how));
    log_warn("%s %s; it is started again in %.1f s", c->name, how, (double)wait_ms / 1000);
    c->state = CHILD_WAITING;
    c->due_ms = now_ms + wait_ms;
}

static void reap(supervisor_t *s, child_t *c, int64_t now_ms)
{
    struct rusage used;
    int status;
    pid_t pid = wait4(c->pid, &status, WNOHANG, &used);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
    /* ECHILD would mean that somebody else waited for it: there is no status then. */
    if (pid == c->pid) {
        c->status = status;
        c->cpu_us += (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                     used.ru_utime.tv_usec + used.ru_stime.tv_usec;
        if (used.ru_maxrss > c->rss_kb)
            c->rss_kb = used.ru_maxrss;
    }
    c->pid = 0;
    c->state = CHILD_ENDED;
    c->due_ms = INT64_MAX;
    streams_finish(s, c);
    bool again = s->events.ended(s->events.arg, c->number, c->status, c->asked);
    if (again && !c->asked)
        start_again(s, c, now_ms);
}

static void kill_group(const child_t *c)
{
    /* The group may not exist yet, or no more; the child itself is there until it was waited for. */
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL);
}

void supervisor_stop(supervisor_t *s, uint32_t child, int64_t grace_ms)
{
    child_t *c = s->children[child];
    if (c->state != CHILD_RUNNING) {
        c->state = CHILD_ENDED;
        return;
    }
    if (c->asked)
        return;
    c->asked = true;
    c->due_ms = clock_ms() + grace_ms;
    kill(c->pid, SIGTERM);
}

void supervisor_hurry(supervisor_t *s, uint32_t child, int64_t grace_ms)
{
    child_t *c = s->children[child];
    supervisor_stop(s, child, grace_ms);
    if (c->state != CHILD_RUNNING)
        return;
    c->due_ms = clock_ms() + grace_ms;
    /* Two of the same kind could become one before they are read. */
    kill(c->pid, SIGTERM);
    kill(c->pid, SIGINT);
}

void supervisor_signal_all(supervisor_t *s, int number)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->children[i]->pid > 0)
            kill(s->children[i]->pid, number);
    }
}

void supervisor_kill_all(supervisor_t *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        child_t *c = s->children[i];
        if (c->state == CHILD_RUNNING) {
            c->asked = true;
            kill_group(c);
        } else {
            c->state = CHILD_ENDED;
        }
    }
}

/* --- turns */

static void do_due(supervisor_t *s, child_t *c, int64_t now_ms)
{
    if (c->state == CHILD_RUNNING && c->asked) {
        log_error("%s has not stopped in time: it is killed", c->name);
        kill_group(c);
        c->due_ms = INT64_MAX;
    } else if (c->state == CHILD_WAITING) {
        c->restarts++;
        int r = supervisor_start(s, c->number);
        if (r < 0) {
            log_error("%s can't be started: %s", c->name, strerror(-r));
            start_again(s, c, now_ms);
        }
    }
}

void supervisor_turn(supervisor_t *s, bool read_lines)
{
    int64_t now_ms = clock_ms();
    for (uint32_t i = 0; i < s->count; i++) {
        child_t *c = s->children[i];
        for (int k = 0; k < STREAMS && read_lines; k++) {
            if (c->streams[k].fd >= 0 && loop_ready(s->loop, c->streams[k].item))
                stream_read(s, c, k);
        }
        if (c->pid > 0)
            reap(s, c, now_ms);
        if ((c->state == CHILD_RUNNING || c->state == CHILD_WAITING) && c->due_ms <= now_ms)
            do_due(s, c, now_ms);
    }
}

int64_t supervisor_next_ms(const supervisor_t *s)
{
    int64_t next_ms = INT64_MAX;
    for (uint32_t i = 0; i < s->count; i++) {
        const child_t *c = s->children[i];
        if ((c->state == CHILD_RUNNING || c->state == CHILD_WAITING) && c->due_ms < next_ms)
            next_ms = c->due_ms;
    }
    return next_ms;
}

/* --- looking */

uint32_t supervisor_count(const supervisor_t *s)
{
    return s->count;
}

child_view_t supervisor_child(const supervisor_t *s, uint32_t child)
{
    const child_t *c = s->children[child];
    return (child_view_t){.name = c->name,
                          .announce = c->announce,
                          .state = c->state,
                          .pid = c->pid,
                          .status = c->status,
                          .restarts = c->restarts,
                          .cpu_us = c->cpu_us,
                          .rss_kb = c->rss_kb};
}

args_t *supervisor_args(supervisor_t *s, uint32_t child)
{
    return &s->children[child]->args;
}

int supervisor_gave_up(const supervisor_t *s)
{
    return s->gave_up;
}

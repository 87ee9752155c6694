/* Preloaded into a program as it is delivered: dies by SIGKILL at a named step, or is stopped by SIGSTOP.
 *
 *   SHIM_KILL="STEP WHEN N"    STEP  commit       fdatasync() or fsync()
 *                                    send:CMD     zmq_msg_send() of a frame with this command number
 *                                    recv:CMD     zmq_msg_recv() of one
 *                                    line:TEXT    write() of a line of the log that holds the text
 *                                    spawn:WORD   posix_spawn() of a command with this word
 *                              WHEN  before or after the call (of recv:, after)
 *                              N     the Nth such call, from 1; "N stop": SIGSTOP
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <zmq.h>

typedef enum { STEP_NONE, STEP_COMMIT, STEP_SEND, STEP_RECV, STEP_LINE, STEP_SPAWN } step_t;

static struct {
    step_t step;
    unsigned command;
    char text[32];
    bool after;
    unsigned nth;
    int signal;
} plan;
static atomic_uint calls;

__attribute__((constructor)) static void read_plan(void)
{
    const char *spec = getenv("SHIM_KILL");
    char step[48], when[16], stop[8] = "";

    if (spec == NULL)
        return;
    if (sscanf(spec, "%47s %15s %u %7s", step, when, &plan.nth, stop) < 3)
        abort();
    plan.signal = strcmp(stop, "stop") == 0 ? SIGSTOP : SIGKILL;
    plan.after = strcmp(when, "after") == 0;
    if (strcmp(step, "commit") == 0)
        plan.step = STEP_COMMIT;
    else if (sscanf(step, "send:%u", &plan.command) == 1)
        plan.step = STEP_SEND;
    else if (sscanf(step, "recv:%u", &plan.command) == 1)
        plan.step = STEP_RECV;
    else if (sscanf(step, "line:%31s", plan.text) == 1)
        plan.step = STEP_LINE;
    else if (sscanf(step, "spawn:%31s", plan.text) == 1)
        plan.step = STEP_SPAWN;
    else
        abort();
}

/* Whether this is the call; when it is to be before, nothing comes after this. */
static bool is_it(bool step)
{
    if (!step || atomic_fetch_add(&calls, 1) + 1 != plan.nth)
        return false;
    if (!plan.after)
        kill(getpid(), plan.signal);
    return true;
}

static void after(bool it)
{
    if (it && plan.after)
        kill(getpid(), plan.signal);
}

static void *next(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (f == NULL)
        abort();
    return f;
}

/* The next function of the same name. ISO C has no cast from dlsym() to it. */
#define NEXT(name)                                                                                           \
    static __typeof__(&(name)) call;                                                                         \
    if (call == NULL) {                                                                                      \
        void *found = next(#name);                                                                           \
        memcpy(&call, &found, sizeof found);                                                                 \
    }

int fdatasync(int fd)
{
    NEXT(fdatasync)
    bool it = is_it(plan.step == STEP_COMMIT);
    int rc = call(fd);

    after(it);
    return rc;
}

int fsync(int fd)
{
    NEXT(fsync)
    bool it = is_it(plan.step == STEP_COMMIT);
    int rc = call(fd);

    after(it);
    return rc;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    NEXT(write)
    bool it = plan.step == STEP_LINE && fd == STDERR_FILENO &&
              is_it(memmem(bytes, len, plan.text, strlen(plan.text)) != NULL);
    ssize_t n = call(fd, bytes, len);

    after(it);
    return n;
}

/* A frame is an array whose first element is the command: both take one byte. */
static bool has_command(zmq_msg_t *frame)
{
    const unsigned char *bytes = zmq_msg_data(frame);

    return zmq_msg_size(frame) >= 2 && (bytes[0] & 0xf0) == 0x90 && bytes[1] == plan.command;
}

int zmq_msg_send(zmq_msg_t *frame, void *socket, int flags)
{
    NEXT(zmq_msg_send)
    bool it = plan.step == STEP_SEND && is_it(has_command(frame));
    int rc = call(frame, socket, flags);

    after(it);
    return rc;
}

int zmq_msg_recv(zmq_msg_t *frame, void *socket, int flags)
{
    NEXT(zmq_msg_recv)
    int rc = call(frame, socket, flags);

    /* What comes is known afterwards. */
    if (rc >= 0 && plan.step == STEP_RECV)
        after(is_it(has_command(frame)));
    return rc;
}

static bool has_word(char *const *argv)
{
    while (*argv != NULL && strcmp(*argv, plan.text) != 0)
        argv++;
    return *argv != NULL;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *environment)
{
    NEXT(posix_spawn)
    bool it = plan.step == STEP_SPAWN && is_it(has_word(argv));
    int rc = call(pid, path, actions, attributes, argv, environment);

    after(it);
    return rc;
}

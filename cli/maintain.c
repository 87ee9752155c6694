#include "cli/maintain.h"
#include "cli/files.h"
#include "cli/siblings.h"
#include "cli/supervisor.h"
#include "common/core/message.h"
#include "common/runtime/announce.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    POLL_MS = 5,
    READY_MS_MAX = 60000, /* as in pipeline.c: a large outbox that was not closed is read through first */
    GRACE_MS = 10000,     /* for closing it */
    PATH_BYTES = 96,      /* what a socket's path may have */
};

struct maintain {
    loop_t loop;
    supervisor_t *supervisor;
    bool ended;
    char dir[64]; /* "" : not made */
    char announce[PATH_BYTES];
    char endpoint[PATH_BYTES + 8];
};

static void on_line(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len)
{
    (void)arg;
    (void)child;
    (void)stream;
    fprintf(stderr, "%.*s\n", (int)len, text);
}

static bool on_ended(void *arg, uint32_t child, int status, bool asked)
{
    maintain_t *m = arg;
    (void)child;
    (void)status;
    (void)asked;
    m->ended = true;
    return false;
}

static int add_child(maintain_t *m, const char *data_dir)
{
    args_t args;
    args_init(&args);
    int r = siblings_add(&args, "mandrill-publisher");
    if (r == 0) {
        args_add(&args, "--maintain");
        args_add(&args, "--outbox");
        args_add(&args, "%s/outbox.db", data_dir);
        args_add(&args, "--clients");
        args_add(&args, "%s", m->endpoint);
        args_add(&args, "--announce");
        args_add(&args, "%s", m->announce);
        args_add(&args, "--report");
        args_add(&args, "none");
        args_add(&args, "--log-level");
        args_add(&args, "warn");
        r = supervisor_add(m->supervisor, "publisher", &args, m->announce);
    }
    args_done(&args);
    return r;
}

/* A folder of our own: the path of a socket must be short, which that of the data need not be. */
static int make_dir(maintain_t *m)
{
    snprintf(m->dir, sizeof(m->dir), "/tmp/mandrill-dead-XXXXXX");
    if (!mkdtemp(m->dir)) {
        m->dir[0] = '\0';
        return -errno;
    }
    snprintf(m->announce, sizeof(m->announce), "%s/announce", m->dir);
    snprintf(m->endpoint, sizeof(m->endpoint), "ipc://%s/clients.ipc", m->dir);
    return 0;
}

static int start(maintain_t *m, const char *data_dir)
{
    const supervisor_events_t events = {.line = on_line, .ended = on_ended, .arg = m};
    loop_init(&m->loop);
    m->loop.stall_ms = INT64_MAX; /* nobody waits for this loop */
    m->supervisor = supervisor_new(&m->loop, &events);
    int r = m->supervisor ? make_dir(m) : -ENOMEM;
    if (r == 0)
        r = add_child(m, data_dir);
    return r < 0 ? r : supervisor_start(m->supervisor, 0);
}

static int wait_ready(maintain_t *m, bool (*stop)(void *arg), void *arg)
{
    char pid[24];
    int64_t end_ms = clock_ms() + READY_MS_MAX;
    while (maintain_turn(m) && !stop(arg)) {
        /* The last line that is written: the socket is there. */
        if (announce_read(m->announce, "pid", pid, sizeof(pid)) == 0)
            return 0;
        if (clock_ms() >= end_ms) {
            log_error("mandrill-publisher is not ready after %d s", READY_MS_MAX / 1000);
            return -1;
        }
        loop_wait(&m->loop, m->loop.now_ms + POLL_MS);
    }
    return -1; /* it has told why, or we were told to stop */
}

int maintain_open(maintain_t **ret, const char *data_dir, bool (*stop)(void *arg), void *arg)
{
    maintain_t *m = calloc(1, sizeof(*m));
    int r = m ? start(m, data_dir) : -ENOMEM;
    if (r < 0)
        log_error("mandrill-publisher can't be started: %s", strerror(-r));
    if (r < 0 || wait_ready(m, stop, arg) < 0) {
        if (m)
            maintain_close(&m);
        return -1;
    }
    *ret = m;
    return 0;
}

void maintain_close(maintain_t **m)
{
    maintain_t *closed = *m;
    if (!closed)
        return;
    if (closed->supervisor && supervisor_count(closed->supervisor) > 0) {
        supervisor_stop(closed->supervisor, 0, GRACE_MS);
        while (supervisor_child(closed->supervisor, 0).state != CHILD_ENDED) {
            loop_wait(&closed->loop, closed->loop.now_ms + POLL_MS);
            supervisor_turn(closed->supervisor, true);
        }
    }
    supervisor_destroy(&closed->supervisor);
    if (closed->dir[0])
        dir_remove(closed->dir);
    free(closed);
    *m = NULL;
}

const char *maintain_endpoint(const maintain_t *m)
{
    return m->endpoint;
}

bool maintain_turn(maintain_t *m)
{
    supervisor_turn(m->supervisor, true);
    return !m->ended;
}

#include "cli/inspect.h"
#include "cli/report.h"
#include "cli/siblings.h"
#include "cli/supervisor.h"
#include "common/runtime/log.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { POLL_MS = 5 };

typedef struct {
    json_t *report;
    bool ended;
} inspection_t;

static void on_line(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len)
{
    inspection_t *x = arg;
    (void)child;
    json_t *report = stream == CHILD_OUT ? report_parse(text, len) : NULL;
    if (report) {
        json_decref(x->report);
        x->report = report;
    } else {
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
}

static bool on_ended(void *arg, uint32_t child, int status, bool asked)
{
    inspection_t *x = arg;
    (void)child;
    (void)asked;
    x->ended = true;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        json_decref(x->report);
        x->report = NULL;
    }
    return false;
}

static int start(supervisor_t *s, const char *data_dir)
{
    char dir[PATH_MAX];
    args_t args;
    int r = siblings_dir(dir, sizeof(dir));
    if (r < 0)
        return r;
    args_init(&args);
    args_add(&args, "%s/mandrill-publisher", dir);
    args_add(&args, "--inspect");
    args_add(&args, "--outbox");
    args_add(&args, "%s/outbox.db", data_dir);
    r = supervisor_add(s, "publisher", &args, NULL);
    args_done(&args);
    return r < 0 ? r : supervisor_start(s, 0);
}

json_t *inspect_outbox(const char *data_dir)
{
    inspection_t x = {0};
    loop_t loop;
    loop_init(&loop);
    const supervisor_events_t events = {.line = on_line, .ended = on_ended, .arg = &x};
    supervisor_t *s = supervisor_new(&loop, &events);
    int r = s ? start(s, data_dir) : -1;
    if (r < 0)
        log_error("mandrill-publisher can't be started: %s", s ? strerror(-r) : "out of memory");
    /* Its lines wake the loop, its end does not: no signals are read here. */
    while (r >= 0 && !x.ended) {
        loop_wait(&loop, loop.now_ms + POLL_MS);
        supervisor_turn(s, true);
    }
    supervisor_destroy(&s);
    return x.report;
}

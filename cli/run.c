#include "cli/run.h"
#include "cli/watch.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SHOW_MS = 200, /* how often the bar moves */
    FLUSH_MS = 20, /* how often a terminal that was full is tried again */
};

struct run {
    run_events_t events;
    loop_t loop;
    screen_t *screen;
    pipeline_t *pipeline;
    int64_t drain_ms; /* all of it together */
    watch_t *watch;
    bool was_ready;
    int64_t ready_ms, ended_ms;
};

/* A process has one set of signals. */
static struct {
    int fd;
    bool hangup_ignored; /* started by nohup: a signalfd gets it all the same */
    bool on_terminal;    /* when it was started */
} signals = {.fd = -1};

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int run_signals(void)
{
    signals.on_terminal = has_terminal();
    struct sigaction hangup;
    signals.hangup_ignored = sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN;
    signals.fd = signals_open();
    return signals.fd < 0 ? signals.fd : 0;
}

run_t *run_new(const pipeline_settings_t *settings, const run_events_t *events)
{
    run_t *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->events = *events;
    r->drain_ms = settings->drain_ms + PUBLISHER_STAYS_MS;
    loop_init(&r->loop);
    r->loop.stall_ms = INT64_MAX; /* the children do not wait for this loop */
    loop_add_fd(&r->loop, signals.fd);
    r->screen = screen_new();
    if (!r->screen || pipeline_new(&r->pipeline, &r->loop, settings, screen_line, r->screen) < 0)
        run_destroy(&r);
    return r;
}

void run_destroy(run_t **r)
{
    if (!*r)
        return;
    watch_close(&(*r)->watch);
    pipeline_destroy(&(*r)->pipeline);
    screen_destroy(&(*r)->screen);
    free(*r);
    *r = NULL;
}

static void stop(run_t *r)
{
    if (pipeline_state(r->pipeline) >= PIPELINE_DRAINING)
        return;
    if (!r->events.drain) {
        pipeline_kill(r->pipeline);
        return;
    }
    log_info("draining: what is at work is finished first; once more ends at once");
    pipeline_drain(r->pipeline);
}

static void take_signal(run_t *r, signals_event_t event)
{
    switch (event) {
    case SIGNALS_RELOAD:
        /* One signal for two things: the terminal is gone, or somebody has edited the configuration. */
        if (!signals.on_terminal || has_terminal())
            pipeline_reload(r->pipeline);
        else if (!signals.hangup_ignored)
            stop(r);
        break;
    case SIGNALS_STOP:
        stop(r);
        break;
    case SIGNALS_STOP_NOW:
        log_warn("ending at once: what was at work is done again by the next run");
        pipeline_kill(r->pipeline);
        break;
    case SIGNALS_DUMP:
        pipeline_dump(r->pipeline);
        break;
    case SIGNALS_NONE:
    case SIGNALS_CHILD:
        break;
    }
}

static void look_ready(run_t *r)
{
    char why[WHY_BYTES];
    if (r->was_ready || pipeline_state(r->pipeline) != PIPELINE_RUNNING)
        return;
    r->was_ready = true;
    r->ready_ms = r->loop.now_ms;
    r->events.ready(r->events.arg, r);
    notify_ready();
    if (watch_open(&r->watch, &r->loop, pipeline_clients(r->pipeline), why) < 0)
        log_warn("no progress is shown: %s", why);
}

static void look_status(run_t *r)
{
    json_t *status = r->watch ? watch_turn(r->watch, r->loop.now_ms) : NULL;
    if (status)
        r->events.status(r->events.arg, r, status);
    json_decref(status);
}

static int64_t due_ms(const run_t *r)
{
    int64_t due = pipeline_next_ms(r->pipeline);
    int64_t show = r->loop.now_ms + (screen_pending(r->screen) ? FLUSH_MS : SHOW_MS);
    if (r->watch && watch_next_ms(r->watch) < due)
        due = watch_next_ms(r->watch);
    return show < due ? show : due;
}

void run_all(run_t *r)
{
    signals_event_t event;
    pipeline_start(r->pipeline);
    while (pipeline_state(r->pipeline) != PIPELINE_ENDED) {
        loop_wait(&r->loop, due_ms(r));
        while ((event = signals_read(signals.fd)) != SIGNALS_NONE)
            take_signal(r, event);
        pipeline_turn(r->pipeline, !screen_slow(r->screen));
        look_ready(r);
        if (pipeline_state(r->pipeline) == PIPELINE_DRAINING)
            notify_stopping(r->drain_ms);
        look_status(r);
        screen_turn(r->screen, r->loop.now_ms);
    }
    r->ended_ms = clock_ms();
}

pipeline_t *run_pipeline(run_t *r)
{
    return r->pipeline;
}

screen_t *run_screen(run_t *r)
{
    return r->screen;
}

int64_t run_now_ms(const run_t *r)
{
    return r->loop.now_ms;
}

bool run_was_ready(const run_t *r)
{
    return r->was_ready;
}

double run_seconds(const run_t *r)
{
    return r->was_ready ? (double)(r->ended_ms - r->ready_ms) / 1000 : 0;
}

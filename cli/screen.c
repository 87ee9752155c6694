#include "cli/screen.h"
#include "cli/console.h"
#include "common/runtime/log.h"
#include "common/runtime/progress.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAIN_MS = 1000 };

struct screen {
    console_t *console;
    progress_t progress;
    bool with_progress;
    uint64_t published, acked, dead;
};

static void own_line(void *arg, const char *line, size_t len)
{
    const screen_t *s = arg;
    console_line(s->console, 0, "mandrill", line, len);
}

screen_t *screen_new(void)
{
    screen_t *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->console = console_new(STDERR_FILENO);
    if (!s->console) {
        free(s);
        return NULL;
    }
    console_width(s->console, "publisher");
    log_divert(own_line, s);
    return s;
}

void screen_destroy(screen_t **s)
{
    if (!*s)
        return;
    log_divert(NULL, NULL);
    if ((*s)->with_progress)
        progress_hide(&(*s)->progress);
    console_drain((*s)->console, DRAIN_MS);
    console_destroy(&(*s)->console);
    free(*s);
    *s = NULL;
}

void screen_line(void *screen, uint32_t child, const char *name, const char *text, size_t len)
{
    const screen_t *s = screen;
    console_width(s->console, name);
    console_line(s->console, child + 1, name, text, len);
}

void screen_progress(screen_t *s, uint64_t total, int64_t now_ms)
{
    progress_init(&s->progress, total, now_ms);
    s->with_progress = true;
}

void screen_counts(screen_t *s, uint64_t published, uint64_t acked, uint64_t dead)
{
    s->published = published;
    s->acked = acked;
    s->dead = dead;
}

static void show(screen_t *s, int64_t now_ms, bool final)
{
    if (s->with_progress && (!s->progress.bar || console_writable(s->console)))
        progress_show(&s->progress, s->published, s->acked, s->dead, now_ms, final);
}

static void flush(screen_t *s, int64_t now_ms)
{
    if (!console_pending(s->console))
        return;
    if (s->with_progress && s->progress.shown)
        progress_hide(&s->progress);
    console_flush(s->console, now_ms);
}

void screen_turn(screen_t *s, int64_t now_ms)
{
    flush(s, now_ms);
    show(s, now_ms, false);
}

void screen_progress_end(screen_t *s, int64_t now_ms)
{
    flush(s, now_ms);
    show(s, now_ms, true);
    s->with_progress = false;
    flush(s, now_ms);
}

bool screen_slow(const screen_t *s)
{
    return console_slow(s->console);
}

bool screen_pending(const screen_t *s)
{
    return console_pending(s->console);
}

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

static void put_bar(void *arg, const char *bytes, size_t len)
{
    const screen_t *s = arg;
    console_raw(s->console, bytes, len);
}

static void line(screen_t *s, uint32_t number, const char *name, const char *text, size_t len)
{
    progress_hide(&s->progress);
    console_line(s->console, number, name, text, len);
}

static void own_line(void *arg, const char *text, size_t len)
{
    line(arg, 0, "mandrill", text, len);
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
    progress_hide(&(*s)->progress);
    console_drain((*s)->console, DRAIN_MS);
    console_destroy(&(*s)->console);
    free(*s);
    *s = NULL;
}

void screen_line(void *screen, uint32_t child, const char *name, const char *text, size_t len)
{
    screen_t *s = screen;
    console_width(s->console, name);
    line(s, child + 1, name, text, len);
}

void screen_progress(screen_t *s, uint64_t total, int64_t now_ms)
{
    progress_init(&s->progress, total, now_ms);
    s->progress.put = put_bar;
    s->progress.arg = s;
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
    if (s->with_progress)
        progress_show(&s->progress, s->published, s->acked, s->dead, now_ms, final);
}

void screen_turn(screen_t *s, int64_t now_ms)
{
    console_flush(s->console, now_ms);
    /* A terminal that is behind with lines gets no bar between them. */
    if (console_pending(s->console))
        return;
    show(s, now_ms, false);
    console_flush(s->console, now_ms);
}

void screen_progress_end(screen_t *s, int64_t now_ms)
{
    show(s, now_ms, true);
    s->with_progress = false;
    console_flush(s->console, now_ms);
}

bool screen_slow(const screen_t *s)
{
    return console_slow(s->console);
}

bool screen_pending(const screen_t *s)
{
    return console_pending(s->console);
}

#include "common/runtime/progress.h"
#include "common/runtime/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    BAR_EVERY_MS = 200,
    LINE_EVERY_MS = 5000,
    SMOOTH_MS = 2000, /* how far back the rate looks */
    TEXT_SIZE = 512,
    BAR_CELLS_MIN = 10,
    BAR_CELLS_MAX = 40,
    COLUMNS = 80,
};
static const char clear_line[] = "\r\033[K";

static bool stderr_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && !(term && strcmp(term, "dumb") == 0);
}

void progress_init(progress_t *p, uint64_t total, int64_t now_ms)
{
    *p = (progress_t){
        .bar = total > 0 && stderr_is_terminal(), .total = total, .start_ms = now_ms, .last_ms = now_ms};
}

/* "950", "98.1k", "1.25M": four places are enough for a rate. */
static void format_rate(double rate, char *text, size_t size)
{
    if (rate < 1000)
        snprintf(text, size, rate < 10 ? "%.1f" : "%.0f", rate);
    else if (rate < 1e6)
        snprintf(text, size, "%.1fk", rate / 1e3);
    else
        snprintf(text, size, "%.2fM", rate / 1e6);
}

static void format_time(double seconds, char *text, size_t size)
{
    if (seconds >= 100 * 3600.0)
        snprintf(text, size, ">99h");
    else if (seconds >= 3600)
        snprintf(text, size, "%dh%02dm", (int)seconds / 3600, (int)seconds / 60 % 60);
    else if (seconds >= 60)
        snprintf(text, size, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(text, size, "%ds", (int)(seconds + 0.5));
}

/* What is left divided by the rate; what has taken so long once nothing is left. */
static void format_rest(const progress_t *p, uint64_t ended, int64_t now_ms, char *text, size_t size)
{
    char time[16];
    if (ended >= p->total) {
        format_time((double)(now_ms - p->start_ms) / 1000, time, sizeof(time));
        snprintf(text, size, "in %s", time);
    } else if (p->rate > 0) {
        format_time((double)(p->total - ended) / p->rate, time, sizeof(time));
        snprintf(text, size, "ETA %s", time);
    } else {
        snprintf(text, size, "ETA -");
    }
}

static int format_bar(uint64_t ended, uint64_t total, int cells, char *text, size_t size)
{
    int done = (int)((double)ended / (double)total * cells);
    int n = snprintf(text, size, "[");
    for (int i = 0; i < cells; i++)
        n += snprintf(text + n, size - (size_t)n, "%c", i < done ? '#' : '-');
    return n + snprintf(text + n, size - (size_t)n, "] ");
}

int progress_text(const progress_t *p, uint64_t published, uint64_t acked, uint64_t dead, int64_t now_ms,
                  int width, char *text, int size)
{
    char rate[16];
    char dead_text[40] = "";
    char counts[TEXT_SIZE];
    format_rate(p->rate, rate, sizeof(rate));
    if (dead > 0)
        snprintf(dead_text, sizeof(dead_text), ", %" PRIu64 " dead", dead);
    if (p->total == 0)
        return snprintf(text, (size_t)size, "%" PRIu64 " published, %" PRIu64 " acked%s, %s/s", published,
                        acked, dead_text, rate);
    uint64_t ended = acked + dead < p->total ? acked + dead : p->total;
    char rest[32];
    format_rest(p, ended, now_ms, rest, sizeof(rest));
    char published_text[40] = "";
    if (!p->what)
        snprintf(published_text, sizeof(published_text), "%" PRIu64 " published, ", published);
    /* Rounded down: 100 % means all. */
    int n = snprintf(counts, sizeof(counts), "%3d%%  %s%" PRIu64 " of %" PRIu64 " %s%s, %s/s, %s",
                     (int)(ended * 100.0 / p->total), published_text, acked, p->total,
                     p->what ? p->what : "acked", dead_text, rate, rest);
    int cells = width - n - 3;
    if (!p->bar || cells < BAR_CELLS_MIN)
        return snprintf(text, (size_t)size, "%.*s", width < n ? width : n, counts);
    char bar[BAR_CELLS_MAX + 8];
    format_bar(ended, p->total, cells < BAR_CELLS_MAX ? cells : BAR_CELLS_MAX, bar, sizeof(bar));
    return snprintf(text, (size_t)size, "%s%s", bar, counts);
}

static void put(const progress_t *p, const char *bytes, size_t len)
{
    if (p->put)
        p->put(p->arg, bytes, len);
    /* What a terminal does not take is not worth waiting for. */
    else if (write(STDERR_FILENO, bytes, len) < 0)
        return;
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
        return COLUMNS - 1;
    return size.ws_col - 1; /* the last column would wrap */
}

static void draw(progress_t *p, uint64_t published, uint64_t acked, uint64_t dead, int64_t now_ms, bool final)
{
    char text[TEXT_SIZE];
    char line[TEXT_SIZE + 16];
    if (!p->bar) {
        progress_text(p, published, acked, dead, now_ms, TEXT_SIZE - 1, text, sizeof(text));
        log_info("%s", text + strspn(text, " "));
        return;
    }
    progress_text(p, published, acked, dead, now_ms, columns(), text, sizeof(text));
    int n = snprintf(line, sizeof(line), "%s%s%s", clear_line, text, final ? "\n" : "");
    put(p, line, (size_t)n);
    p->shown = !final;
    p->hidden = false;
}

void progress_show(progress_t *p, uint64_t published, uint64_t acked, uint64_t dead, int64_t now_ms,
                   bool final)
{
    int64_t passed_ms = now_ms - p->last_ms;
    if (!final && passed_ms < (p->bar ? BAR_EVERY_MS : LINE_EVERY_MS)) {
        if (p->hidden)
            draw(p, published, acked, dead, now_ms, false);
        return;
    }
    if (final && now_ms > p->start_ms) {
        p->rate = (double)acked * 1000 / (double)(now_ms - p->start_ms); /* of the whole */
    } else if (passed_ms > 0) {
        double now_rate = (double)(acked - p->last_acked) * 1000 / (double)passed_ms;
        double weight = p->last_acked == 0 ? 1 : (double)passed_ms / (double)(passed_ms + SMOOTH_MS);
        p->rate += weight * (now_rate - p->rate);
    }
    p->last_ms = now_ms;
    p->last_acked = acked;
    draw(p, published, acked, dead, now_ms, final);
}

void progress_hide(progress_t *p)
{
    if (!p->shown)
        return;
    put(p, clear_line, sizeof(clear_line) - 1);
    p->shown = false;
    p->hidden = true;
}

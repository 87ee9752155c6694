#include "common/runtime/log.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *word;
    const char *printed;
    const char *colour;
} levels[] = {
    [LOG_DEBUG] = {"debug", "DEBUG", "\033[2m"},
    [LOG_INFO] = {"info", "INFO", ""},
    [LOG_WARN] = {"warn", "WARN", "\033[33m"},
    [LOG_ERROR] = {"error", "ERROR", "\033[31m"},
};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

/* Set once by log_open(), before any thread starts; but for the level. */
static struct {
    char name[128];
    _Atomic log_level_t level;
    bool tty;
    bool colour;
    void (*take)(void *arg, const char *line, size_t len); /* NULL: stderr */
    void *arg;
} logger = {.name = "mandrill", .level = LOG_INFO};

/* The programs are loops of one thread, but a kind may log from the threads of its executor. */
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;

void log_open(const char *name, log_level_t level)
{
    const char *no_color = getenv("NO_COLOR");
    snprintf(logger.name, sizeof(logger.name), "%s", name);
    logger.level = level;
    logger.tty = isatty(STDERR_FILENO) == 1;
    logger.colour = logger.tty && (!no_color || !*no_color);
}

void log_set_level(log_level_t level)
{
    logger.level = level;
}

int log_level_parse(const char *text, log_level_t *ret)
{
    for (int i = 0; i < LEVELS; i++) {
        if (strcmp(text, levels[i].word) == 0) {
            *ret = (log_level_t)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool log_enabled(log_level_t level)
{
    return level >= logger.level;
}

void log_divert(void (*take)(void *arg, const char *line, size_t len), void *arg)
{
    logger.take = take;
    logger.arg = arg;
}

/* A log that can't be written must not stop the program, so what is left after an error is dropped. */
static void write_whole(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static int format_head(log_level_t level, char *head, size_t size)
{
    char date[WALL_TEXT];
    clock_wall_text(clock_wall_ms(), date);
    /* On a terminal a progress bar, of this process or a neighbour, may stand on the line: it is wiped. */
    return snprintf(head, size, "%s%s %s%s%s %s: ", logger.tty && !logger.take ? "\r\033[K" : "", date,
                    logger.colour ? levels[level].colour : "", levels[level].printed,
                    logger.colour && *levels[level].colour ? "\033[0m" : "", logger.name);
}

/* The one place that turns a record into bytes. */
static void log_emit(log_level_t level, const char *format, va_list arguments)
{
    char line[LOG_LINE_MAX];
    int head = format_head(level, line, sizeof(line));
    size_t room = sizeof(line) - (size_t)head - 1; /* for the newline */
    int n = vsnprintf(line + head, room, format, arguments);
    if (n < 0)
        return;
    size_t len = (size_t)n < room ? (size_t)n : room - 1;
    if ((size_t)n > len)
        memcpy(line + head + len - 3, "...", 3);
    /* One record is one line, whatever a text from outside holds. */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[(size_t)head + i];
        if (c < 0x20 || c == 0x7f)
            line[(size_t)head + i] = '?';
    }
    len += (size_t)head;
    if (logger.take) {
        logger.take(logger.arg, line, len);
        return;
    }
    line[len] = '\n';
    write_whole(line, len + 1);
}

void log_line(log_level_t level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    va_list arguments;
    va_start(arguments, format);
    log_emit(level, format, arguments);
    va_end(arguments);
}

/* Counts the line; true when it may be written. *ret_left_out: how many of the seconds before were not. */
static bool limit_pass(log_limit_t *limit, uint64_t *ret_left_out)
{
    int64_t now_ms = clock_ms();
    bool pass = true;
    *ret_left_out = 0;
    pthread_mutex_lock(&limit_lock);
    if (limit->window_ms == 0 || now_ms - limit->window_ms >= 1000) {
        *ret_left_out = limit->left_out;
        limit->window_ms = now_ms;
        limit->written = 0;
        limit->left_out = 0;
    }
    if (limit->written < LOG_LIMIT_PER_S) {
        limit->written++;
    } else {
        limit->left_out++;
        pass = false;
    }
    pthread_mutex_unlock(&limit_lock);
    return pass;
}

void log_limited_line(log_limit_t *limit, log_level_t level, const char *format, ...)
{
    uint64_t left_out;
    if (!log_enabled(level) || !limit_pass(limit, &left_out))
        return;
    if (left_out > 0)
        log_line(level, "%llu more like the next line were left out", (unsigned long long)left_out);
    va_list arguments;
    va_start(arguments, format);
    log_emit(level, format, arguments);
    va_end(arguments);
}

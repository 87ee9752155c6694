/* The trace, and the programs' log, which is a part of it. */
#include "tests/sim/trace.h"
#include "common/runtime/log.h"
#include "tests/sim/world.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tracing;
static char *verdict;

static void write_line(const char *format, va_list args)
{
    printf("%10.6f %-12s ", (double)world.now_us / 1e6, world.current != NULL ? world.current->name : "");
    vprintf(format, args);
    putchar('\n');
}

void trace_verdict_to(char *text)
{
    verdict = text;
}

void trace_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(format, args);
    va_end(args);
}

noreturn void broken(const char *invariant, const char *format, ...)
{
    char text[VERDICT_BYTES];
    va_list args;
    va_start(args, format);
    int n = snprintf(text, sizeof text, "%s: ", invariant);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    trace("BROKEN %s", text);
    if (verdict != NULL)
        memcpy(verdict, text, sizeof text);
    else
        printf("seed %" PRIu64 " at %.6f s: %s\n", world.plan.seed, (double)world.now_us / 1e6, text);
    fflush(stdout);
    _exit(EXIT_BROKEN);
}

/* --- common/runtime/log.h --- */

void log_open(const char *name, log_level_t level)
{
    (void)name, (void)level;
}

bool log_enabled(log_level_t level)
{
    (void)level;
    return tracing;
}

void log_divert(void (*take)(void *arg, const char *line, size_t len), void *arg)
{
    (void)take, (void)arg;
}

void log_line(log_level_t level, const char *format, ...)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char text[LOG_LINE_MAX];
    if (!tracing)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trace_line("%s: %s", levels[level], text);
}

void log_limited_line(log_limit_t *limit, log_level_t level, const char *format, ...)
{
    char text[LOG_LINE_MAX];
    (void)limit; /* it is static: a run would depend on the one before */
    if (!tracing)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(level, "%s", text);
}

void log_set_level(log_level_t level)
{
    (void)level;
}

int log_level_parse(const char *text, log_level_t *ret)
{
    (void)text, (void)ret;
    return -1;
}

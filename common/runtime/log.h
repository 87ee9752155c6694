/* The log: one line of text to stderr for each call, "2026-11-21T05:45:07.123Z INFO publisher: text". One
 * place (log_emit in log.c) turns a record into bytes: another format goes there.
 *
 * Input from outside must pass text_escape() first. log_limited() writes at most `LOG_LIMIT_PER_S` lines a
 * second for each place in the code and says how many were left out. Colour only on a TTY and without
 * NO_COLOR. Lines are written whole by one write(2). */
#ifndef MANDRILL_LOG_H
#define MANDRILL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level_t;
enum { LOG_LIMIT_PER_S = 5, LOG_LINE_MAX = 4096 };

typedef struct {
    int64_t window_ms;
    uint32_t written;
    uint64_t left_out;
} log_limit_t;

void log_open(const char *name, log_level_t level);
void log_set_level(log_level_t level);
int log_level_parse(const char *text, log_level_t *ret);
bool log_enabled(log_level_t level);
/* Hands lines to `take` (without their newline) instead of stderr; NULL: back to stderr. For a program that
 * has more to show there than its log. */
void log_divert(void (*take)(void *arg, const char *line, size_t len), void *arg);
void log_line(log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_limited_line(log_limit_t *limit, log_level_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
/* For what a peer or a client can cause at will. */
#define log_limited(level, ...)                                                                              \
    do {                                                                                                     \
        static log_limit_t limit_;                                                                           \
        log_limited_line(&limit_, (level), __VA_ARGS__);                                                     \
    } while (0)

#endif

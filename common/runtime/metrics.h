/* Names and values for status, reports and dumps: a program fills a table when asked, from its own gauges and
 * counts; nothing is counted twice. One table becomes JSON (nested by dots in names: "legs.save.done") or
 * "name value" lines.
 *
 * Ownership: names are copied. Errors: an over-full table drops the entry and sets `truncated`. */
#ifndef MANDRILL_METRICS_H
#define MANDRILL_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METRICS_MAX = 512, METRICS_NAME_MAX = 64, METRICS_TEXT_MAX = 96 };

typedef struct {
    char name[METRICS_NAME_MAX];
    enum { METRIC_INT, METRIC_REAL, METRIC_TEXT } type;
    int64_t integer;
    double real;
    char text[METRICS_TEXT_MAX];
} metric_t;

typedef struct {
    metric_t rows[METRICS_MAX];
    size_t count;
    bool truncated;
} metrics_t;

void metrics_init(metrics_t *m);
void metrics_int(metrics_t *m, int64_t value, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));
void metrics_real(metrics_t *m, double value, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));
void metrics_text(metrics_t *m, const char *value, const char *name_format, ...)
    __attribute__((format(printf, 3, 4)));
/* A JSON object in one line, to be freed by the caller; NULL when memory is out, or when a name goes on below
 * one that has a value ("a" and "a.b"). */
char *metrics_json(const metrics_t *m);
/* Every row in order, its value as text: for dumps. */
void metrics_each(const metrics_t *m, void (*each)(void *arg, const char *name, const char *value),
                  void *arg);

/* A rate over the last few seconds from a count that only grows. */
typedef struct {
    int64_t at_ms[8];
    uint64_t count[8];
    unsigned next;
} rate_t;
void rate_add(rate_t *r, int64_t now_ms, uint64_t count); /* at any time: takes one a second */
double rate_per_s(const rate_t *r);

#endif

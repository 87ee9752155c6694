#include "tests/bench/measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void figure_add(figure_t *f, double value)
{
    assert_true(f->count < RUNS_MAX);
    f->values[f->count++] = value;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double figure_at(const figure_t *f, unsigned percent)
{
    figure_t sorted = *f;

    if (f->count == 0)
        return 0;
    qsort(sorted.values, sorted.count, sizeof sorted.values[0], compare);
    return sorted.values[(f->count - 1) * percent / 100];
}

char *figure_text(const figure_t *f, int digits, char text[static 96])
{
    snprintf(text, 96, "%.*f / %.*f / %.*f", digits, figure_at(f, 0), digits, figure_at(f, 50), digits,
             figure_at(f, 100));
    return text;
}

static int64_t clock_us_of(clockid_t clock)
{
    struct timespec t;

    assert_int_equal(clock_gettime(clock, &t), 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t measure_now_us(void)
{
    return clock_us_of(CLOCK_MONOTONIC);
}

int64_t measure_cpu_us(const process_t *p)
{
    clockid_t clock;

    if (clock_getcpuclockid(p->pid, &clock) != 0)
        fail_msg("%s does not run any more", p->name);
    return clock_us_of(clock);
}

double measure_rss_mb(const process_t *p, bool peak)
{
    char path[64];
    const char *key = peak ? "VmHWM:" : "VmRSS:";

    snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
    char *text = test_read_file(path);
    const char *at = strstr(text, key);
    const double kb = at != NULL ? strtod(at + strlen(key), NULL) : 0;
    free(text);
    if (kb <= 0)
        fail_msg("%s does not run any more", p->name);
    return kb / 1024;
}

unsigned long measure_number(const char *flag, const char *text, unsigned long min, unsigned long max)
{
    char *end = NULL;

    errno = 0;
    unsigned long value = text != NULL ? strtoul(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        fprintf(stderr, "%s: '%s' is no whole number from %lu to %lu\n", flag, text != NULL ? text : "", min,
                max);
        exit(2);
    }
    return value;
}

rig_t *measure_begin(const char *transport)
{
    void *state = (void *)(uintptr_t)transport;

    if (rig_setup(&state) != 0)
        fail_msg("no directory for a run can be made");
    return state;
}

void measure_end(rig_t *rig)
{
    void *state = rig;

    rig_passed(rig);
    rig_teardown(&state);
}

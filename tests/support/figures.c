#include "tests/support/figures.h"

#include "tests/support/wait.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void figures_recovered(figures_t *f, int64_t ms)
{
    if (f->recoveries < FIGURES_RECOVERIES_MAX)
        f->recovery_ms[f->recoveries++] = (int32_t)ms;
}

static int compare(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

int64_t figures_recovery_ms(figures_t *f, unsigned percent)
{
    if (f->recoveries == 0)
        return -1;
    qsort(f->recovery_ms, f->recoveries, sizeof *f->recovery_ms, compare);
    return f->recovery_ms[(uint64_t)(f->recoveries - 1) * percent / 100];
}

static void print(FILE *out, const char *fault, figures_t *f)
{
    fprintf(out,
            "| %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | ",
            fault, f->cycles, f->messages, f->confirmed, f->lost, f->duplicates, f->double_work);
    if (f->recoveries > 0)
        fprintf(out, "%" PRId64 " / %" PRId64 " ms |\n", figures_recovery_ms(f, 50),
                figures_recovery_ms(f, 100));
    else
        fprintf(out, "- |\n");
}

void figures_row(const char *fault, figures_t *f)
{
    const char *path = getenv("MANDRILL_FIGURES");

    print(stdout, fault, f);
    fflush(stdout);
    if (path == NULL || path[0] == '\0')
        return;
    /* Several test programs append at once: a row is one write. */
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    print(file, fault, f);
    assert_int_equal(fclose(file), 0);
}

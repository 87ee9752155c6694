/* What single parts cost: codec, lease table, gather, outbox. A Markdown table for each on stdout.
 *
 *   micro [--runs N] [codec|delivery|gather|outbox]... */
#include "tests/bench/micro.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    void (*run)(unsigned runs);
} parts[] = {
    {"codec", micro_codec},
    {"delivery", micro_delivery},
    {"gather", micro_gather},
    {"outbox", micro_outbox},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

void *micro_room(size_t bytes)
{
    void *room = calloc(1, bytes);

    if (room == NULL)
        abort();
    return room;
}

int64_t micro_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void micro_lap(micro_row_t *row, uint64_t operations, int64_t *from_ns)
{
    const int64_t now_ns = micro_now_ns();

    row->ns += now_ns - *from_ns;
    row->done += operations;
    *from_ns = micro_now_ns();
}

void micro_end(micro_row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        micro_row_t *r = &rows[i];
        figure_add(&r->per_operation, (double)r->ns / (double)r->done);
        r->count = r->done;
        r->done = 0;
        r->ns = 0;
    }
}

void micro_print(const char *title, const micro_row_t *rows, size_t count)
{
    char text[96];

    printf("\n### %s\n\n| operation | times a run | ns each: min / median / max |\n|---|---|---|\n", title);
    for (size_t i = 0; i < count; i++)
        printf("| %s | %" PRIu64 " | %s |\n", rows[i].name, rows[i].count,
               figure_text(&rows[i].per_operation, 1, text));
}

const void *micro_body(void)
{
    static const uint8_t body[MICRO_BODY_BYTES] = {'b'};

    return body;
}

int main(int argc, char **argv)
{
    unsigned runs = 5;
    bool wanted[PARTS] = {false}, any = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--runs") == 0) {
            runs = (unsigned)measure_number(argv[i], i + 1 < argc ? argv[i + 1] : NULL, 1, RUNS_MAX);
            i++;
            continue;
        }
        size_t n = 0;
        while (n < PARTS && strcmp(argv[i], parts[n].name) != 0)
            n++;
        if (n == PARTS) {
            fprintf(stderr, "%s: '%s' is no part\nusage: %s [--runs N] [codec|delivery|gather|outbox]...\n",
                    argv[0], argv[i], argv[0]);
            return 2;
        }
        wanted[n] = any = true;
    }
    for (size_t n = 0; n < PARTS; n++)
        if (wanted[n] || !any)
            parts[n].run(runs);
    return 0;
}

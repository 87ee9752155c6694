/* How rate and memory of the shipped programs change as something grows: the backlog, the workers, consumers
 * and publishers, the bodies, the leases that are out. Tables in Markdown on stdout.
 *
 *   growth [--runs N] [--count N] [--backlog-max N] [--leases N] [--ack-deadline S] [--take S] [SECTION]...
 *
 * Sections: backlog workers consumers bodies leases restart; all of them when none is named. Each round of a
 * section measures every case once, its base first: ratios are of one round, for the machine may be another
 * one in the next. Figures are for readers, so the exit code tells only that it could be measured. */
#include "tests/bench/growth.h"
#include "common/runtime/log.h"
#include "tests/bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(const growth_t *g);
} sections[] = {
    {"backlog", growth_backlog}, {"workers", growth_workers}, {"consumers", growth_consumers},
    {"bodies", growth_bodies},   {"leases", growth_leases},   {"restart", growth_restart},
};

enum { SECTIONS = sizeof sections / sizeof sections[0] };

void growth_goal(const char *goal, int met)
{
    printf("goal: %s: %s\n", goal, met ? "met" : "missed");
}

static void usage(const char *program, const char *what)
{
    fprintf(stderr,
            "%s: '%s' is neither an option nor a section\n"
            "usage: %s [--runs N] [--count N] [--backlog-max N] [--leases N] [--ack-deadline S] [--take S]"
            " [backlog|workers|consumers|bodies|leases|restart]...\n",
            program, what, program);
    exit(2);
}

/* True when it was an option with a value. */
static bool read_option(growth_t *g, const char *flag, const char *value)
{
    if (strcmp(flag, "--runs") == 0)
        g->runs = (unsigned)measure_number(flag, value, 1, RUNS_MAX);
    else if (strcmp(flag, "--count") == 0)
        g->count = measure_number(flag, value, 1000, 100000000);
    else if (strcmp(flag, "--backlog-max") == 0)
        g->backlog_max = measure_number(flag, value, 1000, 100000000);
    else if (strcmp(flag, "--leases") == 0)
        g->leases = measure_number(flag, value, 1000, 1000000);
    else if (strcmp(flag, "--ack-deadline") == 0)
        g->ack_deadline_s = (unsigned)measure_number(flag, value, 10, 3600);
    else if (strcmp(flag, "--take") == 0)
        g->take_s = (unsigned)measure_number(flag, value, 1, 600);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    growth_t g = {.runs = 5,
                  .count = 500000,
                  .backlog_max = 10000000,
                  .leases = 1000000,
                  .ack_deadline_s = 600,
                  .take_s = 60};
    bool wanted[SECTIONS] = {false}, any = false;

    for (int i = 1; i < argc; i++) {
        if (read_option(&g, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) {
            i++;
            continue;
        }
        size_t n = 0;
        while (n < SECTIONS && strcmp(argv[i], sections[n].name) != 0)
            n++;
        if (n == SECTIONS)
            usage(argv[0], argv[i]);
        wanted[n] = any = true;
    }
    if (g.take_s + 10 >= g.ack_deadline_s) {
        fprintf(stderr, "--ack-deadline %u: more than 10 s longer than --take %u is needed\n",
                g.ack_deadline_s, g.take_s);
        return 2;
    }
    log_set_level(LOG_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t n = 0; n < SECTIONS; n++)
        if (wanted[n] || !any)
            sections[n].run(&g);
    return 0;
}

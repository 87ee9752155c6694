/* Sections of tests/bench/growth.c in which a pipeline runs at full speed. */
#include "tests/bench/course.h"
#include "tests/bench/growth.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CASES_MAX = 8, BYTES = 100, RATE_UNLIMITED = 1000000000 };

/* A row of a section. */
typedef struct {
    char name[64];
    course_t course;
    uint64_t backlog;
    char outbox[TEST_PATH_MAX];
    figure_t rate, ratio, cpu_us[COURSE_ROLES], publisher_mb, consumer_mb;
    int64_t backlog_min, backlog_max;
} case_t;

typedef struct {
    const char *title;
    case_t cases[CASES_MAX];
    unsigned count;
} section_t;

static case_t *add(section_t *s, const growth_t *g, const char *name)
{
    case_t *c = &s->cases[s->count++];

    assert_true(s->count <= CASES_MAX);
    *c = (case_t){
        .course = {.publishers = 1,
                   .consumers = 1,
                   .restarts = 1,
                   .size_bytes = BYTES,
                   .warm_up = g->count / 5,
                   .count = g->count},
        .backlog_min = INT64_MAX,
    };
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

/* What is acked beyond what is published comes out of the backlog, and what is published beyond that makes it
 * longer: the smaller of the two counts. */
static double rate_of(const case_t *c, const course_result_t *r)
{
    return c->backlog > 0 && r->published < r->rate ? r->published : r->rate;
}

static void measure(case_t *c, double base_rate, double *ret_rate)
{
    course_result_t r;

    if (c->backlog > 0) {
        course_fill(c->outbox, c->backlog, c->course.size_bytes);
        c->course.outbox = c->outbox;
        /* A load without a rate waits until the backlog is done. */
        c->course.rate = RATE_UNLIMITED;
    }
    course_run(&c->course, &r);
    *ret_rate = rate_of(c, &r);
    figure_add(&c->rate, *ret_rate);
    figure_add(&c->ratio, base_rate > 0 ? *ret_rate / base_rate : 1);
    for (unsigned role = 0; role < COURSE_ROLES; role++)
        figure_add(&c->cpu_us[role], r.cpu_us[role]);
    figure_add(&c->publisher_mb, r.peak_mb[ROLE_OF_PUBLISHER]);
    figure_add(&c->consumer_mb, r.peak_mb[ROLE_OF_CONSUMER]);
    if (r.backlog_min < c->backlog_min)
        c->backlog_min = r.backlog_min;
    if (r.backlog_max > c->backlog_max)
        c->backlog_max = r.backlog_max;
}

static void print(const section_t *s, const growth_t *g)
{
    char rate[96], ratio[96];

    printf("\n### %s\n\n%u rounds, %" PRIu64 " acks measured in each; min / median / max.\n\n", s->title,
           g->runs, g->count);
    printf("| case | messages/s | of the base | CPU us a message: publisher, consumer, save, restart | peak "
           "RSS MB: "
           "publisher, consumer | messages in the outbox |\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < s->count; i++) {
        const case_t *c = &s->cases[i];
        printf("| %s | %s | %s | ", c->name, figure_text(&c->rate, 0, rate),
               figure_text(&c->ratio, 2, ratio));
        for (unsigned role = 0; role < COURSE_ROLES; role++)
            printf("%.2f%s", figure_at(&c->cpu_us[role], 50), role + 1 < COURSE_ROLES ? ", " : " | ");
        printf("%.1f, %.1f | %" PRId64 " to %" PRId64 " |\n", figure_at(&c->publisher_mb, 100),
               figure_at(&c->consumer_mb, 100), c->backlog_min, c->backlog_max);
    }
    printf("\n");
}

static void run(section_t *s, const growth_t *g)
{
    for (unsigned n = 0; n < g->runs; n++) {
        double base_rate = 0, rate;
        for (unsigned i = 0; i < s->count; i++) {
            measure(&s->cases[i], base_rate, &rate);
            if (i == 0)
                base_rate = rate;
            fprintf(stderr, "%s, round %u: %s: %.0f/s\n", s->title, n + 1, s->cases[i].name, rate);
        }
    }
    print(s, g);
}

void growth_backlog(const growth_t *g)
{
    section_t s = {.title = "Backlog"};
    rig_t *store = measure_begin("ipc");
    double publisher_mb = 0;

    add(&s, g, "none");
    for (uint64_t backlog = 100000; backlog <= g->backlog_max; backlog *= 10) {
        char name[64];
        snprintf(name, sizeof name, "%" PRIu64, backlog);
        case_t *c = add(&s, g, name);
        c->backlog = backlog;
        rig_path(store, name, c->outbox);
    }
    run(&s, g);
    for (unsigned i = 0; i < s.count; i++)
        if (figure_at(&s.cases[i].publisher_mb, 100) > publisher_mb)
            publisher_mb = figure_at(&s.cases[i].publisher_mb, 100);
    growth_goal("the rate at the longest backlog is at least 0.9 of that without one (median)",
                figure_at(&s.cases[s.count - 1].ratio, 50) >= 0.9);
    growth_goal("the publisher never has more than 100 MB", publisher_mb <= 100);
    measure_end(store);
}

void growth_workers(const growth_t *g)
{
    static const unsigned counts[] = {1, 10, 100, 1000};
    section_t s = {.title = "Connected workers"};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%u", counts[i]);
        case_t *c = add(&s, g, name);
        c->course.restarts = 0;
        c->course.crowd = counts[i];
    }
    run(&s, g);
}

void growth_consumers(const growth_t *g)
{
    static const struct {
        const char *name;
        unsigned publishers, consumers;
    } cases[] = {
        {"1 publisher, 1 consumer", 1, 1},   {"1 publisher, 2 consumers", 1, 2},
        {"1 publisher, 4 consumers", 1, 4},  {"2 publishers, 1 consumer", 2, 1},
        {"4 publishers, 1 consumer", 4, 1},  {"2 publishers, 2 consumers", 2, 2},
        {"4 publishers, 4 consumers", 4, 4},
    };
    section_t s = {.title = "Consumers and publishers"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        case_t *c = add(&s, g, cases[i].name);
        c->course.publishers = cases[i].publishers;
        c->course.consumers = cases[i].consumers;
    }
    run(&s, g);
}

void growth_bodies(const growth_t *g)
{
    static const struct {
        const char *name;
        unsigned bytes, divisor;
    } cases[] = {{"100 B", 100, 1}, {"1 kB", 1000, 2}, {"10 kB", 10000, 10}};
    section_t s = {.title = "Bodies"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        case_t *c = add(&s, g, cases[i].name);
        c->course.size_bytes = cases[i].bytes;
        /* So that each takes seconds, and not minutes. */
        c->course.count = g->count / cases[i].divisor;
        c->course.warm_up = c->course.count / 5;
    }
    run(&s, g);
}

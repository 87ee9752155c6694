/* A pipeline with a screen and signals around it, until it has ended: what `up` and `bench` share. */
#ifndef MANDRILL_RUN_H
#define MANDRILL_RUN_H

#include "cli/pipeline.h"
#include "cli/screen.h"

typedef struct run run_t;

typedef struct {
    /* What to do on SIGINT or SIGTERM: drain (a second one ends at once), or end at once. */
    bool drain;
    /* What the publisher says, a few times a second while it runs. */
    void (*status)(void *arg, run_t *run, const json_t *status);
    /* Everything is ready. */
    void (*ready)(void *arg, run_t *run);
    void *arg;
} run_events_t;

/* Blocks signals: call it first, before a thread starts. 0 or -errno. */
int run_signals(void);
/* NULL when memory is out. The settings outlive the run. */
run_t *run_new(const pipeline_settings_t *settings, const run_events_t *events);
void run_destroy(run_t **r);
/* Runs the pipeline to its end. */
void run_all(run_t *r);

pipeline_t *run_pipeline(run_t *r);
screen_t *run_screen(run_t *r);
int64_t run_now_ms(const run_t *r);
/* It was up, at some time. */
bool run_was_ready(const run_t *r);
/* From everything being ready to the end. */
double run_seconds(const run_t *r);

#endif

/* `mandrill up`: the whole pipeline on one machine, until its load is done or somebody stops it. */
#include "cli/command.h"
#include "cli/files.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/summary.h"
#include "cli/up_config.h"
#include "common/core/message.h"
#include "common/runtime/folder.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const up_settings_t *settings;
    tally_t tally;
    int64_t epoch; /* of the publisher that was heard last */
    int64_t ready_ms;
} up_t;

/* --- what the publisher says */

/* Of a status, whose "died" is what the report at the end calls "dead". */
static void take_counts(up_t *up, const json_t *report, bool at_end)
{
    const stock_t stock = {
        .backlog = (uint64_t)report_int(report, "backlog", 0),
        .dead_at_start = (uint64_t)report_int(report, "dead_at_start", 0),
    };
    const counts_t counts = {
        .published = (uint64_t)report_int(report, "published", 0),
        .acked = (uint64_t)report_int(report, "acked", 0),
        .dead = (uint64_t)report_int(report, at_end ? "dead" : "died", 0),
        .saved = (uint64_t)report_int(report, "legs.save.done", 0),
        .restarted = (uint64_t)report_int(report, "legs.restart.done", 0),
    };
    int64_t epoch = report_int(report, "epoch", 0);
    if (up->tally.begun && epoch != up->epoch)
        tally_publisher_gone(&up->tally);
    up->epoch = epoch;
    tally_heard(&up->tally, &counts, &stock);
}

static void show_counts(const up_t *up, run_t *run)
{
    counts_t sum = tally_sum(&up->tally);
    screen_counts(run_screen(run), sum.published + up->tally.leftover, sum.acked, sum.dead);
}

static void on_status(void *arg, run_t *run, const json_t *status)
{
    up_t *up = arg;
    bool first = !up->tally.begun;
    take_counts(up, status, false);
    uint64_t leftover = up->tally.leftover;
    if (first && leftover > 0)
        log_info("%" PRIu64 " messages of an earlier run are there: they are finished too", leftover);
    if (first)
        screen_progress(run_screen(run), up->settings->finite ? up->settings->count + leftover : 0,
                        up->ready_ms);
    show_counts(up, run);
}

static void on_ready(void *arg, run_t *run)
{
    up_t *up = arg;
    const pipeline_t *p = run_pipeline(run);
    up->ready_ms = run_now_ms(run);
    log_info("all are ready: clients at %s, control at %s, data in %s", pipeline_clients(p),
             pipeline_control(p), up->settings->data_dir);
}

/* --- the end */

/* How long the work took: the publisher's own measure leaves out the start, but knows only its last life. */
static double seconds(const up_t *up, const run_t *run, const json_t *report)
{
    double all = run_seconds(run);
    return up->settings->finite && up->tally.lives == 0 ? report_real(report, "seconds", all) : all;
}

static void take_stop(summary_t *summary, const json_t *report)
{
    summary->stopped = report_at(report, "drained") != NULL;
    summary->at_work = (uint64_t)report_int(report, "drained.out", 0);
    summary->finished = (uint64_t)report_int(report, "drained.finished", 0);
    summary->released = (uint64_t)report_int(report, "drained.released", 0);
    summary->left = (uint64_t)report_int(report, "drained.left", 0);
}

static int print_summary(up_t *up, run_t *run)
{
    const pipeline_t *p = run_pipeline(run);
    const json_t *report = pipeline_report(p, PIPELINE_PUBLISHER);
    if (report) {
        take_counts(up, report, true);
        tally_settle(&up->tally, pipeline_finished(p) ? up->settings->count : 0);
    }
    summary_t summary = {.seconds = seconds(up, run, report), .data_dir = up->settings->data_dir};
    take_stop(&summary, report);
    summary.counts = tally_sum(&up->tally);
    summary.leftover = up->tally.leftover;
    summary.backlog = up->tally.stock.backlog;
    if (up->settings->finite && !pipeline_finished(p) && up->settings->count > summary.counts.published)
        summary.unpublished = up->settings->count - summary.counts.published;
    show_counts(up, run);
    screen_progress_end(run_screen(run), run_now_ms(run));
    summary_write(&summary, stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

static int finish(up_t *up, run_t *run)
{
    const pipeline_t *p = run_pipeline(run);
    if (!run_was_ready(run))
        return pipeline_misused(p) ? EXIT_USAGE : pipeline_failure(p) ? EXIT_FAILED : EXIT_OK;
    int exit_status = print_summary(up, run);
    if (pipeline_failure(p) || pipeline_hurried(p))
        return EXIT_FAILED;
    bool all_acked = pipeline_finished(p) && up->tally.stock.backlog == 0 && tally_sum(&up->tally).dead == 0;
    return up->settings->finite && !all_acked ? EXIT_FAILED : exit_status;
}

/* One pipeline over one directory: told here, before four programs fail each in its own way. */
static int prepare(const up_settings_t *settings)
{
    char lock[PATH_MAX];
    pid_t owner = 0;
    int r = folder_make(settings->run_dir);
    if (r < 0) {
        log_error("%s can't be made: %s", settings->run_dir, strerror(-r));
        return EXIT_FAILED;
    }
    snprintf(lock, sizeof(lock), "%s/lock", settings->run_dir);
    r = lock_take(lock, &owner);
    if (r == -EBUSY)
        log_error("another `mandrill up` (process %ld) runs over %s", (long)owner, settings->data_dir);
    else if (r < 0)
        log_error("%s: %s", lock, strerror(-r));
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int run_up(const up_settings_t *settings)
{
    up_t up = {.settings = settings};
    const run_events_t events = {.drain = true, .status = on_status, .ready = on_ready, .arg = &up};
    tally_init(&up.tally);
    notify_open();
    int exit_status = prepare(settings);
    if (exit_status != EXIT_OK)
        return exit_status;
    run_t *run = run_new(&settings->pipeline, &events);
    if (!run) {
        log_error("out of memory");
        return EXIT_FAILED;
    }
    run_all(run);
    exit_status = finish(&up, run);
    run_destroy(&run);
    notify_close();
    return exit_status;
}

int command_up(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    int signals = run_signals();
    int r = command_config(&config, &up_program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    up_settings_t settings;
    exit_status = up_settings_init(&settings, config);
    if (exit_status == EXIT_OK && signals < 0) {
        log_error("signals can't be read: %s", strerror(-signals));
        exit_status = EXIT_FAILED;
    }
    if (exit_status == EXIT_OK)
        exit_status = parts_check(&settings.pipeline);
    if (exit_status == EXIT_OK && r == CONFIG_RUN)
        exit_status = run_up(&settings);
    up_settings_done(&settings);
    config_destroy(&config);
    return exit_status;
}

/* `mandrill bench`: the whole pipeline as it really runs, separate processes and durable settings, as fast as
 * it can or at a rate. */
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/store.h"
#include "common/core/message.h"
#include "common/runtime/folder.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without a single ack for so long the pipeline stands still. */
enum { STALL_MS = 30000, LEGS = 2, DRAIN_MS = 10000 };

static const config_option_t options[] = {
    {.name = "count",
     .type = CONFIG_INT,
     .fallback = "500000",
     .argument = "N",
     .help = "how many messages",
     .min = 1,
     .max = 1000000000},
    {.name = "rate",
     .type = CONFIG_REAL,
     .argument = "R",
     .help = "messages a second (default: as fast as possible)",
     .min = 1,
     .max = 100000000},
    {.name = "size",
     .type = CONFIG_SIZE,
     .fallback = "100",
     .argument = "BYTES",
     .help = "the length of a message's body",
     .min = 1,
     .max = BODY_BYTES_MAX},
    STORE_OPTIONS("save workers; several need --postgres, whose rows stay there", 1),
    {.name = "restart",
     .type = CONFIG_INT,
     .fallback = "1",
     .argument = "N",
     .help = "restart workers",
     .min = 1,
     .max = WORKERS_MAX},
    {.name = "slots",
     .type = CONFIG_INT,
     .argument = "N",
     .help = "tasks at once in each restart worker (default: the worker's own)",
     .min = 1,
     .max = 65536},
    {.name = "data",
     .type = CONFIG_TEXT,
     .argument = "DIR",
     .help = "run in this directory and keep the data (default: a temporary one, removed at the end)"},
    {.name = "transport",
     .type = CONFIG_TEXT,
     .fallback = "ipc",
     .argument = "T",
     .help = "how the programs talk",
     .choices = "ipc|tcp"},
    {.name = "json", .type = CONFIG_FLAG, .help = "print the result as JSON"},
};

static const config_program_t program = {
    .name = "mandrill bench",
    .section = "bench",
    .summary = "Measures the whole pipeline: publisher, consumer, save and restart workers as processes of "
               "their own, every message on disk with fsync before it counts and again when it is saved, no "
               "simulated delay. Latency runs from handing a message to the outbox until its deletion is "
               "committed, every message counted. Exit status 0: all were acked.",
    .arguments = "[options]",
    .examples = "  mandrill bench\n"
                "  mandrill bench --count 100000 --rate 10000   latency at 10,000 messages a second\n"
                "  mandrill bench --json --transport tcp\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

typedef struct {
    pipeline_settings_t pipeline;
    bench_result_t result;
    char dir[PATH_MAX];
    bool temporary;
    bool as_json;
    /* To notice that nothing moves. */
    uint64_t acked;
    int64_t moved_ms;
    int64_t patience_ms;
} bench_t;

/* --- while it runs */

static void on_ready(void *arg, run_t *run)
{
    bench_t *b = arg;
    b->moved_ms = run_now_ms(run);
    screen_progress(run_screen(run), b->result.count, run_now_ms(run));
}

static void on_status(void *arg, run_t *run, const json_t *status)
{
    bench_t *b = arg;
    uint64_t acked = (uint64_t)report_int(status, "acked", 0);
    screen_counts(run_screen(run), (uint64_t)report_int(status, "published", 0), acked,
                  (uint64_t)report_int(status, "dead", 0));
    if (acked != b->acked) {
        b->acked = acked;
        b->moved_ms = run_now_ms(run);
    } else if (run_now_ms(run) - b->moved_ms > b->patience_ms) {
        log_error("nothing was acked for %" PRId64 " s: giving up", b->patience_ms / 1000);
        pipeline_kill(run_pipeline(run));
    }
}

/* --- the result */

static void collect(bench_t *b, run_t *run)
{
    const pipeline_t *p = run_pipeline(run);
    const json_t *report = pipeline_report(p, PIPELINE_PUBLISHER);
    bench_result_t *result = &b->result;
    result->acked = (uint64_t)report_int(report, "acked", (int64_t)b->acked);
    result->dead = (uint64_t)report_int(report, "dead", 0);
    result->seconds = report_real(report, "seconds", run_seconds(run));
    result->latency_ms.p50 = report_real(report, "latency_ms.p50", 0);
    result->latency_ms.p90 = report_real(report, "latency_ms.p90", 0);
    result->latency_ms.p99 = report_real(report, "latency_ms.p99", 0);
    result->latency_ms.max = report_real(report, "latency_ms.max", 0);
    for (uint32_t i = 0; i < pipeline_children(p); i++) {
        if (pipeline_part(p, i) == PART_SAVE || pipeline_part(p, i) == PART_RESTART)
            result->executions += (uint64_t)report_int(pipeline_report(p, i), "ok", 0);
    }
    for (part_t part = 0; part < PARTS; part++) {
        result->parts[part].cpu_us = pipeline_cpu_us(p, part);
        result->parts[part].rss_kb = pipeline_rss_kb(p, part);
    }
}

static int print(const bench_t *b)
{
    if (b->as_json) {
        char *text = bench_json(&b->result);
        if (!text)
            return EXIT_FAILED;
        puts(text);
        free(text);
    } else {
        bench_table(&b->result, stdout);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

static int run_bench(bench_t *b)
{
    const run_events_t events = {.drain = false, .status = on_status, .ready = on_ready, .arg = b};
    run_t *run = run_new(&b->pipeline, &events);
    if (!run) {
        log_error("out of memory");
        return EXIT_FAILED;
    }
    run_all(run);
    const pipeline_t *p = run_pipeline(run);
    bool finished = pipeline_finished(p) && !pipeline_failure(p);
    bool misused = pipeline_misused(p) && !run_was_ready(run);
    collect(b, run);
    screen_counts(run_screen(run), b->result.count, b->result.acked, b->result.dead);
    if (run_was_ready(run))
        screen_progress_end(run_screen(run), run_now_ms(run));
    run_destroy(&run);
    if (!finished)
        return misused ? EXIT_USAGE : EXIT_FAILED;
    int exit_status = print(b);
    return b->result.acked == b->result.count ? exit_status : EXIT_FAILED;
}

/* --- before it */

static int prepare_dir(bench_t *b, const config_t *config)
{
    const char *data = config_text(config, "data");
    const char *tmp = getenv("TMPDIR");
    char outbox[PATH_MAX];
    b->temporary = !data;
    int n = snprintf(b->dir, sizeof(b->dir), data ? "%s" : "%s/mandrill-bench-XXXXXX",
                     data ? data : (tmp && *tmp ? tmp : "/tmp"));
    if (n < 0 || (size_t)n >= sizeof(b->dir) - sizeof("/outbox.db"))
        return command_usage(&program, "--data: the path is too long");
    int r = 0;
    if (data)
        r = folder_make(b->dir);
    else if (!mkdtemp(b->dir))
        r = -errno;
    if (r < 0) {
        log_error("%s can't be made: %s", b->dir, strerror(-r));
        return EXIT_FAILED;
    }
    snprintf(outbox, sizeof(outbox), "%.*s/outbox.db", (int)(sizeof(outbox) - sizeof("/outbox.db")), b->dir);
    if (data && access(outbox, F_OK) == 0)
        return command_usage(&program, "%s: %s is there already; a bench starts from nothing",
                             config_origin(config, "data"), outbox);
    return EXIT_OK;
}

static void fill_args(bench_t *b, const config_t *config)
{
    args_t *more = b->pipeline.more;
    for (part_t part = 0; part < PARTS; part++) {
        args_add(&more[part], "--log-level");
        args_add(&more[part], "warn");
        args_add(&more[part], "--no-log-messages");
    }
    args_add(&more[PART_PUBLISHER], "--no-progress");
    args_add(&more[PART_PUBLISHER], "--await-consumer");
    args_add(&more[PART_PUBLISHER], "--load");
    args_add(&more[PART_PUBLISHER], "%" PRIu64, b->result.count);
    args_add(&more[PART_PUBLISHER], "--size");
    args_add(&more[PART_PUBLISHER], "%" PRId64, b->result.size_bytes);
    if (b->result.rate > 0) {
        args_add(&more[PART_PUBLISHER], "--rate");
        args_add(&more[PART_PUBLISHER], "%s", config_text(config, "rate"));
    }
    args_add(&more[PART_RESTART], "--simulate");
    args_add(&more[PART_RESTART], "0..0");
    args_add(&more[PART_RESTART], "--fail");
    args_add(&more[PART_RESTART], "0");
    if (b->result.slots > 0) {
        args_add(&more[PART_RESTART], "--slots");
        args_add(&more[PART_RESTART], "%u", b->result.slots);
    }
}

static int fill(bench_t *b, const config_t *config)
{
    bench_result_t *result = &b->result;
    pipeline_settings_t *p = &b->pipeline;
    b->as_json = config_flag(config, "json");
    result->count = (uint64_t)config_int(config, "count");
    result->legs = LEGS;
    result->rate = config_text(config, "rate") ? config_real(config, "rate") : 0;
    result->size_bytes = config_int(config, "size");
    result->restart = (uint32_t)config_int(config, "restart");
    result->slots = config_text(config, "slots") ? (uint32_t)config_int(config, "slots") : 0;
    result->transport = config_text(config, "transport");
    result->data_dir = config_text(config, "data");
    b->patience_ms = STALL_MS;
    p->data_dir = b->dir;
    p->run_dir = b->dir;
    p->ipc = strcmp(result->transport, "ipc") == 0;
    p->drain_ms = DRAIN_MS;
    p->counts[PART_PUBLISHER] = 1;
    p->counts[PART_CONSUMER] = 1;
    p->counts[PART_RESTART] = result->restart;
    fill_args(b, config);
    const int exit_status = store_choose(p, &program, config);
    result->save = p->counts[PART_SAVE];
    result->store = p->postgres ? "postgres" : "sqlite";
    return exit_status;
}

int command_bench(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    bench_t *b;
    int signals = run_signals();
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    exit_status = EXIT_FAILED;
    b = calloc(1, sizeof(*b));
    if (!b || signals < 0) {
        log_error("%s", b ? "signals can't be read" : "out of memory");
        goto out;
    }
    exit_status = fill(b, config);
    if (exit_status != EXIT_OK)
        goto out;
    if (r == CONFIG_CHECK) {
        exit_status = parts_check(&b->pipeline);
        goto out;
    }
    exit_status = prepare_dir(b, config);
    if (exit_status == EXIT_OK)
        exit_status = parts_check(&b->pipeline);
    if (exit_status == EXIT_OK)
        exit_status = run_bench(b);
    if (b->temporary && b->dir[0])
        dir_remove(b->dir);
out:
    for (part_t part = 0; b && part < PARTS; part++)
        args_done(&b->pipeline.more[part]);
    free(b);
    config_destroy(&config);
    return exit_status;
}

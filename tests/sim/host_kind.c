/* The real runner over hosts of the world: the kind that restarts them. */
#include "tests/sim/check.h"
#include "tests/sim/host_driver.h"
#include "tests/sim/kinds_internal.h"
#include "workers/restart/runner.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { ARGS_MAX = 16, ARG_BYTES = 32 };

typedef struct {
    char texts[ARGS_MAX][ARG_BYTES];
    char *words[ARGS_MAX];
    int count;
} args_t;

static void add_arg(args_t *a, const char *text)
{
    snprintf(a->texts[a->count], ARG_BYTES, "%s", text);
    a->words[a->count] = a->texts[a->count];
    a->count++;
}

static void add_duration(args_t *a, const char *flag, int64_t ms)
{
    char text[ARG_BYTES];
    snprintf(text, sizeof text, "%" PRId64 "ms", ms);
    add_arg(a, flag);
    add_arg(a, text);
}

int host_kind_open(worker_state_t *s, char *why)
{
    static const config_program_t program = {.name = "mandrill-worker",
                                             .section = "worker",
                                             .summary = "",
                                             .arguments = "",
                                             .examples = "",
                                             .options = runner_options,
                                             .options_count = RUNNER_OPTIONS};
    const plan_hosts_t *plan = &world.plan.hosts;
    args_t args = {.count = 0};
    add_arg(&args, "mandrill-worker");
    add_duration(&args, "--grant", plan->grant_ms);
    add_duration(&args, "--act-timeout", plan->act_ms);
    add_duration(&args, "--return-timeout", plan->return_ms);
    add_duration(&args, "--poll", plan->poll_ms);
    add_duration(&args, "--min-uptime", plan->min_uptime_ms);
    if (plan->denies) {
        add_arg(&args, "--deny-host");
        add_arg(&args, "*7.example.net");
    }
    if (plan->dry_run)
        add_arg(&args, "--dry-run");
    int r = config_load(&s->config, &program, args.count, args.words);
    if (r != CONFIG_RUN) {
        snprintf(why, WHY_BYTES, "the options are refused");
        return -EINVAL;
    }
    return runner_open(&s->runner, &sim_driver, s->config, false, why);
}

void host_kind_close(worker_state_t *s)
{
    runner_close(&s->runner);
    config_destroy(&s->config);
}

static void start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    worker_state_t *s = self;
    s->sink = sink;
    check_begin(task->id, LEG_RESTART);
    world_step();
    runner_start(s->runner, task, now_ms, sink);
}

static int go_on(void *self, int64_t now_ms, worker_sink_t *sink)
{
    worker_state_t *s = self;
    s->sink = sink;
    return runner_go_on(s->runner, now_ms, sink);
}

static void await(const void *self, worker_wait_t *ret)
{
    const worker_state_t *s = self;
    runner_await(s->runner, ret);
}

static void cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    worker_state_t *s = self;
    runner_cancel(s->runner, number, sink);
}

static void granted(void *self, uint32_t number, bool is, worker_sink_t *sink)
{
    worker_state_t *s = self;
    world_step();
    runner_granted(s->runner, number, is, sink);
}

const worker_kind_t sim_hosts = {.name = "restart-hosts",
                                 .leg = "restart",
                                 .executor = EXECUTOR_LOOP,
                                 .start = start,
                                 .go_on = go_on,
                                 .await = await,
                                 .cancel = cancel,
                                 .granted = granted};

/* restart-simulate: restarts nothing, but takes as long as a restart and fails as often. Delays are drawn
 * evenly from MIN..MAX ms; of the failures two thirds are transient (as often the one as the other), one
 * third is not. */
#include "common/core/backoff.h"
#include "common/core/heap.h"
#include "common/runtime/clock.h"
#include "workers/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2048, TASKS_MIN = 1024, DELAY_MS_MAX = 3600000 };
#define RANDOMS 18446744073709551616.0 /* how many different numbers random_next() gives */

typedef struct {
    int64_t min_ms, max_ms;
    uint64_t fail_below; /* a random number below this is a failure */
    uint64_t random;
    heap_t due;                  /* by number of task */
    const worker_task_t **tasks; /* by number too */
} simulate_t;

static const config_option_t options[] = {
    {.name = "simulate",
     .type = CONFIG_TEXT,
     .fallback = "0..1000",
     .argument = "MIN..MAX",
     .help = "restart-simulate: how long a restart takes, in ms",
     .reloads = true},
    {.name = "fail",
     .type = CONFIG_REAL,
     .fallback = "0",
     .argument = "RATE",
     .min = 0,
     .max = 1,
     .help = "restart-simulate: how many of the restarts fail, 0 to 1",
     .reloads = true},
    {.name = "seed",
     .type = CONFIG_INT,
     .argument = "N",
     .help = "restart-simulate: makes delays and failures the same each time"},
};

static int parse_range(const char *text, int64_t *ret_min, int64_t *ret_max)
{
    char first[24];
    int64_t min, max;
    const char *dots = strstr(text, "..");
    if (dots == NULL || (size_t)(dots - text) >= sizeof first)
        return -EINVAL;
    snprintf(first, sizeof first, "%.*s", (int)(dots - text), text);
    if (config_parse_int(first, &min) != 0 || config_parse_int(dots + 2, &max) != 0)
        return -EINVAL;
    if (min < 0 || max < min || max > DELAY_MS_MAX)
        return -EINVAL;
    *ret_min = min;
    *ret_max = max;
    return 0;
}

static void simulate_close(void **self)
{
    simulate_t *s = *self;
    if (s == NULL)
        return;
    heap_done(&s->due);
    free(s->tasks);
    free(s);
    *self = NULL;
}

/* Tasks that have been started end when they were to. */
static int simulate_reload(void *self, const config_t *config, bool check, char *why)
{
    simulate_t *s = self;
    const char *range = config_text(config, "simulate");
    const double rate = config_real(config, "fail");
    int64_t min_ms, max_ms;
    if (parse_range(range, &min_ms, &max_ms) != 0) {
        char shown[48];
        snprintf(why, WHY_BYTES,
                 "%s: '%s' is no range of milliseconds; expected MIN..MAX, as in 0..1000 (at most %d)",
                 config_origin(config, "simulate"), text_escape(range, strlen(range), shown, sizeof shown),
                 DELAY_MS_MAX);
        return -ERANGE;
    }
    if (!check) {
        s->min_ms = min_ms;
        s->max_ms = max_ms;
        s->fail_below = rate >= 1 ? UINT64_MAX : (uint64_t)(rate * RANDOMS);
    }
    return 0;
}

static int simulate_open(void **ret_self, const config_t *config, bool check, char *why)
{
    (void)check;
    int error = simulate_reload(NULL, config, true, why);
    if (error != 0)
        return error;
    void *self = calloc(1, sizeof(simulate_t));
    simulate_t *s = self;
    if (s == NULL || heap_init(&s->due, TASKS_MIN) != 0 ||
        (s->tasks = calloc(TASKS_MIN, sizeof(const worker_task_t *))) == NULL) {
        simulate_close(&self);
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    simulate_reload(s, config, false, why);
    s->random = config_given(config, "seed") ? (uint64_t)config_int(config, "seed") : clock_random_id();
    *ret_self = self;
    return 0;
}

static void end(simulate_t *s, const worker_task_t *task, worker_sink_t *sink)
{
    static const struct {
        outcome_t outcome;
        const char *text;
    } failures[] = {
        {OUTCOME_TRANSIENT, "server disconnected"},
        {OUTCOME_TRANSIENT, "time-out"},
        {OUTCOME_PERMANENT, "no such host"},
    };
    if (s->fail_below > 0 && random_next(&s->random) <= s->fail_below) {
        const uint64_t which = random_next(&s->random) % 3;
        worker_fail(sink, task->number, failures[which].outcome, 0, failures[which].text);
        return;
    }
    worker_say(sink, "Restarted", task, "");
    worker_ok(sink, task->number);
}

static int reserve(simulate_t *s, uint32_t number)
{
    uint32_t capacity = s->due.capacity;
    if (number < capacity)
        return 0;
    while (capacity <= number)
        capacity *= 2;
    const worker_task_t **tasks = realloc(s->tasks, capacity * sizeof *tasks);
    if (tasks == NULL)
        return -ENOMEM;
    s->tasks = tasks;
    return heap_grow(&s->due, capacity);
}

static void simulate_start(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink)
{
    simulate_t *s = self;
    if (s->max_ms == 0) {
        end(s, task, sink);
        return;
    }
    if (reserve(s, task->number) != 0) {
        worker_fail(sink, task->number, OUTCOME_BLOCKED, 1000, "the worker is out of memory");
        return;
    }
    const uint64_t span = (uint64_t)(s->max_ms - s->min_ms) + 1;
    const int64_t delay_ms = s->min_ms + (int64_t)(random_next(&s->random) % span);
    s->tasks[task->number] = task;
    heap_set(&s->due, task->number, now_ms + delay_ms);
}

static int64_t simulate_poll(void *self, int64_t now_ms, worker_sink_t *sink)
{
    simulate_t *s = self;
    while (heap_first_key(&s->due) <= now_ms) {
        const uint32_t number = heap_first(&s->due);
        heap_remove(&s->due, number);
        end(s, s->tasks[number], sink);
    }
    return heap_first_key(&s->due);
}

static void simulate_cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    simulate_t *s = self;
    heap_remove(&s->due, number);
    worker_fail(sink, number, OUTCOME_TRANSIENT, 0, "");
}

const worker_kind_t restart_simulate = {
    .name = "restart-simulate",
    .leg = "restart",
    .summary = "restarts nothing: waits a random time, fails at a rate",
    .executor = EXECUTOR_LOOP,
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = simulate_open,
    .reload = simulate_reload,
    .close = simulate_close,
    .start = simulate_start,
    .poll = simulate_poll,
    .cancel = simulate_cancel,
};

#include "tests/contract/odd_driver.h"

#include "common/core/heap.h"
#include "common/runtime/clock.h"
#include "workers/restart/jobs.h"
#include "workers/restart/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 2048, PATH_BYTES = 512, AWAY_MS = 50, FIRST = 64 };
#define TEN_YEARS_MS INT64_C(315360000000)

typedef enum { DOES_LOOK, DOES_ACT, DOES_CHECK } what_t;

typedef struct {
    const driver_call_t *call;
    what_t what;
} call_t;

typedef struct {
    const char *fleet;
    bool blind, repeats;
    jobs_t calls;
    heap_t due;
    driver_tell_t tell;
    void *arg;
} fleet_t;

static const config_option_t options[] = {
    {.name = "fleet", .type = CONFIG_TEXT, .argument = "DIR", .help = "where the hosts are"},
    {.name = "blind", .type = CONFIG_FLAG, .fallback = "false", .help = "they cannot be looked at"},
    {.name = "repeats", .type = CONFIG_FLAG, .fallback = "false", .help = "they know a message by its id"},
};

/* --- hosts --- */

static bool named(const driver_call_t *c, const char *begin)
{
    const body_t *b = &c->task->body;
    const size_t len = strlen(begin);
    return b->instance_len >= len && memcmp(b->instance, begin, len) == 0;
}

static char *path_of(const fleet_t *f, const char *name, int len, char path[static PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/%.*s", f->fleet, len, name);
    return path;
}

static char *host_path(const fleet_t *f, const driver_call_t *c, char path[static PATH_BYTES])
{
    return path_of(f, c->task->body.instance, (int)c->task->body.instance_len, path);
}

static void add_byte(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "r", 1) != 1)
        abort();
    close(fd);
}

/* How often it was restarted, and for how long it has been up since. */
static long boots(const fleet_t *f, const driver_call_t *c, int64_t *ret_up_ms)
{
    char path[PATH_BYTES];
    struct stat st;
    *ret_up_ms = TEN_YEARS_MS;
    if (stat(host_path(f, c, path), &st) != 0)
        return 0;
    const int64_t at_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    const int64_t up_ms = clock_wall_ms() - at_ms;
    *ret_up_ms = up_ms > 0 ? up_ms : 0;
    return (long)st.st_size;
}

static void restart(const fleet_t *f, const driver_call_t *c)
{
    char path[PATH_BYTES];
    add_byte(host_path(f, c, path));
}

static bool is_away(const fleet_t *f)
{
    char path[PATH_BYTES];
    return access(path_of(f, "away", 4, path), F_OK) == 0;
}

/* --- what is told --- */

static void look(const fleet_t *f, const driver_call_t *c, look_t *ret)
{
    int64_t up_ms;
    const long count = boots(f, c, &up_ms);
    if (is_away(f)) {
        *ret = (look_t){.how = LOOK_AWAY, .ms = AWAY_MS, .text = "the fleet is away"};
    } else if (named(c, "gone")) {
        *ret = (look_t){.how = LOOK_REFUSED, .text = "it is gone"};
    } else if (named(c, "hung") && count > 0) {
        *ret = (look_t){.how = LOOK_FAILED, .text = "no answer in time"};
    } else if (named(c, "down") || (named(c, "comes") && count > 0 && up_ms < ODD_ACT_MS)) {
        *ret = (look_t){.how = LOOK_FAILED, .text = "it is down"};
    } else {
        *ret = (look_t){.how = LOOK_SEEN, .seen = {.up_ms = up_ms}, .text = ""};
        snprintf(ret->seen.id, sizeof ret->seen.id, "boot-%ld", count);
    }
}

static void act(const fleet_t *f, const driver_call_t *c, acted_t *ret)
{
    const bool first = c->task->note_len == 0;
    *ret = (acted_t){.how = ACTED_DONE, .outcome = OUTCOME_OK, .text = ""};
    if (named(c, "refuses")) {
        *ret = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_TRANSIENT, .ms = 1, .text = "it refuses"};
        return;
    }
    if (named(c, "dies") && first)
        raise(SIGKILL);
    if (!named(c, "undone") && !named(c, "hung"))
        restart(f, c);
    if (named(c, "died") && first)
        raise(SIGKILL);
    if (named(c, "lost") || named(c, "undone") || named(c, "hung"))
        *ret = (acted_t){.how = ACTED_UNKNOWN, .outcome = OUTCOME_TRANSIENT, .text = "the answer got lost"};
}

static void end_call(fleet_t *f, uint32_t number)
{
    call_t *job = jobs_get(&f->calls, number);
    const driver_call_t *c = job->call;
    driver_told_t told = {.looked = NULL};
    look_t looked;
    acted_t acted;
    heap_remove(&f->due, number);
    jobs_set(&f->calls, number, NULL);
    if (job->what == DOES_LOOK) {
        look(f, c, &looked);
        told.looked = &looked;
    } else if (job->what == DOES_ACT) {
        act(f, c, &acted);
        told.acted = &acted;
    } else {
        told.unwell = named(c, "ill") ? "it is ill" : "";
    }
    free(job);
    f->tell(f->arg, number, &told);
}

/* --- the driver --- */

static int begin(fleet_t *f, const driver_call_t *c, what_t what, int64_t due_ms)
{
    if (jobs_reserve(&f->calls, c->number) != 0 ||
        (f->due.capacity < f->calls.capacity && heap_grow(&f->due, f->calls.capacity) != 0))
        return -ENOMEM;
    call_t *job = malloc(sizeof *job);
    if (job == NULL)
        return -ENOMEM;
    *job = (call_t){c, what};
    jobs_set(&f->calls, c->number, job);
    heap_set(&f->due, c->number, due_ms < c->until_ms ? due_ms : c->until_ms);
    return 0;
}

static int fleet_observe(void *self, const driver_call_t *c)
{
    int64_t up_ms;
    if (named(c, "nofile"))
        return -EMFILE;
    const bool endless = named(c, "hung") && boots(self, c, &up_ms) > 0;
    return begin(self, c, DOES_LOOK, endless ? INT64_MAX : clock_ms());
}

static int fleet_act(void *self, const driver_call_t *c)
{
    const int64_t now_ms = clock_ms();
    if (named(c, "blocked"))
        return -ENOMEM;
    if (named(c, "hung"))
        restart(self, c);
    return begin(self, c, DOES_ACT,
                 named(c, "hung")     ? INT64_MAX
                 : named(c, "parked") ? now_ms + ODD_LONG_ACT_MS
                 : named(c, "slow")   ? now_ms + ODD_ACT_MS
                                      : now_ms);
}

static int fleet_check(void *self, const driver_call_t *c)
{
    return begin(self, c, DOES_CHECK, clock_ms());
}

static void fleet_cancel(void *self, uint32_t number)
{
    fleet_t *f = self;
    char path[PATH_BYTES];
    heap_remove(&f->due, number);
    free(jobs_get(&f->calls, number));
    jobs_set(&f->calls, number, NULL);
    add_byte(path_of(f, "cancelled", 9, path));
}

static int fleet_go_on(void *self, int64_t now_ms, const char **ret_why)
{
    fleet_t *f = self;
    /* What is begun meanwhile is for the next turn. */
    for (uint32_t left = f->due.count; left > 0 && heap_first_key(&f->due) <= now_ms; left--)
        end_call(f, heap_first(&f->due));
    *ret_why = "the fleet is away";
    return is_away(f) ? AWAY_MS : 0;
}

static void fleet_await(const void *self, worker_wait_t *ret)
{
    const fleet_t *f = self;
    const int64_t due_ms = heap_first_key(&f->due), soon_ms = clock_ms() + AWAY_MS;
    *ret = (worker_wait_t){.fd = -1, .due_ms = is_away(f) && soon_ms < due_ms ? soon_ms : due_ms};
}

static void fleet_traits(const void *self, driver_traits_t *ret)
{
    const fleet_t *f = self;
    *ret = (driver_traits_t){.observes = !f->blind, .checks = true, .repeats = f->repeats};
}

static void fleet_close(void **self)
{
    fleet_t *f = *self;
    for (uint32_t n = 0; n < f->calls.capacity; n++)
        free(jobs_get(&f->calls, n));
    jobs_done(&f->calls);
    heap_done(&f->due);
    free(f);
    *self = NULL;
}

static int fleet_open(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                      char *why)
{
    (void)check;
    const char *fleet = config_text(config, "fleet");
    fleet_t *f = fleet != NULL ? calloc(1, sizeof *f) : NULL;
    if (f == NULL || heap_init(&f->due, FIRST) != 0) {
        free(f);
        snprintf(why, WHY_BYTES, "--fleet is missing, or no memory");
        return fleet == NULL ? -ERANGE : -ENOMEM;
    }
    f->fleet = fleet;
    f->blind = config_flag(config, "blind");
    f->repeats = config_flag(config, "repeats");
    f->tell = tell;
    f->arg = arg;
    *ret_self = f;
    return 0;
}

static const driver_t fleet_driver = {
    .open = fleet_open,
    .close = fleet_close,
    .traits = fleet_traits,
    .observe = fleet_observe,
    .act = fleet_act,
    .check = fleet_check,
    .cancel = fleet_cancel,
    .go_on = fleet_go_on,
    .await = fleet_await,
};

static int open_kind(void **ret_self, const config_t *config, bool check, char *why)
{
    return runner_open(ret_self, &fleet_driver, config, check, why);
}

const worker_kind_t odd_runner = {.name = "odd-runner",
                                  RUNNER_KIND,
                                  .summary = "restarts files",
                                  .slots = SLOTS,
                                  .options = options,
                                  .options_count = sizeof options / sizeof options[0],
                                  .open = open_kind};

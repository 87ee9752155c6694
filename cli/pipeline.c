#include "cli/pipeline.h"
#include "cli/report.h"
#include "cli/restarts.h"
#include "common/core/message.h"
#include "common/runtime/announce.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    READY_POLL_MS = 5,
    /* From its start until a child is reachable. A large outbox that was not closed is read through first. */
    READY_MS_MAX = 60000,
    /* More than what the children are told: they end by themselves first. */
    GRACE_MS = 5000,
    /* For closing files, the last report, and the second in which a worker's goodbye may be answered. */
    HURRY_MS = 2000,
    /* Workers have nothing to finish when the consumers are gone. One whose consumer was killed may not know.
     */
    WORKERS_MS = 1000,
    ENDPOINT_BYTES = 160,
    EXIT_MISUSED = 2, /* of every program: flags or configuration that it does not understand */
};

typedef enum { STAGE_PUBLISHER, STAGE_CONSUMERS, STAGE_WORKERS, STAGES } stage_t;

struct pipeline {
    const pipeline_settings_t *settings;
    supervisor_t *supervisor;
    void (*line)(void *arg, uint32_t child, const char *name, const char *text, size_t len);
    void *arg;
    pipeline_state_t state;
    stage_t stage;       /* that is being started; of a drain, the last that was told to stop */
    int64_t deadline_ms; /* for its children to be ready, or for the workers to end by themselves */
    bool finished;
    bool misused;
    bool hurried;      /* told to end at once */
    char failure[320]; /* "" : none */
    char clients[ENDPOINT_BYTES];
    char control[ENDPOINT_BYTES];
    struct {
        part_t part;
        bool was_ready;
        json_t *report;
    } children[CHILDREN_MAX];
};

static const stage_t stage_of[PARTS] = {
    [PART_PUBLISHER] = STAGE_PUBLISHER,
    [PART_CONSUMER] = STAGE_CONSUMERS,
    [PART_SAVE] = STAGE_WORKERS,
    [PART_RESTART] = STAGE_WORKERS,
};

static stage_t stage_of_child(const pipeline_t *p, uint32_t child)
{
    return stage_of[p->children[child].part];
}

static void fail(pipeline_t *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(pipeline_t *p, const char *format, ...)
{
    /* The first failure is the cause of those that follow. */
    if (!p->failure[0]) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(p->failure, sizeof(p->failure), format, arguments);
        va_end(arguments);
        log_error("%s", p->failure);
    }
    pipeline_drain(p);
}

/* --- the children's events */

static void on_line(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len)
{
    pipeline_t *p = arg;
    json_t *report = stream == CHILD_OUT ? report_parse(text, len) : NULL;
    if (!report) {
        p->line(p->arg, child, supervisor_child(p->supervisor, child).name, text, len);
        return;
    }
    json_decref(p->children[child].report);
    p->children[child].report = report;
}

/* A publisher with a finite load ends by itself, with status 1 when there are dead letters; with the same
 * status one ends that could not go on. */
static bool load_is_finished(const pipeline_t *p, int status)
{
    const json_t *report = p->children[PIPELINE_PUBLISHER].report;
    return WIFEXITED(status) && report && report_int(report, "finished", 0) != 0;
}

static bool on_ended(void *arg, uint32_t child, int status, bool asked)
{
    pipeline_t *p = arg;
    if (asked)
        return false;
    if (child == PIPELINE_PUBLISHER && load_is_finished(p, status)) {
        p->finished = true;
        return false;
    }
    bool again = p->settings->restart_crashed && p->children[child].was_ready;
    if (!again) {
        char how[96];
        p->misused = p->misused || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_MISUSED);
        child_end_text(status, how, sizeof(how));
        fail(p, "%s %s%s", supervisor_child(p->supervisor, child).name, how,
             p->children[child].was_ready ? "" : " before it was ready");
    }
    return again;
}

int pipeline_new(pipeline_t **ret, loop_t *loop, const pipeline_settings_t *settings,
                 void (*line)(void *arg, uint32_t child, const char *name, const char *text, size_t len),
                 void *arg)
{
    pipeline_t *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    const supervisor_events_t events = {.line = on_line, .ended = on_ended, .arg = p};
    p->settings = settings;
    p->line = line;
    p->arg = arg;
    p->state = PIPELINE_STARTING;
    p->supervisor = supervisor_new(loop, &events);
    if (!p->supervisor) {
        pipeline_destroy(&p);
        return -ENOMEM;
    }
    *ret = p;
    return 0;
}

void pipeline_destroy(pipeline_t **p)
{
    if (!*p)
        return;
    supervisor_destroy(&(*p)->supervisor);
    for (uint32_t i = 0; i < CHILDREN_MAX; i++)
        json_decref((*p)->children[i].report);
    free(*p);
    *p = NULL;
}

/* --- command lines */

/* The addresses that the servers of a part have announced. */
static void add_servers(const pipeline_t *p, args_t *args, part_t servers, const char *flag)
{
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        if (p->children[i].part != servers)
            continue;
        args_add(args, "%s", flag);
        args_add(args, "%s", args_get(supervisor_args(p->supervisor, i), "--listen"));
    }
}

static int add_child(pipeline_t *p, part_t part, uint32_t number)
{
    const pipeline_settings_t *s = p->settings;
    char name[CHILD_NAME_MAX];
    char announce[PATH_MAX];
    args_t args;
    if (s->counts[part] > 1)
        snprintf(name, sizeof(name), "%s-%u", part_name(part), number);
    else
        snprintf(name, sizeof(name), "%s", part_name(part));
    int n = snprintf(announce, sizeof(announce), "%s/%s.announce", s->run_dir, name);
    if (n < 0 || (size_t)n >= sizeof(announce))
        return -ENAMETOOLONG;
    args_init(&args);
    int child = part_add_words(&args, s, part);
    if (child == 0) {
        part_add_endpoints(&args, s, part, number);
        if (stage_of[part] == STAGE_CONSUMERS)
            add_servers(p, &args, PART_PUBLISHER, "--publisher");
        if (stage_of[part] == STAGE_WORKERS)
            add_servers(p, &args, PART_CONSUMER, "--consumer");
        /* In logs and histories it is called as it is on the screen. */
        if (stage_of[part] != STAGE_PUBLISHER) {
            args_add(&args, "--name");
            args_add(&args, "%s", name);
        }
        args_add(&args, "--announce");
        args_add(&args, "%s", announce);
        child = supervisor_add(p->supervisor, name, &args, announce);
    }
    args_done(&args);
    if (child >= 0)
        p->children[child].part = part;
    return child;
}

/* --- starting */

static void start_child(pipeline_t *p, part_t part, uint32_t number)
{
    int child = add_child(p, part, number);
    int r = child < 0 ? child : supervisor_start(p->supervisor, (uint32_t)child);
    if (r < 0)
        fail(p, "%s can't be started: %s", part_program(part), strerror(-r));
}

static void start_stage(pipeline_t *p, stage_t stage)
{
    p->stage = stage;
    p->deadline_ms = clock_ms() + READY_MS_MAX;
    for (part_t part = 0; part < PARTS; part++) {
        for (uint32_t k = 0; stage_of[part] == stage && k < p->settings->counts[part]; k++) {
            if (p->state == PIPELINE_STARTING)
                start_child(p, part, k + 1);
        }
    }
}

void pipeline_start(pipeline_t *p)
{
    start_stage(p, STAGE_PUBLISHER);
}

/* A server must come back to where its peers look for it: the port that it was given the first time. */
static void pin(pipeline_t *p, uint32_t child, const char *key, const char *flag)
{
    char endpoint[ENDPOINT_BYTES];
    if (announce_read(supervisor_child(p->supervisor, child).announce, key, endpoint, sizeof(endpoint)) == 0)
        args_set(supervisor_args(p->supervisor, child), flag, endpoint);
}

static void note_ready(pipeline_t *p, uint32_t child)
{
    char *const control = p->control[0] ? NULL : p->control;
    const char *announce = supervisor_child(p->supervisor, child).announce;
    p->children[child].was_ready = true;
    if (p->children[child].part == PART_PUBLISHER) {
        pin(p, child, "listen", "--listen");
        pin(p, child, "clients", "--clients");
        announce_read(announce, "clients", p->clients, sizeof(p->clients));
    } else if (p->children[child].part == PART_CONSUMER) {
        pin(p, child, "listen", "--listen");
        pin(p, child, "control", "--control");
        if (control)
            announce_read(announce, "control", control, sizeof(p->control));
    }
}

/* Whether all children of the stage are ready. */
static bool look_ready(pipeline_t *p)
{
    bool all = true;
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        char pid[24];
        if (stage_of_child(p, i) != p->stage || p->children[i].was_ready)
            continue;
        /* The last line that is written, whole files only: all addresses are there then. */
        if (announce_read(supervisor_child(p->supervisor, i).announce, "pid", pid, sizeof(pid)) == 0)
            note_ready(p, i);
        else
            all = false;
    }
    return all;
}

static void turn_starting(pipeline_t *p)
{
    if (look_ready(p)) {
        if (p->stage + 1 < STAGES)
            start_stage(p, p->stage + 1);
        else
            p->state = PIPELINE_RUNNING;
        return;
    }
    if (clock_ms() < p->deadline_ms)
        return;
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        if (!p->children[i].was_ready)
            fail(p, "%s is not ready after %d s", supervisor_child(p->supervisor, i).name,
                 READY_MS_MAX / 1000);
    }
}

/* --- draining */

static void stop_stage(pipeline_t *p, stage_t stage)
{
    int64_t grace_ms = p->settings->drain_ms + GRACE_MS;
    p->stage = stage;
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        if (stage_of_child(p, i) == stage)
            supervisor_stop(p->supervisor, i,
                            stage == STAGE_PUBLISHER ? grace_ms + PUBLISHER_STAYS_MS : grace_ms);
    }
}

static void hurry_stage(pipeline_t *p, stage_t stage)
{
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        if (stage_of_child(p, i) == stage && supervisor_child(p->supervisor, i).state != CHILD_ENDED)
            supervisor_hurry(p->supervisor, i, HURRY_MS);
    }
}

/* The publisher first, so that it gives out no more what the consumers give back. */
static void start_draining(pipeline_t *p)
{
    p->state = PIPELINE_DRAINING;
    stop_stage(p, STAGE_PUBLISHER);
    stop_stage(p, STAGE_CONSUMERS);
}

static bool has_ended(const pipeline_t *p, stage_t stage)
{
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        if (stage_of_child(p, i) == stage && supervisor_child(p->supervisor, i).state != CHILD_ENDED)
            return false;
    }
    return true;
}

static void turn_draining(pipeline_t *p)
{
    if (!has_ended(p, STAGE_CONSUMERS))
        return;
    if (p->stage < STAGE_WORKERS) {
        stop_stage(p, STAGE_WORKERS);
        p->deadline_ms = p->hurried ? INT64_MAX : clock_ms() + WORKERS_MS;
    }
    if (has_ended(p, STAGE_WORKERS) && has_ended(p, STAGE_PUBLISHER)) {
        p->state = PIPELINE_ENDED;
    } else if (clock_ms() >= p->deadline_ms) {
        p->deadline_ms = INT64_MAX;
        hurry_stage(p, STAGE_WORKERS);
    }
}

void pipeline_drain(pipeline_t *p)
{
    if (p->state < PIPELINE_DRAINING)
        start_draining(p);
}

void pipeline_dump(pipeline_t *p)
{
    supervisor_signal_all(p->supervisor, SIGUSR1);
}

void pipeline_reload(pipeline_t *p)
{
    supervisor_signal_all(p->supervisor, SIGHUP);
}

void pipeline_kill(pipeline_t *p)
{
    pipeline_drain(p);
    if (p->hurried)
        supervisor_kill_all(p->supervisor);
    for (stage_t stage = 0; stage < STAGES && !p->hurried; stage++)
        hurry_stage(p, stage);
    p->hurried = true;
}

/* --- turns */

void pipeline_turn(pipeline_t *p, bool read_lines)
{
    supervisor_turn(p->supervisor, read_lines);
    int gave_up = supervisor_gave_up(p->supervisor);
    if (gave_up >= 0 && p->state < PIPELINE_DRAINING)
        fail(p, "%s crashed again after %d restarts in a minute: giving up",
             supervisor_child(p->supervisor, (uint32_t)gave_up).name, RESTARTS_MAX);
    if (p->finished)
        pipeline_drain(p);
    if (p->state == PIPELINE_STARTING)
        turn_starting(p);
    if (p->state == PIPELINE_DRAINING)
        turn_draining(p);
}

int64_t pipeline_next_ms(const pipeline_t *p)
{
    int64_t next_ms = supervisor_next_ms(p->supervisor);
    int64_t own_ms = INT64_MAX;
    if (p->state == PIPELINE_STARTING)
        own_ms = clock_ms() + READY_POLL_MS;
    else if (p->state == PIPELINE_DRAINING && p->stage == STAGE_WORKERS)
        own_ms = p->deadline_ms;
    return own_ms < next_ms ? own_ms : next_ms;
}

/* --- looking */

pipeline_state_t pipeline_state(const pipeline_t *p)
{
    return p->state;
}

const char *pipeline_failure(const pipeline_t *p)
{
    return p->failure[0] ? p->failure : NULL;
}

bool pipeline_hurried(const pipeline_t *p)
{
    return p->hurried;
}

const char *pipeline_clients(const pipeline_t *p)
{
    return p->clients[0] ? p->clients : NULL;
}

const char *pipeline_control(const pipeline_t *p)
{
    return p->control[0] ? p->control : NULL;
}

bool pipeline_finished(const pipeline_t *p)
{
    return p->finished;
}

bool pipeline_misused(const pipeline_t *p)
{
    return p->misused;
}

uint32_t pipeline_children(const pipeline_t *p)
{
    return supervisor_count(p->supervisor);
}

part_t pipeline_part(const pipeline_t *p, uint32_t child)
{
    return p->children[child].part;
}

const json_t *pipeline_report(const pipeline_t *p, uint32_t child)
{
    return p->children[child].report;
}

int64_t pipeline_cpu_us(const pipeline_t *p, part_t part)
{
    int64_t sum_us = 0;
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++)
        sum_us += p->children[i].part == part ? supervisor_child(p->supervisor, i).cpu_us : 0;
    return sum_us;
}

int64_t pipeline_rss_kb(const pipeline_t *p, part_t part)
{
    int64_t max_kb = 0;
    for (uint32_t i = 0; i < supervisor_count(p->supervisor); i++) {
        int64_t kb = p->children[i].part == part ? supervisor_child(p->supervisor, i).rss_kb : 0;
        max_kb = kb > max_kb ? kb : max_kb;
    }
    return max_kb;
}

/* restart-exec: restarts hosts by a command of the configuration, one for each: ssh, ipmitool, a script.
 *
 *   --exec           restarts it; what its exit means is said by --exec-exit
 *   --exec-observe   says what it is now: an id that another restart changes, and for how many seconds it is
 * up
 *   --exec-health    whether it is well: exit 0
 *
 * A command that was stopped, or ended by a signal, may have done what it was for or not. */
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "workers/restart/argv_template.h"
#include "workers/restart/exit_rules.h"
#include "workers/restart/jobs.h"
#include "workers/restart/program_path.h"
#include "workers/restart/runner.h"
#include "workers/restart/spawner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 16,
    KILL_AFTER_MS_MAX = 600000,
    /* What is told of an act, and of a look or a check: once.c has room for so much, and for its own words.
     */
    ACT_TEXT_BYTES = ONCE_TEXT_BYTES - 64,
    LOOK_TEXT_BYTES = ONCE_TEXT_BYTES / 2,
};

/* What commands are for. */
typedef enum { RESTARTS, OBSERVES, CHECKS, PURPOSES } purpose_t;

static const char *const flags[PURPOSES] = {
    [RESTARTS] = "exec", [OBSERVES] = "exec-observe", [CHECKS] = "exec-health"};

typedef struct {
    argv_template_t *words; /* NULL: there is none */
    char *path;
} order_t;

/* One command at work. */
typedef struct {
    purpose_t purpose;
    spawned_t *program;
} job_t;

typedef struct {
    order_t commands[PURPOSES];
    exit_rules_t exits;
    spawner_t *spawner;
    jobs_t jobs;
    driver_tell_t tell;
    void *tell_arg;
} exec_self_t;

static const config_option_t options[] = {
    {.name = "exec",
     .type = CONFIG_TEXT,
     .argument = "COMMAND",
     .help =
         "restart-exec: what restarts a host, without a shell: words, of which {host} {instance} {id} {try} "
         "{boot_id} are replaced"},
    {.name = "exec-observe",
     .type = CONFIG_TEXT,
     .argument = "COMMAND",
     .help =
         "restart-exec: what tells whether a host was restarted: says a word that each restart changes, and "
         "then, if it knows, for how many seconds the host is up"},
    {.name = "exec-health",
     .type = CONFIG_TEXT,
     .argument = "COMMAND",
     .help = "restart-exec: what tells whether a restarted host is well: exits with 0"},
    {.name = "exec-exit",
     .type = CONFIG_LIST,
     .argument = "CODE[-CODE]=OUTCOME",
     .help =
         "restart-exec: what an exit of --exec means: ok, transient or permanent (nothing was restarted) or "
         "unknown (default: 0=ok, 124=unknown, 128-255=unknown, others transient)",
     .reloads = true},
    {.name = "exec-kill-after",
     .type = CONFIG_DURATION,
     .fallback = "5s",
     .argument = "TIME",
     .max = KILL_AFTER_MS_MAX,
     .help = "restart-exec: so long before the end of its time a command gets SIGTERM, at the end SIGKILL"},
};

/* --- what the options say --- */

static int read_exits(exit_rules_t *ret, const config_t *config, char *why)
{
    const char *const *rules;
    size_t bad = 0;
    char shown[64];
    const size_t n = config_list(config, "exec-exit", &rules);
    if (exit_rules_parse(ret, rules, n, &bad) == 0)
        return 0;
    snprintf(
        why, WHY_BYTES,
        "%s: '%s' is no rule; expected CODE=OUTCOME or CODE-CODE=OUTCOME, codes 0 to 255, the outcome ok, "
        "transient, permanent or unknown",
        config_origin(config, "exec-exit"), text_escape(rules[bad], strlen(rules[bad]), shown, sizeof shown));
    return -ERANGE;
}

static int exec_reload(void *self, const config_t *config, bool check, char *why)
{
    exec_self_t *e = self;
    exit_rules_t exits;
    const int error = read_exits(&exits, config, why);
    if (error == 0 && !check)
        e->exits = exits;
    return error;
}

static int read_command(order_t *ret, const config_t *config, purpose_t purpose, char *why)
{
    const char *flag = flags[purpose];
    const char *text = config_text(config, flag);
    char what[WHY_BYTES];
    if (text == NULL)
        return 0;
    const int error = argv_template_parse(&ret->words, text, what);
    if (error != 0)
        snprintf(why, WHY_BYTES, "%.60s: %.*s", config_origin(config, flag), WHY_BYTES - 64, what);
    return error == -EINVAL ? -ERANGE : error;
}

static int find_program(order_t *c, const config_t *config, purpose_t purpose, char *why)
{
    char what[WHY_BYTES];
    const int error = c->words != NULL ? program_find(argv_template_program(c->words), &c->path, what) : 0;
    if (error != 0)
        snprintf(why, WHY_BYTES, "%.60s: %.*s", config_origin(config, flags[purpose]), WHY_BYTES - 64, what);
    return error;
}

/* What only together makes sense. */
static int check_commands(const exec_self_t *e, char *why)
{
    const order_t *c = e->commands;
    if (c[RESTARTS].words == NULL) {
        snprintf(why, WHY_BYTES,
                 "--exec is missing: restart-exec needs a command, as in --exec 'ssh {host} sudo systemctl "
                 "reboot'");
        return -ERANGE;
    }
    for (purpose_t p = OBSERVES; p < PURPOSES; p++) {
        if (c[p].words == NULL || !argv_template_uses(c[p].words, VALUE_BOOT_ID))
            continue;
        snprintf(why, WHY_BYTES,
                 "--%s: {boot_id} is for --exec alone: it is what --exec-observe saw before it", flags[p]);
        return -ERANGE;
    }
    if (c[OBSERVES].words != NULL || !argv_template_uses(c[RESTARTS].words, VALUE_BOOT_ID))
        return 0;
    snprintf(why, WHY_BYTES, "--exec: {boot_id} is what --exec-observe sees, and there is no --exec-observe");
    return -ERANGE;
}

/* --- open and close --- */

static void exec_close(void **self)
{
    exec_self_t *e = *self;
    if (e == NULL)
        return;
    spawner_destroy(&e->spawner);
    for (uint32_t n = 0; n < e->jobs.capacity; n++)
        free(jobs_get(&e->jobs, n));
    jobs_done(&e->jobs);
    for (purpose_t p = RESTARTS; p < PURPOSES; p++) {
        argv_template_destroy(&e->commands[p].words);
        free(e->commands[p].path);
    }
    free(e);
    *self = NULL;
}

static void ended(void *arg, uint32_t number, const spawn_end_t *end);

static int exec_open(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                     char *why)
{
    const uint32_t slots = config_given(config, "slots") ? (uint32_t)config_int(config, "slots") : SLOTS;
    exec_self_t *e = calloc(1, sizeof *e);
    void *self = e;
    (void)check;
    if (e == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    e->tell = tell;
    e->tell_arg = arg;
    jobs_init(&e->jobs);
    int error = read_exits(&e->exits, config, why);
    for (purpose_t p = RESTARTS; error == 0 && p < PURPOSES; p++)
        error = read_command(&e->commands[p], config, p, why);
    if (error == 0)
        error = check_commands(e, why);
    /* Of the machine, not of what was written: last. */
    for (purpose_t p = RESTARTS; error == 0 && p < PURPOSES; p++)
        error = find_program(&e->commands[p], config, p, why);
    if (error == 0)
        error = spawner_new(&e->spawner, slots, config_int(config, "exec-kill-after"), ended, e, why);
    if (error != 0) {
        exec_close(&self);
        return error;
    }
    *ret_self = self;
    return 0;
}

static void exec_traits(const void *self, driver_traits_t *ret)
{
    const exec_self_t *e = self;
    *ret = (driver_traits_t){.observes = e->commands[OBSERVES].words != NULL,
                             .checks = e->commands[CHECKS].words != NULL};
}

/* --- what came of a command --- */

/* "exit 3: what it said", "killed by SIGTERM after 25 s: ..." */
static void describe(const spawn_end_t *end, char *text, size_t size)
{
    char how[64], after[32];
    snprintf(after, sizeof after, " after %.*f s", end->ms < 10000 ? 1 : 0, (double)end->ms / 1000);
    if (end->signal > 0)
        snprintf(how, sizeof how, "killed by SIG%s%s", spawner_signal(end->signal), after);
    else if (end->signal < 0)
        snprintf(how, sizeof how, "not even ended by SIGKILL%s", after);
    else
        snprintf(how, sizeof how, "%sexit %d%s", end->stopped ? "stopped: " : "", end->code,
                 end->stopped ? after : "");
    const excerpt_t *said = end->err->len > 0 ? end->err : end->out;
    const size_t len = (size_t)snprintf(text, size, "%s%s", how, said->len > 0 ? ": " : "");
    excerpt_text(said, text + len, size - len);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next word of what was said; its length, 0: there is none, or it is not whole. */
static size_t next_word(const excerpt_t *out, size_t *at, const char **ret)
{
    const size_t len = out->len < EXCERPT_FIRST_BYTES ? (size_t)out->len : EXCERPT_FIRST_BYTES;
    size_t from = *at;
    while (from < len && is_blank(out->first[from]))
        from++;
    size_t end = from;
    while (end < len && !is_blank(out->first[end]))
        end++;
    *at = end;
    *ret = out->first + from;
    return end == EXCERPT_FIRST_BYTES && out->len > end ? 0 : end - from;
}

/* "12345.67", as in /proc/uptime. */
static bool read_seconds(const char *text, size_t len, int64_t *ret_ms)
{
    int64_t ms = 0, unit = 1000;
    bool fraction = false, digits = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && digits && !fraction) {
            fraction = true;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || ms > INT64_MAX / 100)
            return false;
        digits = true;
        unit = fraction ? unit / 10 : unit;
        ms = fraction ? ms + (text[i] - '0') * unit : ms * 10 + (text[i] - '0') * unit;
    }
    *ret_ms = ms;
    return digits;
}

/* What it is, or why it cannot be told from what was said. */
static const char *read_seen(const excerpt_t *out, observation_t *ret)
{
    const char *word;
    size_t at = 0;
    *ret = (observation_t){.up_ms = -1};
    const size_t len = next_word(out, &at, &word);
    if (len == 0 || len > OBSERVATION_ID_MAX)
        return "its first word is no id of 1 to 64 characters";
    memcpy(ret->id, word, len);
    /* An id is handed to --exec, where it must not be taken for an option. */
    if (strlen(ret->id) != len || !observation_id_check(ret->id) || strchr("-+._:", ret->id[0]) != NULL)
        return "its first word is no id of letters, digits and . _ : + -";
    const size_t seconds_len = next_word(out, &at, &word);
    if (seconds_len > 0 && !read_seconds(word, seconds_len, &ret->up_ms))
        return "its second word is not for how many seconds the host is up";
    return NULL;
}

static void tell_looked(const exec_self_t *e, uint32_t number, const spawn_end_t *end)
{
    char text[LOOK_TEXT_BYTES];
    look_t look = {.how = LOOK_FAILED, .text = text};
    const bool good = end->code == 0 && !end->stopped;
    const char *fault = good ? read_seen(end->out, &look.seen) : NULL;
    if (!good) {
        describe(end, text, sizeof text);
    } else if (fault != NULL) {
        const size_t len = (size_t)snprintf(text, sizeof text, "%s: ", fault);
        excerpt_text(end->out, text + len, sizeof text - len);
    } else {
        look.how = LOOK_SEEN;
        look.text = "";
    }
    e->tell(e->tell_arg, number, &(driver_told_t){.looked = &look});
}

static void tell_acted(const exec_self_t *e, uint32_t number, const spawn_end_t *end)
{
    static const acted_t acted[] = {
        [EXIT_OK] = {.how = ACTED_DONE},
        [EXIT_TRANSIENT] = {.how = ACTED_NOT, .outcome = OUTCOME_TRANSIENT},
        [EXIT_PERMANENT] = {.how = ACTED_NOT, .outcome = OUTCOME_PERMANENT},
        [EXIT_UNKNOWN] = {.how = ACTED_UNKNOWN},
    };
    char text[ACT_TEXT_BYTES];
    acted_t a = acted[end->stopped ? EXIT_UNKNOWN : exit_rules_meaning(&e->exits, end->code)];
    describe(end, text, sizeof text);
    a.text = text;
    e->tell(e->tell_arg, number, &(driver_told_t){.acted = &a});
}

static void tell_checked(const exec_self_t *e, uint32_t number, const spawn_end_t *end)
{
    char text[LOOK_TEXT_BYTES] = "";
    if (end->code != 0 || end->stopped)
        describe(end, text, sizeof text);
    e->tell(e->tell_arg, number, &(driver_told_t){.unwell = text});
}

static void ended(void *arg, uint32_t number, const spawn_end_t *end)
{
    exec_self_t *e = arg;
    job_t *j = jobs_get(&e->jobs, number);
    const purpose_t purpose = j->purpose;
    /* Before it is told: the next one for this task may begin in there. */
    jobs_set(&e->jobs, number, NULL);
    free(j);
    if (purpose == RESTARTS)
        tell_acted(e, number, end);
    else if (purpose == OBSERVES)
        tell_looked(e, number, end);
    else
        tell_checked(e, number, end);
}

/* --- commands --- */

static int fill(const order_t *c, const driver_call_t *call, char ***ret_argv)
{
    char id[MESSAGE_ID_TEXT], try_no[16];
    const body_t *b = &call->task->body;
    message_id_format(call->task->id, id);
    snprintf(try_no, sizeof try_no, "%" PRIu32, call->task->try_no);
    const argv_values_t values = {.of = {[VALUE_HOST] = {b->host, b->host_len},
                                         [VALUE_INSTANCE] = {b->instance, b->instance_len},
                                         [VALUE_ID] = {id, strlen(id)},
                                         [VALUE_TRY] = {try_no, strlen(try_no)},
                                         [VALUE_BOOT_ID] = {call->observed, strlen(call->observed)}}};
    return argv_template_fill(c->words, &values, ret_argv);
}

static int begin(exec_self_t *e, purpose_t purpose, const driver_call_t *call)
{
    const order_t *c = &e->commands[purpose];
    char **argv = NULL;
    job_t *j = jobs_reserve(&e->jobs, call->number) == 0 ? malloc(sizeof *j) : NULL;
    int error = j != NULL ? fill(c, call, &argv) : -ENOMEM;
    if (error == 0) {
        const spawn_order_t order = {
            .path = c->path, .argv = argv, .until_ms = call->until_ms, .apart = purpose == OBSERVES};
        j->purpose = purpose;
        error = spawner_begin(e->spawner, &order, call->number, &j->program);
        free(argv);
    }
    if (error != 0) {
        log_limited(LOG_WARN, "%s cannot be run: %s", c->path, strerror(-error));
        free(j);
        return error;
    }
    jobs_set(&e->jobs, call->number, j);
    return 0;
}

static int exec_observe(void *self, const driver_call_t *call)
{
    return begin(self, OBSERVES, call);
}

static int exec_act(void *self, const driver_call_t *call)
{
    return begin(self, RESTARTS, call);
}

static int exec_check(void *self, const driver_call_t *call)
{
    return begin(self, CHECKS, call);
}

static void exec_cancel(void *self, uint32_t number)
{
    exec_self_t *e = self;
    job_t *j = jobs_get(&e->jobs, number);
    spawner_drop(e->spawner, &j->program);
    jobs_set(&e->jobs, number, NULL);
    free(j);
}

static int exec_go_on(void *self, int64_t now_ms, const char **ret_why)
{
    exec_self_t *e = self;
    (void)now_ms;
    (void)ret_why;
    spawner_go_on(e->spawner);
    return 0;
}

static void exec_await(const void *self, worker_wait_t *ret)
{
    const exec_self_t *e = self;
    *ret = (worker_wait_t){.fd = spawner_fd(e->spawner), .due_ms = spawner_due_ms(e->spawner)};
}

static const driver_t exec_driver = {
    .open = exec_open,
    .reload = exec_reload,
    .close = exec_close,
    .traits = exec_traits,
    .observe = exec_observe,
    .act = exec_act,
    .check = exec_check,
    .cancel = exec_cancel,
    .go_on = exec_go_on,
    .await = exec_await,
};

static int open_kind(void **ret_self, const config_t *config, bool check, char *why)
{
    return runner_open(ret_self, &exec_driver, config, check, why);
}

const worker_kind_t restart_exec = {
    .name = "restart-exec",
    .summary = "restarts hosts by a command for each: ssh, ipmitool, a script",
    RUNNER_KIND,
    .slots = SLOTS,
    .options = options,
    .options_count = sizeof options / sizeof options[0],
    .open = open_kind,
};

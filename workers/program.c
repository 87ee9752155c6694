/* The program: options of its own and of every kind, the chosen kind, and the runtime. */
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "common/runtime/wire.h"
#include "workers/last_words.h"
#include "workers/runtime.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    OPTIONS_MAX = 128,
    KINDS_TEXT = 2048,
    BATCH_MAX = WINDOW_MAX / 4,
    /* A batch is at work, one is being answered, one or two are on their way; the others wait, so that what
     * the other legs may hold is not bounded by this one. */
    WINDOW_BATCHES = 16,
    THREADS_MAX = 4096,
};

static const config_option_t own_options[] = {
    {.name = "kind", .type = CONFIG_TEXT, .argument = "KIND", .help = "what this worker does (see below)"},
    {.name = "consumer",
     .type = CONFIG_LIST,
     .fallback = "tcp://127.0.0.1:5556",
     .argument = "ENDPOINT",
     .help = "a consumer to work for; a name stands for all its addresses"},
    {.name = "name",
     .type = CONFIG_TEXT,
     .argument = "NAME",
     .help = "what people call this worker, in logs and in the history of tries (default: HOST:PID)"},
    {.name = "slots",
     .type = CONFIG_INT,
     .argument = "N",
     .min = 1,
     .max = WINDOW_MAX,
     .help = "tasks at work at once, for kinds that work on single tasks (default: the kind's)"},
    {.name = "batch",
     .type = CONFIG_INT,
     .argument = "N",
     .min = 1,
     .max = BATCH_MAX,
     .help = "most tasks of one batch, for kinds that work in batches (default: the kind's)"},
    {.name = "drain-timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "how long to finish what is in flight after SIGTERM",
     .reloads = true},
    {.name = "report",
     .type = CONFIG_TEXT,
     .fallback = "text",
     .choices = "text|json|none",
     .help = "what to tell at the end"},
    {.name = "announce",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write ready=1 here when connected"},
    {.name = "health-file",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "write a sign of life here each second, for mandrill health"},
    {.name = "log-messages",
     .type = CONFIG_FLAG,
     .fallback = "false",
     .help = "a log line for each message",
     .reloads = true},
};

typedef struct {
    config_option_t options[OPTIONS_MAX];
    size_t count;
    char kinds[KINDS_TEXT];    /* for --kind's choices */
    char examples[KINDS_TEXT]; /* with a line for each kind */
} table_t;

/* What is cut off here would be missing in --help: then the limits above are to be raised. */
static void append(char *text, const char *format, const char *a, const char *b)
{
    const size_t len = strlen(text);
    const int more = snprintf(text + len, KINDS_TEXT - len, format, a, b);
    assert(more >= 0 && (size_t)more < KINDS_TEXT - len);
}

static void add_options(table_t *t, const config_option_t *options, size_t count)
{
    assert(t->count + count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        t->options[t->count++] = options[i];
}

/* Whether a kind before this one has the same shared options. */
static bool are_in_table(size_t kind)
{
    for (size_t i = 0; i < kind; i++)
        if (worker_kinds[i]->shared == worker_kinds[kind]->shared)
            return true;
    return false;
}

/* The options of all kinds stand in one table: --help shows them, and the environment may set them for all
 * workers. */
static void build_table(table_t *t)
{
    const size_t own = sizeof own_options / sizeof own_options[0];
    memcpy(t->options, own_options, sizeof own_options);
    t->count = own;
    t->kinds[0] = '\0';
    t->examples[0] = '\0';
    for (size_t i = 0; worker_kinds[i] != NULL; i++) {
        const worker_kind_t *k = worker_kinds[i];
        append(t->kinds, "%s%s", i > 0 ? "|" : "", k->name);
        append(t->examples, "  mandrill-worker --kind %-18s %s\n", k->name, k->summary);
        add_options(t, k->options, k->options_count);
        if (k->shared_count > 0 && !are_in_table(i))
            add_options(t, k->shared, k->shared_count);
    }
    t->options[0].choices = t->kinds;
}

static const worker_kind_t *find_kind(const char *name)
{
    for (size_t i = 0; worker_kinds[i] != NULL; i++)
        if (strcmp(worker_kinds[i]->name, name) == 0)
            return worker_kinds[i];
    return NULL;
}

static bool has_option(const worker_kind_t *k, const char *name)
{
    for (size_t i = 0; i < k->options_count; i++)
        if (strcmp(k->options[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < k->shared_count; i++)
        if (strcmp(k->shared[i].name, name) == 0)
            return true;
    return false;
}

static int refuse_foreign_flag(const config_t *c, const char *name, const worker_kind_t *chosen)
{
    char why[KINDS_TEXT + WHY_BYTES], kinds[KINDS_TEXT] = "";
    for (size_t i = 0; worker_kinds[i] != NULL; i++)
        if (has_option(worker_kinds[i], name))
            append(kinds, "%s%s", kinds[0] != '\0' ? ", " : "", worker_kinds[i]->name);
    snprintf(why, sizeof why, "is an option of --kind %s, not of %s", kinds, chosen->name);
    return config_refuse(c, name, why);
}

/* A flag of another kind than the chosen one does nothing, which its user does not expect. */
static int check_foreign_flags(const config_t *c, const table_t *t, const worker_kind_t *chosen)
{
    for (size_t i = sizeof own_options / sizeof own_options[0]; i < t->count; i++) {
        const char *name = t->options[i].name;
        if (!has_option(chosen, name) && config_given(c, name) &&
            strncmp(config_origin(c, name), "--", 2) == 0)
            return refuse_foreign_flag(c, name, chosen);
    }
    return 0;
}

static int check_consumers(const config_t *c)
{
    const char *const *endpoints;
    const size_t n = config_list(c, "consumer", &endpoints);
    char why[WHY_BYTES];
    for (size_t i = 0; i < n; i++) {
        if (endpoint_check(endpoints[i], why) != 0) {
            return config_refuse(c, "consumer", why);
        }
    }
    return 0;
}

/* It stands in log lines and goes to consumers. */
static int check_name(const config_t *c)
{
    const char *name = config_text(c, "name");
    const size_t len = name != NULL ? strlen(name) : 0;
    bool good = name == NULL || (len > 0 && len <= LABEL_BYTES_MAX);
    for (size_t i = 0; good && i < len; i++)
        good = name[i] > ' ' && name[i] <= '~';
    if (good)
        return 0;
    char shown[LABEL_BYTES_MAX * 2], why[WHY_BYTES];
    snprintf(why, sizeof why, "'%.80s' is no name; expected 1 to %d printable ASCII characters, no space",
             text_escape(name, len, shown, sizeof shown), LABEL_BYTES_MAX);
    return config_refuse(c, "name", why);
}

/* The chosen kind, or NULL when something is wrong and has been told. */
static const worker_kind_t *check_usage(const config_t *c, const table_t *t)
{
    const char *name = config_text(c, "kind");
    if (name == NULL) {
        char why[KINDS_TEXT + WHY_BYTES];
        snprintf(why, sizeof why, "is missing; one of %s", t->kinds);
        config_refuse(c, "kind", why);
        return NULL;
    }
    const worker_kind_t *kind = find_kind(name);
    if (kind == NULL || check_foreign_flags(c, t, kind) != 0 || check_consumers(c) != 0 || check_name(c) != 0)
        return NULL;
    if (kind->executor == EXECUTOR_THREADS && config_given(c, "slots") &&
        config_int(c, "slots") > THREADS_MAX) {
        char why[WHY_BYTES];
        snprintf(why, sizeof why, "at most %d, each is a thread of its own", THREADS_MAX);
        config_refuse(c, "slots", why);
        return NULL;
    }
    return kind;
}

static uint32_t batches(uint32_t rows)
{
    return rows < WINDOW_MAX / WINDOW_BATCHES ? rows * WINDOW_BATCHES : WINDOW_MAX;
}

static void fill_options(runtime_options_t *o, const config_t *c, const worker_kind_t *kind)
{
    const bool batch = kind->executor == EXECUTOR_BATCH;
    const char *size = batch ? "batch" : "slots";
    o->kind = kind;
    o->slots = config_given(c, size) ? (uint32_t)config_int(c, size) : kind->slots;
    o->window = batch ? batches(o->slots) : o->slots;
    o->name = config_text(c, "name");
    o->drain_ms = config_int(c, "drain-timeout");
    o->announce = config_text(c, "announce");
    o->health = config_text(c, "health-file");
    o->report = config_text(c, "report");
    o->log_messages = config_flag(c, "log-messages");
    o->consumers_count = config_list(c, "consumer", &o->consumers);
}

/* For SIGHUP. */
typedef struct {
    config_t *config;
    const table_t *table;
    void *self; /* the kind's */
} reloading_t;

static int check_again(void *arg, const config_t *fresh)
{
    const reloading_t *r = arg;
    const worker_kind_t *kind = check_usage(fresh, r->table);
    char why[WHY_BYTES] = "";
    if (kind == NULL)
        return -EINVAL;
    /* Another kind is for the next start. */
    if (kind->reload == NULL || strcmp(kind->name, config_text(r->config, "kind")) != 0)
        return 0;
    const int error = kind->reload(r->self, fresh, true, why);
    if (error != 0)
        log_error("configuration: %s", why);
    return error;
}

static void reload(void *arg, runtime_options_t *o)
{
    reloading_t *r = arg;
    char why[WHY_BYTES];
    if (config_reload(r->config, check_again, r) < 0)
        return;
    o->drain_ms = config_int(r->config, "drain-timeout");
    o->log_messages = config_flag(r->config, "log-messages");
    /* Also when nothing has changed: a file that an option names may be another one. */
    if (o->kind->reload != NULL && o->kind->reload(o->self, r->config, false, why) != 0)
        log_error("configuration: %s", why);
}

static int run(config_t *c, const worker_kind_t *kind, const table_t *table, bool check, int signals,
               bool *ret_stuck)
{
    char why[WHY_BYTES] = "";
    reloading_t reloading = {.config = c, .table = table};
    runtime_options_t options = {.reload = reload, .reload_arg = &reloading};
    fill_options(&options, c, kind);
    if (!check)
        notify_open();
    const int error = kind->open(&options.self, c, check, why);
    if (error != 0) {
        fprintf(stderr, "mandrill-worker: %s\n", why);
        return error == -ERANGE ? EXIT_USAGE : EXIT_FAILURE;
    }
    reloading.self = options.self;
    int code = check ? EXIT_SUCCESS : runtime_run(&options, signals, ret_stuck);
    if (*ret_stuck)
        return code;
    if (!check && kind->finish != NULL && kind->finish(options.self) < 0)
        code = EXIT_FAILURE;
    kind->close(&options.self);
    return code;
}

/* "restart: ...", with a name "restart web-7: ..."; "restart-2: ..." says it alone. */
static void open_log(const config_t *c, const worker_kind_t *kind, log_level_t level)
{
    const char *name = config_text(c, "name");
    char shown[NAME_BYTES_MAX + LABEL_BYTES_MAX + 2];
    bool alone = name != NULL && strncmp(name, kind->leg, strlen(kind->leg)) == 0;
    snprintf(shown, sizeof shown, "%s%s%s", alone ? "" : kind->leg, name != NULL && !alone ? " " : "",
             name != NULL ? name : "");
    log_open(shown, level);
}

int worker_main(int argc, char **argv)
{
    static table_t table;
    const int signals = signals_open();
    if (signals < 0) {
        fprintf(stderr, "mandrill-worker: cannot watch signals: %s\n", strerror(-signals));
        return EXIT_FAILURE;
    }
    last_words_open();
    build_table(&table);
    const config_program_t program = {.name = "mandrill-worker",
                                      .section = "worker",
                                      .summary = "Does the work of one leg: saves messages, restarts hosts.",
                                      .arguments = "--kind KIND [options]",
                                      .examples = table.examples,
                                      .options = table.options,
                                      .options_count = table.count};
    static config_t *config; /* a stuck thread may still look into it when this returns */
    bool stuck = false;
    const int loaded = config_load(&config, &program, argc, argv);
    if (loaded == CONFIG_EXIT)
        return EXIT_SUCCESS;
    if (loaded < 0)
        return EXIT_USAGE;
    const worker_kind_t *kind = check_usage(config, &table);
    int code = EXIT_USAGE;
    if (kind != NULL) {
        log_level_t level = LOG_INFO;
        log_level_parse(config_text(config, "log-level"), &level);
        open_log(config, kind, level);
        code = run(config, kind, &table, loaded == CONFIG_CHECK, signals, &stuck);
    }
    /* exit() would take locks and run handlers under the feet of the thread that is still at work. What was
     * to be said has been said. */
    if (stuck)
        _exit(code);
    config_destroy(&config);
    return code;
}

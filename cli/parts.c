#include "cli/parts.h"
#include "cli/command.h"
#include "cli/oneshot.h"
#include "cli/siblings.h"
#include "common/runtime/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { PORT_LEASES = 5555, PORT_TASKS = 5556, PORT_CLIENTS = 5557, PORT_CONTROL = 5558 };

static const struct {
    const char *name;
    const char *program;
    const char *kind; /* of a worker */
    const char *file_flag, *file;
} parts[PARTS] = {
    [PART_PUBLISHER] = {"publisher", "mandrill-publisher", NULL, "--outbox", "outbox.db"},
    [PART_CONSUMER] = {"consumer", "mandrill-consumer", NULL, NULL, NULL},
    [PART_SAVE] = {"save", "mandrill-worker", "save-sqlite", "--database", "saved.db"},
    [PART_RESTART] = {"restart", "mandrill-worker", "restart-simulate", NULL, NULL},
};

/* A save worker of a server has no file. */
static bool has_file(const pipeline_settings_t *s, part_t part)
{
    return parts[part].file_flag && !(part == PART_SAVE && s->postgres);
}

static const char *kind(const pipeline_settings_t *s, part_t part)
{
    return part == PART_SAVE && s->postgres ? "save-postgres" : parts[part].kind;
}

const char *part_name(part_t part)
{
    return parts[part].name;
}

const char *part_program(part_t part)
{
    return parts[part].program;
}

int part_add_words(args_t *args, const pipeline_settings_t *s, part_t part)
{
    int r = siblings_add(args, parts[part].program);
    if (r < 0)
        return r;
    if (parts[part].kind) {
        args_add(args, "--kind");
        args_add(args, "%s", kind(s, part));
    }
    if (has_file(s, part)) {
        args_add(args, "%s", parts[part].file_flag);
        args_add(args, "%s/%s", s->data_dir, parts[part].file);
    }
    args_add(args, "--report");
    args_add(args, "json");
    args_add(args, "--drain-timeout");
    args_add(args, "%" PRId64 "ms", s->drain_ms + (part == PART_PUBLISHER ? PUBLISHER_STAYS_MS : 0));
    args_append(args, &s->more[part]);
    args->secrets = part == PART_SAVE && s->postgres;
    return 0;
}

static void add_endpoint(args_t *args, const pipeline_settings_t *s, const char *flag, const char *name,
                         uint32_t number, int port)
{
    args_add(args, "%s", flag);
    if (s->ipc)
        args_add(args, "ipc://%s/%s-%" PRIu32 ".ipc", s->run_dir, name, number);
    else
        args_add(args, "tcp://127.0.0.1:%d", s->default_ports && number == 1 ? port : 0);
}

void part_add_endpoints(args_t *args, const pipeline_settings_t *s, part_t part, uint32_t number)
{
    if (part == PART_PUBLISHER) {
        add_endpoint(args, s, "--listen", "leases", number, PORT_LEASES);
        add_endpoint(args, s, "--clients", "clients", number, PORT_CLIENTS);
    } else if (part == PART_CONSUMER) {
        add_endpoint(args, s, "--listen", "tasks", number, PORT_TASKS);
        add_endpoint(args, s, "--control", "control", number, PORT_CONTROL);
    }
}

static void tell(void *arg, child_stream_t stream, const char *text, size_t len)
{
    (void)arg;
    (void)stream;
    fprintf(stderr, "%.*s\n", (int)len, text);
}

static int check(const pipeline_settings_t *s, part_t part)
{
    args_t args;
    args_init(&args);
    int r = part_add_words(&args, s, part);
    if (r == 0) {
        part_add_endpoints(&args, s, part, 1);
        args_add(&args, "-n");
        r = oneshot(&args, tell, NULL);
    }
    args_done(&args);
    if (r == 0)
        return EXIT_OK;
    if (r < 0)
        log_error("%s can't be started: %s", parts[part].program, strerror(-r));
    return r > 0 && WIFEXITED(r) ? WEXITSTATUS(r) : EXIT_FAILED;
}

int parts_check(const pipeline_settings_t *s)
{
    int exit_status = EXIT_OK;
    for (part_t part = 0; part < PARTS && exit_status == EXIT_OK; part++) {
        if (s->counts[part] > 0)
            exit_status = check(s, part);
    }
    return exit_status;
}

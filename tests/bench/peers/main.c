/* The program of every peer: arguments, a directory, one run, its report. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "common/runtime/folder.h"
#include "common/runtime/log.h"
#include "tests/bench/peers/run.h"
#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, OPTIONS_MAX = 24, FOLDERS_OPEN = 16 };

static const config_option_t common[] = {
    {.name = "count",
     .type = CONFIG_INT,
     .fallback = "500000",
     .argument = "N",
     .help = "how many messages",
     .min = 1,
     .max = 100000000},
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
     .min = BODY_MIN,
     .max = BODY_MAX},
    {.name = "in-flight",
     .type = CONFIG_INT,
     .fallback = "16384",
     .argument = "N",
     .help = "messages published and not acked by both groups, at most",
     .min = 1,
     .max = IN_FLIGHT_MAX},
    {.name = "data",
     .type = CONFIG_TEXT,
     .argument = "DIR",
     .help = "make the run's directory in this one (default: TMPDIR, or /tmp); it is removed at the end"},
    {.name = "json", .type = CONFIG_FLAG, .help = "as of `mandrill bench`: there is no other form"},
};
enum { COMMON = sizeof(common) / sizeof(common[0]) };

void peer_arg(peer_run_t *run, const char *format, ...)
{
    va_list more;
    assert(run->args_count < SERVER_ARGS_MAX);
    va_start(more, format);
    vsnprintf(run->args[run->args_count++], sizeof(run->args[0]), format, more);
    va_end(more);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status, (void)type, (void)where;
    return remove(path);
}

/* 0: the directory is there, and the current one. */
static int make_dir(peer_run_t *run)
{
    const char *data = config_text(run->config, "data");
    const char *tmp = getenv("TMPDIR");
    if (!data)
        data = tmp && *tmp ? tmp : "/tmp";
    const int n = snprintf(run->dir, sizeof(run->dir), "%s/mandrill-peer-XXXXXX", data);
    int r = n > 0 && (size_t)n < sizeof(run->dir) ? 0 : -ENAMETOOLONG;
    if (r == 0 && config_given(run->config, "data"))
        r = folder_make(data);
    if (r == 0 && (!mkdtemp(run->dir) || chdir(run->dir) < 0 || !getcwd(run->dir, sizeof(run->dir))))
        r = -errno;
    if (r < 0)
        log_error("%s: %s", data, strerror(-r));
    return r;
}

static int fill(peer_run_t *run)
{
    const config_t *c = run->config;
    run->count = (uint64_t)config_int(c, "count");
    run->rate = config_text(c, "rate") ? config_real(c, "rate") : 0;
    run->size_bytes = (uint32_t)config_int(c, "size");
    run->in_flight = (uint32_t)config_int(c, "in-flight");
    run->ipc = strcmp(config_text(c, "transport"), "ipc") == 0;
    run->port = server_free_port();
    int r = run->port > 0 ? tally_new(&run->tally, run->count) : run->port;
    if (r < 0)
        log_error("no port or no memory: %s", strerror(-r));
    return r;
}

static int run_and_report(const peer_t *peer, const config_t *config)
{
    static peer_run_t run;
    run_result_t result;
    run.config = config;
    if (fill(&run) < 0)
        return EXIT_FAILED;
    int r = make_dir(&run);
    if (r == 0) {
        r = run_peer(peer, &run, &result);
        nftw(run.dir, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
    }
    if (r == 0)
        run_report(peer, &run, &result, stdout);
    tally_destroy(&run.tally);
    return r == 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

int peer_main(const peer_t *peer, int argc, char **argv)
{
    config_option_t options[OPTIONS_MAX];
    config_program_t program = peer->program;
    config_t *config;
    memcpy(options, common, sizeof(common));
    memcpy(options + COMMON, peer->program.options, peer->program.options_count * sizeof(options[0]));
    program.options = options;
    program.options_count = COMMON + peer->program.options_count;
    log_open(program.section, LOG_INFO);
    const int r = config_load(&config, &program, argc, argv);
    if (r == CONFIG_EXIT)
        return EXIT_OK;
    if (r < 0)
        return EXIT_USAGE;
    const int exit_status = r == CONFIG_CHECK ? EXIT_OK : run_and_report(peer, config);
    config_destroy(&config);
    return exit_status;
}

/* `mandrill health ROLE`: whether one program lives, in one line and an exit status, for whoever has to start
 * it again when it does not. */
#include "common/runtime/health.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/report.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { REPEAT_MS = 100 };

static const config_option_t options[] = {
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "of a publisher: where it serves clients"},
    {.name = "control",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5558",
     .argument = "EP",
     .help = "of a consumer: its control endpoint"},
    {.name = "health-file",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "look at the age of this file instead, which the program writes with the flag of this name"},
    {.name = "max-age",
     .type = CONFIG_DURATION,
     .fallback = "5s",
     .argument = "TIME",
     .help = "how old the sign of life in the file may be",
     .min = HEALTH_EVERY_MS,
     .max = 86400000},
    {.name = "timeout",
     .type = CONFIG_DURATION,
     .fallback = "2s",
     .argument = "TIME",
     .help = "how long to wait for an answer",
     .min = 1,
     .max = 86400000},
};

static const config_program_t program = {
    .name = "mandrill health",
    .section = "health",
    .summary =
        "Tells in one line whether a program lives: exit status 0 if so, 1 if not. A publisher or consumer "
        "is asked at its endpoint, or known by its health file; a worker has no endpoint and needs "
        "the file. What works is healthy, also while it drains, waits for a consumer or for its store.",
    .arguments = "[options] publisher|consumer|worker",
    .examples =
        "  mandrill health publisher\n"
        "  mandrill health consumer --control tcp://127.0.0.1:5558\n"
        "  mandrill-worker --kind save-sqlite --health-file /run/mandrill/health &\n"
        "  mandrill health worker --health-file /run/mandrill/health\n"
        "  mandrill health worker --health-file FILE --max-age 30s    a store whose commits take long\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .arguments_max = 1,
};

static int unhealthy(const char *role, const char *why)
{
    printf("%s is not healthy: %s\n", role, why);
    return EXIT_FAILED;
}

/* --- by its file --- */

static int look_at_file(const char *role, const char *path, int64_t max_age_ms)
{
    health_sign_t sign;
    char why[WHY_BYTES], age[HUMAN_TEXT], most[HUMAN_TEXT];
    int error = health_read(path, clock_ms(), &sign);
    if (error == -ENOENT)
        snprintf(why, sizeof why, "there is no %.100s: it does not run, or has no --health-file", path);
    else if (error == -EBADMSG)
        snprintf(why, sizeof why, "%.100s is no health file of a program that was started since the boot",
                 path);
    else if (error < 0)
        snprintf(why, sizeof why, "%.100s: %s", path, strerror(-error));
    else if (strcmp(sign.role, role) != 0)
        snprintf(why, sizeof why, "%.100s is of a %s", path, sign.role);
    else if (sign.age_ms > max_age_ms)
        snprintf(why, sizeof why, "no sign of life for %s (at most %s); then it said: %s",
                 human_duration(sign.age_ms, age), human_duration(max_age_ms, most), sign.state);
    else {
        printf("%s is healthy: %s\n", role, sign.state);
        return EXIT_OK;
    }
    return unhealthy(role, why);
}

/* --- by its answer --- */

static json_t *await_report(ask_t *ask, int64_t timeout_ms)
{
    const int64_t end_ms = clock_ms() + timeout_ms;
    zmq_pollitem_t item = {.socket = ask_socket(ask), .events = ZMQ_POLLIN};
    for (int64_t now_ms = clock_ms(); now_ms < end_ms; now_ms = clock_ms()) {
        ask_send(ask);
        zmq_poll(&item, 1, end_ms - now_ms < REPEAT_MS ? end_ms - now_ms : REPEAT_MS);
        json_t *report = ask_take(ask);
        if (report)
            return report;
    }
    return NULL;
}

static int judge(const char *role, const char *endpoint, const json_t *report)
{
    char why[WHY_BYTES];
    const char *answers = report_text(report, "role", "?");
    if (strcmp(answers, role) != 0) {
        snprintf(why, sizeof why, "a %.32s answers at %.100s", answers, endpoint);
        return unhealthy(role, why);
    }
    const bool publisher = strcmp(role, "publisher") == 0;
    printf("%s is healthy: %s%" PRId64 " messages in %s%s\n", role,
           report_int(report, "draining", 0) ? "draining, " : "",
           report_int(report, publisher ? "backlog" : "held", 0), publisher ? "the outbox" : "hand",
           report_int(report, "outbox_full", 0) ? ", which is full" : "");
    return EXIT_OK;
}

static int ask_program(const char *role, const char *endpoint, int64_t timeout_ms)
{
    ask_t *ask = NULL;
    char why[WHY_BYTES], time[HUMAN_TEXT];
    if (ask_open(&ask, endpoint, why) < 0)
        return unhealthy(role, why);
    json_t *report = await_report(ask, timeout_ms);
    int exit_status;
    if (report) {
        exit_status = judge(role, endpoint, report);
    } else {
        snprintf(why, sizeof why, "nobody answers at %.100s within %s", endpoint,
                 human_duration(timeout_ms, time));
        exit_status = unhealthy(role, why);
    }
    json_decref(report);
    ask_close(&ask);
    return exit_status;
}

/* --- the command --- */

static int run_health(const config_t *config, bool check)
{
    char why[WHY_BYTES];
    const char *const *words;
    const char *file = config_text(config, "health-file");
    if (config_arguments(config, &words) == 0)
        return command_usage(&program, "whose? publisher, consumer or worker");
    const char *role = words[0], *asked = NULL;
    if (strcmp(role, "publisher") == 0)
        asked = "clients";
    else if (strcmp(role, "consumer") == 0)
        asked = "control";
    else if (strcmp(role, "worker") != 0)
        return command_usage(&program, "\"%s\" is no role; one of publisher, consumer, worker", role);
    if (!file && !asked)
        return command_usage(&program, "a worker is known by its file: --health-file FILE, here and there");
    if (asked && endpoint_check(config_text(config, asked), why) < 0)
        return command_usage(&program, "%s: %s", config_origin(config, asked), why);
    if (check)
        return EXIT_OK;
    return file ? look_at_file(role, file, config_int(config, "max-age"))
                : ask_program(role, config_text(config, asked), config_int(config, "timeout"));
}

int command_health(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    exit_status = run_health(config, r == CONFIG_CHECK);
    config_destroy(&config);
    return exit_status;
}

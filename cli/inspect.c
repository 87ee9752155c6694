#include "cli/inspect.h"
#include "cli/oneshot.h"
#include "cli/report.h"
#include "cli/siblings.h"
#include "common/runtime/log.h"
#include <stdio.h>
#include <string.h>

static void on_line(void *arg, child_stream_t stream, const char *text, size_t len)
{
    json_t **report = arg;
    json_t *found = stream == CHILD_OUT ? report_parse(text, len) : NULL;
    if (found) {
        json_decref(*report);
        *report = found;
    } else {
        fprintf(stderr, "%.*s\n", (int)len, text);
    }
}

json_t *inspect_outbox(const char *data_dir)
{
    json_t *report = NULL;
    args_t args;
    args_init(&args);
    int r = siblings_add(&args, "mandrill-publisher");
    if (r == 0) {
        args_add(&args, "--inspect");
        args_add(&args, "--outbox");
        args_add(&args, "%s/outbox.db", data_dir);
        r = oneshot(&args, on_line, &report);
    }
    args_done(&args);
    if (r < 0)
        log_error("mandrill-publisher can't be started: %s", strerror(-r));
    if (r != 0) {
        json_decref(report);
        report = NULL;
    }
    return report;
}

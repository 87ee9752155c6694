#include "publisher/inspect.h"
#include "publisher/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print(outbox_t *outbox)
{
    metrics_t *m = malloc(sizeof *m);
    char *json = NULL;
    if (m) {
        metrics_init(m);
        metrics_text(m, "publisher", "role");
        metrics_text(m, MANDRILL_VERSION, "version");
        metrics_int(m, outbox_epoch(outbox), "epoch");
        report_outbox(outbox, m);
        json = metrics_json(m);
        free(m);
    }
    if (!json)
        return -ENOMEM;
    int r = printf("%s\n", json) < 0 || fflush(stdout) != 0 ? -EIO : 0;
    free(json);
    return r;
}

int inspect(const char *path, char *why)
{
    outbox_t *outbox;
    int r = access(path, F_OK) == 0 ? 0 : -errno; /* opening it would make it */
    if (r < 0) {
        snprintf(why, WHY_BYTES, "%.100s: %s", path, strerror(-r));
        return r;
    }
    r = outbox_open(&outbox, path, NULL, 0, INT64_MAX, why);
    if (r < 0)
        return r;
    r = print(outbox);
    if (r < 0)
        snprintf(why, WHY_BYTES, "the report can't be printed: %s", strerror(-r));
    outbox_close(&outbox, false);
    return r;
}

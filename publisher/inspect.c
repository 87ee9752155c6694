#include "publisher/inspect.h"
#include "publisher/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *inspect_json(outbox_t *outbox)
{
    metrics_t *m = malloc(sizeof *m);
    if (!m)
        return NULL;
    metrics_init(m);
    metrics_text(m, "publisher", "role");
    metrics_text(m, MANDRILL_VERSION, "version");
    metrics_int(m, outbox_epoch(outbox), "epoch");
    report_outbox(outbox, m);
    char *json = metrics_json(m);
    free(m);
    return json;
}

static int print(outbox_t *outbox)
{
    char *json = inspect_json(outbox);
    if (!json)
        return -ENOMEM;
    int r = printf("%s\n", json) < 0 || fflush(stdout) != 0 ? -EIO : 0;
    free(json);
    return r;
}

int inspect_open(outbox_t **ret, const char *path, int64_t max_bytes, char *why)
{
    if (access(path, F_OK) == 0) /* opening it would make it */
        return outbox_open(ret, path, NULL, 0, max_bytes, why);
    int r = -errno;
    snprintf(why, WHY_BYTES, "%.100s: %s", path, strerror(-r));
    return r;
}

int inspect(const char *path, char *why)
{
    outbox_t *outbox = NULL;
    int r = inspect_open(&outbox, path, INT64_MAX, why);
    if (r < 0)
        return r;
    r = print(outbox);
    if (r < 0)
        snprintf(why, WHY_BYTES, "the report can't be printed: %s", strerror(-r));
    outbox_close(&outbox, false);
    return r;
}

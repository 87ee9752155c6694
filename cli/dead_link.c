#include "cli/announced.h"
#include "cli/dead.h"
#include "cli/files.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/signals.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_MS = 100 /* how often a publisher of our own is looked after */ };

void dead_link_signals(dead_link_t *link)
{
    signals_event_t event;
    while ((event = signals_read(link->signals_fd)) != SIGNALS_NONE) {
        /* Its terminal is gone: nobody will see how it ends. */
        if (event == SIGNALS_STOP || event == SIGNALS_RELOAD)
            link->stopped = true;
        if (event == SIGNALS_STOP_NOW)
            link->stopped = link->hurried = true;
    }
}

static bool told_to_stop(void *arg)
{
    dead_link_t *link = arg;
    dead_link_signals(link);
    return link->stopped;
}

/* Where the letters of a directory are served: by the `mandrill up` that runs over it, or by a publisher of
 * our own. NULL: told. */
static const char *serve_dir(dead_link_t *link, const char *dir, announced_t *up)
{
    char outbox[PATH_MAX];
    announced_read(up, dir);
    if (up->clients[0])
        return up->clients;
    snprintf(outbox, sizeof(outbox), "%s/outbox.db", dir);
    pid_t owner = up->owner ? up->owner : lock_owner(outbox);
    if (owner != 0) {
        fprintf(stderr,
                "mandrill dead: %s is in use by process %ld: --clients EP asks a publisher that runs\n",
                outbox, (long)owner);
        return NULL;
    }
    return maintain_open(&link->maintain, dir, told_to_stop, link) == 0 ? maintain_endpoint(link->maintain)
                                                                        : NULL;
}

int dead_link_open(dead_link_t *link, const dead_settings_t *settings)
{
    char why[WHY_BYTES] = "out of memory";
    const char *endpoint = settings->endpoint;
    announced_t up;
    *link = (dead_link_t){.settings = settings, .signals_fd = signals_open()};
    if (link->signals_fd < 0) {
        log_error("signals can't be read: %s", strerror(-link->signals_fd));
        return -1;
    }
    if (settings->data_dir)
        endpoint = serve_dir(link, settings->data_dir, &up);
    if (!endpoint)
        return -1;
    if (letters_open(&link->letters, endpoint, settings->timeout_ms, why) == 0)
        return 0;
    fprintf(stderr, "mandrill dead: %s\n", why);
    return -1;
}

void dead_link_close(dead_link_t *link)
{
    letters_close(&link->letters);
    maintain_close(&link->maintain);
    if (link->signals_fd >= 0)
        close(link->signals_fd);
}

static void tell_failure(const dead_link_t *link, int r, const char *why)
{
    fprintf(stderr, "mandrill dead: %s\n", why);
    if (r == -ECONNREFUSED && !link->maintain)
        fputs("mandrill dead: is the publisher running? --clients EP names another, --data DIR looks into an "
              "outbox "
              "that nobody runs over\n",
              stderr);
    else if (r == -ETIMEDOUT)
        fputs("mandrill dead: --timeout TIME waits longer\n", stderr);
}

int dead_link_wait(dead_link_t *link, int64_t until_ms, answer_t *ret)
{
    char why[WHY_BYTES];
    for (;;) {
        int64_t slice_ms = clock_ms() + SLICE_MS;
        bool sliced = link->maintain && slice_ms < until_ms;
        int r = letters_wait(link->letters, link->signals_fd, sliced ? slice_ms : until_ms, ret, why);
        if (r < 0) {
            tell_failure(link, r, why);
            return -1;
        }
        if (r > 0)
            return 1;
        bool stopped = link->stopped, hurried = link->hurried;
        dead_link_signals(link);
        if (link->maintain && !maintain_turn(link->maintain)) {
            fputs("mandrill dead: the publisher that was started for this has ended\n", stderr);
            return -1;
        }
        if (clock_ms() >= until_ms || stopped != link->stopped || hurried != link->hurried)
            return 0;
    }
}

int dead_link_ask(dead_link_t *link, const dead_t *question, answer_t *ret)
{
    letters_put(link->letters, question);
    int r = 0;
    while (r == 0 && !link->stopped)
        r = dead_link_wait(link, INT64_MAX, ret);
    if (r == 0)
        fputs("mandrill dead: stopped\n", stderr);
    return r == 1 ? 0 : -1;
}

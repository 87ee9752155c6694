#include "cli/oneshot.h"
#include <errno.h>

enum { POLL_MS = 5 };

typedef struct {
    void (*line)(void *arg, child_stream_t stream, const char *text, size_t len);
    void *arg;
    bool ended;
    int status;
} oneshot_t;

static void on_line(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len)
{
    const oneshot_t *o = arg;
    (void)child;
    o->line(o->arg, stream, text, len);
}

static bool on_ended(void *arg, uint32_t child, int status, bool asked)
{
    oneshot_t *o = arg;
    (void)child;
    (void)asked;
    o->ended = true;
    o->status = status;
    return false;
}

int oneshot(args_t *args, void (*line)(void *arg, child_stream_t stream, const char *text, size_t len),
            void *arg)
{
    oneshot_t o = {.line = line, .arg = arg};
    loop_t loop;
    loop_init(&loop);
    const supervisor_events_t events = {.line = on_line, .ended = on_ended, .arg = &o};
    supervisor_t *s = supervisor_new(&loop, &events);
    int r = s ? supervisor_add(s, "child", args, NULL) : -ENOMEM;
    if (r >= 0)
        r = supervisor_start(s, 0);
    /* Its lines wake the loop, its end does not: no signals are read here. */
    while (r == 0 && !o.ended) {
        loop_wait(&loop, loop.now_ms + POLL_MS);
        supervisor_turn(s, true);
    }
    supervisor_destroy(&s);
    return r < 0 ? r : o.status;
}

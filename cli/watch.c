#include "cli/watch.h"
#include "cli/ask.h"
#include <errno.h>
#include <stdlib.h>

struct watch {
    loop_t *loop;
    int item;
    ask_t *ask;
    int64_t due_ms;
};

int watch_open(watch_t **ret, loop_t *loop, const char *endpoint, char *why)
{
    watch_t *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    int r = ask_open(&w->ask, endpoint, why);
    if (r < 0) {
        free(w);
        return r;
    }
    w->loop = loop;
    w->item = loop_add_socket(loop, ask_socket(w->ask));
    *ret = w;
    return 0;
}

void watch_close(watch_t **w)
{
    if (!*w)
        return;
    loop_remove((*w)->loop, (*w)->item);
    ask_close(&(*w)->ask);
    free(*w);
    *w = NULL;
}

json_t *watch_turn(watch_t *w, int64_t now_ms)
{
    if (now_ms >= w->due_ms) {
        ask_send(w->ask);
        w->due_ms = now_ms + WATCH_EVERY_MS;
    }
    return ask_take(w->ask);
}

int64_t watch_next_ms(const watch_t *w)
{
    return w->due_ms;
}

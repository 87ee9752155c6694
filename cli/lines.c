#include "cli/lines.h"
#include <string.h>

void lines_init(lines_t *l)
{
    l->len = 0;
}

/* Puts `n` bytes behind the begun line, handing it out whenever it is full. */
static void keep(lines_t *l, const char *bytes, size_t n, lines_each_t *each, void *arg)
{
    while (n > 0) {
        if (l->len == sizeof(l->bytes))
            lines_end(l, each, arg);
        size_t room = sizeof(l->bytes) - l->len;
        size_t part = n < room ? n : room;
        memcpy(l->bytes + l->len, bytes, part);
        l->len += part;
        bytes += part;
        n -= part;
    }
}

void lines_feed(lines_t *l, const char *bytes, size_t len, lines_each_t *each, void *arg)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        if (!newline) {
            keep(l, bytes, len, each, arg);
            return;
        }
        size_t n = (size_t)(newline - bytes);
        if (l->len == 0 && n <= sizeof(l->bytes)) {
            each(arg, bytes, n);
        } else {
            keep(l, bytes, n, each, arg);
            each(arg, l->bytes, l->len);
            l->len = 0;
        }
        bytes += n + 1;
        len -= n + 1;
    }
}

void lines_end(lines_t *l, lines_each_t *each, void *arg)
{
    if (l->len == 0)
        return;
    each(arg, l->bytes, l->len);
    l->len = 0;
}

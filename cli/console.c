#include "cli/console.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_WIDTH_MAX = 24,
    /* How long one flush waits for a slow reader: less than what would make a loop's watchdog bark. */
    FLUSH_WAIT_MS = 40,
};

struct console {
    int fd;     /* to write to */
    int own_fd; /* `fd` when it was opened here, else -1 */
    bool colour;
    bool stuck;          /* the reader has stood still for too long */
    bool broken;         /* a write failed: nobody will ever read */
    int width;           /* of prefixes */
    int64_t progress_ms; /* when the reader last took something, or had nothing to take */
    uint64_t left_out;   /* lines */
    size_t start, end;   /* what is to be written: bytes[start..end) */
    char bytes[CONSOLE_BYTES_MAX];
};

/* O_NONBLOCK belongs to the open file, which a shell shares with us: it is set on one of our own. A regular
 * file never blocks, and would get a second offset. */
static int reopen(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || (isatty(fd) != 1 && !S_ISFIFO(about.st_mode)))
        return -1;
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

console_t *console_new(int fd)
{
    console_t *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    const char *no_color = getenv("NO_COLOR");
    c->own_fd = reopen(fd);
    c->fd = c->own_fd >= 0 ? c->own_fd : fd;
    c->colour = isatty(fd) == 1 && (!no_color || !*no_color);
    c->progress_ms = clock_ms();
    return c;
}

void console_destroy(console_t **c)
{
    if (!*c)
        return;
    if ((*c)->own_fd >= 0)
        close((*c)->own_fd);
    free(*c);
    *c = NULL;
}

void console_width(console_t *c, const char *name)
{
    size_t n = strlen(name);
    if (n > NAME_WIDTH_MAX)
        n = NAME_WIDTH_MAX;
    if ((int)n > c->width)
        c->width = (int)n;
}

static bool make_room(console_t *c, size_t len)
{
    if (c->start > 0 && c->end + len > sizeof(c->bytes)) {
        memmove(c->bytes, c->bytes + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    return c->end + len <= sizeof(c->bytes);
}

void console_raw(console_t *c, const char *bytes, size_t len)
{
    if (c->broken || c->left_out > 0 || !make_room(c, len))
        return;
    memcpy(c->bytes + c->end, bytes, len);
    c->end += len;
}

static bool put(console_t *c, const char *head, size_t head_len, const char *text, size_t len)
{
    if (!make_room(c, head_len + len + 1))
        return false;
    memcpy(c->bytes + c->end, head, head_len);
    memcpy(c->bytes + c->end + head_len, text, len);
    c->end += head_len + len;
    c->bytes[c->end++] = '\n';
    return true;
}

static size_t prefix(const console_t *c, uint32_t number, const char *name, char *text, size_t size)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[32m",
                                          "\033[35m", "\033[34m", "\033[91m"};
    int n = snprintf(text, size, "%s%-*.*s |%s ", c->colour ? colours[number % 6] : "", c->width,
                     NAME_WIDTH_MAX, name, c->colour ? "\033[0m" : "");
    return (size_t)n;
}

/* Ends a gap as soon as the reader has caught up: one gap, one note, nothing in between. */
static bool tell_gap(console_t *c)
{
    char head[96];
    char note[96];
    if (c->left_out == 0)
        return true;
    if (c->end - c->start > CONSOLE_BYTES_SLOW)
        return false;
    int n = snprintf(note, sizeof(note), "%llu lines were left out: nobody read them in time",
                     (unsigned long long)c->left_out);
    c->left_out = 0;
    return put(c, head, prefix(c, 0, "mandrill", head, sizeof(head)), note, (size_t)n);
}

void console_line(console_t *c, uint32_t number, const char *name, const char *text, size_t len)
{
    char head[96];
    if (c->broken)
        return;
    if (!tell_gap(c) || !put(c, head, prefix(c, number, name, head, sizeof(head)), text, len))
        c->left_out++;
}

bool console_pending(const console_t *c)
{
    return c->end > c->start;
}

bool console_slow(const console_t *c)
{
    return c->end - c->start > CONSOLE_BYTES_SLOW && !c->stuck && !c->broken;
}

static bool wait_writable(const console_t *c, int ms)
{
    struct pollfd item = {.fd = c->fd, .events = POLLOUT};
    return poll(&item, 1, ms) > 0 && (item.revents & POLLOUT);
}

/* Writes until the reader takes no more. True when something went out. */
static bool write_some(console_t *c)
{
    bool any = false;
    while (console_pending(c) && !c->broken) {
        /* Where the file could not be made non-blocking, a write of this size to a writable pipe is. */
        size_t n = c->end - c->start;
        if (c->own_fd < 0 && n > 4096)
            n = 4096;
        if (c->own_fd < 0 && !wait_writable(c, 0))
            break;
        ssize_t written = write(c->fd, c->bytes + c->start, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN)
            break;
        if (written <= 0) {
            c->broken = true;
            c->start = c->end;
            break;
        }
        c->start += (size_t)written;
        any = true;
    }
    if (c->start == c->end)
        c->start = c->end = 0;
    return any;
}

void console_flush(console_t *c, int64_t now_ms)
{
    bool any = write_some(c);
    if (console_slow(c) && wait_writable(c, FLUSH_WAIT_MS))
        any = write_some(c) || any;
    if (any || !console_pending(c)) {
        c->progress_ms = now_ms;
        c->stuck = false;
    } else if (now_ms - c->progress_ms >= CONSOLE_PATIENCE_MS) {
        c->stuck = true;
    }
}

void console_drain(console_t *c, int64_t ms)
{
    int64_t end_ms = clock_ms() + ms;
    write_some(c);
    for (int64_t left = ms; console_pending(c) && left > 0; left = end_ms - clock_ms()) {
        if (wait_writable(c, (int)left))
            write_some(c);
    }
}

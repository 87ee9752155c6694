#include "publisher/line_reader.h"
#include "common/core/message.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = LINE_BYTES_MAX + LINE_CHUNK_BYTES };

int line_reader_open(line_reader_t *l, const char *path, char *why)
{
    struct stat st = {0};
    bool input = strcmp(path, "-") == 0;
    *l = (line_reader_t){.fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)};
    int r = l->fd < 0 || fstat(l->fd, &st) < 0 ? -errno : 0;
    if (r == 0 && S_ISDIR(st.st_mode))
        r = -EISDIR;
    if (r == 0) {
        l->regular = S_ISREG(st.st_mode);
        l->bytes = malloc(BUFFER_BYTES);
        r = l->bytes ? 0 : -ENOMEM;
    }
    if (r < 0) {
        snprintf(why, WHY_BYTES, "%.100s: %s", input ? "standard input" : path, strerror(-r));
        line_reader_close(l);
    }
    return r;
}

void line_reader_close(line_reader_t *l)
{
    if (l->fd > STDIN_FILENO)
        close(l->fd);
    free(l->bytes);
    *l = (line_reader_t){.fd = -1, .at_end = true};
}

/* The bytes up to `end` are the next line, or the rest of one that was too long. */
static int hand_out(line_reader_t *l, size_t end, size_t next, const char **ret, size_t *ret_len)
{
    const char *line = l->bytes + l->at;
    size_t len = end - l->at;
    bool rest = l->skipping;
    l->at = next;
    l->skipping = false;
    if (rest) {
        l->kept = next; /* nothing else was handed out since it began */
        return 0;
    }
    l->number++;
    if (len > LINE_BYTES_MAX)
        return -E2BIG;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    *ret = line;
    *ret_len = len;
    return 1;
}

int line_reader_next(line_reader_t *l, const char **ret, size_t *ret_len)
{
    int r = 0;
    while (r == 0 && l->at < l->end) {
        const char *newline = memchr(l->bytes + l->at, '\n', l->end - l->at);
        if (newline) {
            size_t end = (size_t)(newline - l->bytes);
            r = hand_out(l, end, end + 1, ret, ret_len);
        } else if (line_reader_ended(l) && l->failed == 0) {
            /* The last line needs no newline. One that a failure cut off is no line. */
            r = hand_out(l, l->end, l->end, ret, ret_len);
        } else {
            break;
        }
    }
    if (r == 0 && l->at == l->kept && (l->skipping || l->end - l->at > LINE_BYTES_MAX)) {
        /* Too long, and its end is not in sight: what comes until then belongs to it. */
        bool told = l->skipping;
        l->skipping = true;
        l->kept = l->at = l->end;
        if (!told) {
            l->number_kept = ++l->number;
            r = -E2BIG;
        }
    }
    return r;
}

static bool is_readable(const line_reader_t *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    return l->regular || poll(&p, 1, 0) > 0;
}

void line_reader_more(line_reader_t *l)
{
    if (line_reader_ended(l))
        return;
    if (l->kept > 0 && l->end + LINE_CHUNK_BYTES > BUFFER_BYTES) {
        memmove(l->bytes, l->bytes + l->kept, l->end - l->kept);
        l->at -= l->kept;
        l->end -= l->kept;
        l->kept = 0;
    }
    size_t room = BUFFER_BYTES - l->end;
    if (room == 0 || !is_readable(l))
        return;
    ssize_t n = read(l->fd, l->bytes + l->end, room < LINE_CHUNK_BYTES ? room : LINE_CHUNK_BYTES);
    if (n > 0)
        l->end += (size_t)n;
    else if (n == 0)
        l->at_end = true;
    else if (errno != EINTR && errno != EAGAIN)
        l->failed = -errno;
}

void line_reader_keep(line_reader_t *l)
{
    l->kept = l->at;
    l->number_kept = l->number;
}

void line_reader_again(line_reader_t *l)
{
    l->at = l->kept;
    l->number = l->number_kept;
}

bool line_reader_ended(const line_reader_t *l)
{
    return l->at_end || l->failed < 0;
}

int line_reader_fd(const line_reader_t *l)
{
    return l->regular || line_reader_ended(l) ? -1 : l->fd;
}

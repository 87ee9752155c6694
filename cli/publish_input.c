#include "cli/publish_input.h"
#include "common/core/message.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A body in JSON can be longer than in MessagePack, as every byte may be written as \u00xx. */
    LINE_MAX_BYTES = 6 * BODY_BYTES_MAX,
    INPUT_BYTES = 2 * LINE_MAX_BYTES,
};

struct publish_input {
    const char *const *words; /* NULL: a file */
    size_t words_count;
    int fd;
    bool ended;    /* nothing more to read */
    bool skipping; /* the rest of a line that was cut */
    uint64_t number;
    size_t start, end; /* read and not handed out: bytes[start..end) */
    char bytes[INPUT_BYTES];
};

publish_input_t *publish_input_words(const char *const *words, size_t n)
{
    publish_input_t *in = calloc(1, sizeof(*in));
    if (!in)
        return NULL;
    in->words = words;
    in->words_count = n;
    in->fd = -1;
    return in;
}

int publish_input_file(publish_input_t **ret, const char *path)
{
    publish_input_t *in = calloc(1, sizeof(*in));
    if (!in)
        return -ENOMEM;
    in->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0) {
        int r = -errno;
        free(in);
        return r;
    }
    *ret = in;
    return 0;
}

void publish_input_destroy(publish_input_t **in)
{
    if (!*in)
        return;
    if ((*in)->fd > STDIN_FILENO)
        close((*in)->fd);
    free(*in);
    *in = NULL;
}

static input_result_t next_word(publish_input_t *in, publish_line_t *ret)
{
    if (in->number == in->words_count)
        return INPUT_END;
    const char *word = in->words[in->number++];
    *ret = (publish_line_t){.text = word, .len = strlen(word), .number = in->number};
    return INPUT_LINE;
}

/* Takes a line out of what was read; false when there is no whole one yet. */
static bool take_line(publish_input_t *in, publish_line_t *ret)
{
    const char *text = in->bytes + in->start;
    size_t there = in->end - in->start;
    const char *newline = memchr(text, '\n', there);
    if (!newline && there < LINE_MAX_BYTES && !(in->ended && there > 0))
        return false;
    size_t len = newline ? (size_t)(newline - text) : there;
    bool cut = len > LINE_MAX_BYTES || (!newline && !in->ended);
    in->start += newline ? len + 1 : len;
    in->skipping = !newline && !in->ended;
    /* Lines of other systems. */
    if (len > 0 && text[len - 1] == '\r')
        len--;
    *ret = (publish_line_t){.text = text, .len = len, .number = ++in->number, .cut = cut};
    return true;
}

/* Drops what belongs to a line that was cut; false when its end is not there yet. */
static bool skip_rest(publish_input_t *in)
{
    const char *text = in->bytes + in->start;
    const char *newline = memchr(text, '\n', in->end - in->start);
    in->start = newline ? in->start + (size_t)(newline - text) + 1 : in->end;
    in->skipping = !newline;
    return newline;
}

static input_result_t read_more(publish_input_t *in, bool wait)
{
    struct pollfd item = {.fd = in->fd, .events = POLLIN};
    if (in->start > 0) {
        memmove(in->bytes, in->bytes + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    for (;;) {
        int n = poll(&item, 1, wait ? -1 : 0);
        if (n == 0)
            return INPUT_LATER;
        ssize_t got = n < 0 ? -1 : read(in->fd, in->bytes + in->end, sizeof(in->bytes) - in->end);
        if (got >= 0) {
            in->ended = got == 0;
            in->end += (size_t)got;
            return INPUT_LINE;
        }
        if (errno != EINTR && errno != EAGAIN)
            return INPUT_FAILED;
    }
}

input_result_t publish_input_next(publish_input_t *in, bool wait, publish_line_t *ret)
{
    if (in->words)
        return next_word(in, ret);
    for (;;) {
        if ((!in->skipping || skip_rest(in)) && take_line(in, ret))
            return INPUT_LINE;
        if (in->ended)
            return INPUT_END;
        input_result_t r = read_more(in, wait);
        if (r != INPUT_LINE)
            return r;
    }
}

const char *publish_input_unit(const publish_input_t *in)
{
    return in->words ? "argument" : "line";
}

#include "workers/restart/excerpt.h"

#include "common/core/message.h"
#include <stdio.h>
#include <string.h>

enum {
    KEPT_BYTES = EXCERPT_FIRST_BYTES + EXCERPT_LAST_BYTES,
    ESCAPED_BYTES = 4, /* the longest that a byte becomes */
    GAP_BYTES = 48,    /* "[18446744073709551615 bytes left out]", with blanks around */
};

void excerpt_init(excerpt_t *e)
{
    e->len = 0;
}

void excerpt_add(excerpt_t *e, const char *bytes, size_t len)
{
    for (size_t n; len > 0; bytes += n, len -= n, e->len += n) {
        if (e->len < EXCERPT_FIRST_BYTES) {
            const size_t room = EXCERPT_FIRST_BYTES - (size_t)e->len;
            n = len < room ? len : room;
            memcpy(e->first + e->len, bytes, n);
            continue;
        }
        const size_t at = (size_t)((e->len - EXCERPT_FIRST_BYTES) % EXCERPT_LAST_BYTES);
        n = len < EXCERPT_LAST_BYTES - at ? len : EXCERPT_LAST_BYTES - at;
        memcpy(e->last + at, bytes, n);
    }
}

uint64_t excerpt_left_out(const excerpt_t *e)
{
    return e->len > KEPT_BYTES ? e->len - KEPT_BYTES : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What is kept, one after the other; how many bytes of it. */
static size_t unroll(const excerpt_t *e, char kept[static KEPT_BYTES])
{
    const size_t first = e->len < EXCERPT_FIRST_BYTES ? (size_t)e->len : EXCERPT_FIRST_BYTES;
    const uint64_t behind = e->len - first;
    const size_t last = behind < EXCERPT_LAST_BYTES ? (size_t)behind : EXCERPT_LAST_BYTES;
    const size_t at = behind > EXCERPT_LAST_BYTES ? (size_t)(behind % EXCERPT_LAST_BYTES) : 0;
    memcpy(kept, e->first, first);
    memcpy(kept + first, e->last + at, last - at);
    memcpy(kept + first + last - at, e->last, at);
    return first + last;
}

static size_t escaped_len(char c)
{
    return c >= ' ' && c <= '~' ? 1 : ESCAPED_BYTES;
}

/* How many of the bytes from the left (right) on fit, escaped. */
static size_t fitting(const char *bytes, size_t len, size_t room, bool from_right)
{
    size_t n = 0;
    while (n < len) {
        const size_t wants = escaped_len(bytes[from_right ? len - 1 - n : n]);
        if (wants > room)
            break;
        room -= wants;
        n++;
    }
    return n;
}

/* Appends, where there is room for all of it. */
static size_t append(char *text, size_t at, size_t size, const char *bytes, size_t len)
{
    text_escape(bytes, len, text + at, size - at);
    return at + strlen(text + at);
}

char *excerpt_text(const excerpt_t *e, char *text, size_t size)
{
    char bytes[KEPT_BYTES];
    const char *from = bytes;
    size_t len = unroll(e, bytes), at = 0;
    const uint64_t missing = excerpt_left_out(e);
    size_t head = missing > 0 ? EXCERPT_FIRST_BYTES : len;
    text[0] = '\0';
    while (len > 0 && is_blank(from[len - 1]))
        len--;
    head = head < len ? head : len;
    while (head > 0 && is_blank(*from))
        from++, len--, head--;
    const bool all = missing == 0 && fitting(from, len, size - 1, false) == len;
    if (all || size <= (size_t)2 * GAP_BYTES) {
        append(text, 0, size, from, len);
        return text;
    }
    const size_t room = size - 1 - GAP_BYTES;
    const size_t first = fitting(from, head, room / 3, false);
    /* Not across what is missing. */
    const size_t behind = missing > 0 ? len - head : len - first;
    const size_t last = fitting(from + len - behind, behind, room - room / 3, true);
    const uint64_t out = missing + len - first - last;
    at = append(text, 0, size, from, first);
    at += (size_t)snprintf(text + at, size - at, " [%llu bytes left out] ", (unsigned long long)out);
    append(text, at, size, from + len - last, last);
    return text;
}

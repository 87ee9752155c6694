#include "workers/http/answers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    REQUEST_TIMEOUT = 408,
    TOO_EARLY = 425,
    TOO_MANY = 429,
    SERVER_ERROR = 500,
    UNAVAILABLE = 503,
    SHOWN_BYTES = 160,
    UP_DIGITS_MAX = 12,
    MS_A_SECOND = 1000,
};

static size_t word_len(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] > ' ' && text[n] <= '~')
        n++;
    return n;
}

static size_t blank_len(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] != '\0' && strchr(" \t\r\n", text[n]) != NULL)
        n++;
    return n;
}

/* What a server says of itself, from the first word to the end of the line. */
static const char *first_line(const http_answer_t *a, char shown[static SHOWN_BYTES])
{
    const size_t blank = blank_len(a->body, a->len);
    size_t n = 0;
    while (blank + n < a->len && a->body[blank + n] != '\n' && a->body[blank + n] != '\r')
        n++;
    return text_escape(n > 0 ? a->body + blank : "", n, shown, SHOWN_BYTES);
}

answer_t answer_judge(const http_answer_t *a, char text[static ANSWER_TEXT_BYTES])
{
    char shown[SHOWN_BYTES];
    text[0] = '\0';
    if (a->end != HTTP_ANSWERED) {
        const bool lost = a->end == HTTP_LOST;
        snprintf(text, ANSWER_TEXT_BYTES, "%s: %s", lost ? "no answer" : "the server was not reached",
                 a->why);
        return lost ? ANSWER_FAILED : ANSWER_NOT_TAKEN;
    }
    if (a->status / 100 == 2)
        return ANSWER_GOOD;
    const bool redirect = a->status / 100 == 3;
    const char *said = redirect ? "redirects are not followed" : first_line(a, shown);
    snprintf(text, ANSWER_TEXT_BYTES, "the server answered %d%s%s", a->status, said[0] != '\0' ? ": " : "",
             said);
    if (a->status == REQUEST_TIMEOUT || a->status == TOO_EARLY || a->status == TOO_MANY ||
        (a->status == UNAVAILABLE && a->retry_ms > 0))
        return ANSWER_NOT_TAKEN;
    /* 1xx at the end of a request makes no sense either. */
    return a->status >= SERVER_ERROR || a->status / 100 == 1 ? ANSWER_FAILED : ANSWER_REFUSED;
}

/* "12" or "12.5", as ms; -1: it is none. */
static int64_t read_seconds(const char *text, size_t len)
{
    int64_t ms = 0;
    size_t whole = 0;
    while (whole < len && text[whole] >= '0' && text[whole] <= '9' && whole <= UP_DIGITS_MAX)
        ms = ms * 10 + (text[whole++] - '0') * (int64_t)MS_A_SECOND;
    if (whole == 0 || whole > UP_DIGITS_MAX || (whole < len && text[whole] != '.'))
        return -1;
    int64_t part = MS_A_SECOND / 10;
    for (size_t i = whole + 1; i < len; i++, part /= 10) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        ms += (text[i] - '0') * part;
    }
    return ms;
}

int answer_words(const http_answer_t *a, char *ret_id, size_t size, int64_t *ret_up_ms)
{
    const char *id = a->body;
    size_t left = a->len;
    const size_t before = blank_len(id, left);
    id += before;
    left -= before;
    const size_t len = word_len(id, left);
    if (len == 0 || len >= size)
        return -EPROTO;
    const size_t between = blank_len(id + len, left - len);
    const char *up = id + len + between;
    const size_t up_len = word_len(up, left - len - between);
    /* What is cut off in the middle of a word is none. */
    if ((between == 0 && (left > len || a->cut)))
        return -EPROTO;
    memcpy(ret_id, id, len);
    ret_id[len] = '\0';
    *ret_up_ms = up_len > 0 && !(a->cut && len + between + up_len == left) ? read_seconds(up, up_len) : -1;
    return 0;
}

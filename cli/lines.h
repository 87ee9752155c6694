/* Cuts what a child writes into lines. Pure.
 *
 * A line is handed out without its newline. One that is longer than LINES_BYTES_MAX comes in pieces of that
 * length, so a child that never ends a line costs no memory. */
#ifndef MANDRILL_LINES_H
#define MANDRILL_LINES_H

#include <stddef.h>

enum { LINES_BYTES_MAX = 65536 };

typedef struct {
    size_t len;
    char bytes[LINES_BYTES_MAX]; /* the begun line */
} lines_t;

/* `line` is good until the function returns. */
typedef void lines_each_t(void *arg, const char *line, size_t len);

void lines_init(lines_t *l);
void lines_feed(lines_t *l, const char *bytes, size_t len, lines_each_t *each, void *arg);
/* The writer is gone: what it began is a line too. */
void lines_end(lines_t *l, lines_each_t *each, void *arg);

#endif

/* Where the lines of all children come together: each with the name of its writer in front, in the writer's
 * colour on a terminal without NO_COLOR.
 *
 *   publisher   | 2026-11-21T05:45:07.123Z INFO publisher: listening on ...
 *
 * Lines gather in a bounded buffer and are written without ever blocking. A reader that is slow slows its
 * writers (console_slow: read no more from them for now); one that stands still for CONSOLE_PATIENCE_MS (a
 * terminal after Ctrl-S) loses lines instead, since children that hang in a write to a full pipe would lose
 * their leases. How many were left out is told as soon as it reads again. */
#ifndef MANDRILL_CONSOLE_H
#define MANDRILL_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONSOLE_BYTES_MAX = 1024 * 1024, CONSOLE_BYTES_SLOW = 256 * 1024, CONSOLE_PATIENCE_MS = 2000 };

typedef struct console console_t;

/* `fd` stays the caller's. NULL when memory is out. */
console_t *console_new(int fd);
void console_destroy(console_t **c);
/* Prefixes are filled up with spaces to the longest name that was announced here. */
void console_width(console_t *c, const char *name);
/* `number` picks the colour of the prefix. */
void console_line(console_t *c, uint32_t number, const char *name, const char *text, size_t len);
bool console_pending(const console_t *c);
bool console_slow(const console_t *c);
/* Bytes as they are, for a bar; dropped while there is no room. */
void console_raw(console_t *c, const char *bytes, size_t len);
/* Writes what can be written; waits for a slow reader for some milliseconds. */
void console_flush(console_t *c, int64_t now_ms);
/* Before the end: waits up to `ms` until all is written. */
void console_drain(console_t *c, int64_t ms);

#endif

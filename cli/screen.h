/* What `up` and `bench` show on stderr: the lines of the children and of this program, and, below them, the
 * progress. The bar is taken off before lines are written and drawn again behind them. */
#ifndef MANDRILL_SCREEN_H
#define MANDRILL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct screen screen_t;

/* Takes the log of this program over (log_divert). NULL when memory is out. */
screen_t *screen_new(void);
/* Writes what is left, gives the log back. */
void screen_destroy(screen_t **s);
/* A line of a child: pipeline_new() takes it as it is. */
void screen_line(void *screen, uint32_t child, const char *name, const char *text, size_t len);
/* Progress begins: how many messages there are, 0 for no end. */
void screen_progress(screen_t *s, uint64_t total, int64_t now_ms);
void screen_counts(screen_t *s, uint64_t published, uint64_t acked, uint64_t dead);
/* Writes and draws what is due. */
void screen_turn(screen_t *s, int64_t now_ms);
/* The last state of the progress, and no more of it. */
void screen_progress_end(screen_t *s, int64_t now_ms);
/* The reader is slow: take no more lines from the children for now. */
bool screen_slow(const screen_t *s);
/* There is something to write as soon as the reader takes it. */
bool screen_pending(const screen_t *s);

#endif

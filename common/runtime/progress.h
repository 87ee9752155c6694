/* Progress for people: a bar on a TTY for finite loads (published / acked / rate / ETA), a plain line each 5
 * s otherwise. Writes to stderr. */
#ifndef MANDRILL_PROGRESS_H
#define MANDRILL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    bool bar;    /* stderr is a TTY and the total is known */
    bool shown;  /* the bar is on the last line of the terminal */
    bool hidden; /* it was taken off for other lines: the next progress_show() draws it at once */
    /* Takes what the bar writes; NULL: stderr. For a program that has more to show there, and may not block.
     */
    void (*put)(void *arg, const char *bytes, size_t len);
    void *arg;
    const char *what; /* what is done with the total, "redriven"; NULL: messages are published and acked */
    uint64_t total;   /* 0: endless */
    int64_t start_ms, last_ms;
    uint64_t last_acked;
    double rate; /* acked per second, smoothed */
} progress_t;

void progress_init(progress_t *p, uint64_t total, int64_t now_ms);
/* Cheap when nothing is due (bar: 5 times a second). `final` draws the last state and ends the line. */
void progress_show(progress_t *p, uint64_t published, uint64_t acked, uint64_t dead, int64_t now_ms,
                   bool final);
/* Takes the bar off the screen before other lines are written. */
void progress_hide(progress_t *p);
/* The text itself, for tests: `width` columns. */
int progress_text(const progress_t *p, uint64_t published, uint64_t acked, uint64_t dead, int64_t now_ms,
                  int width, char *text, int size);

#endif

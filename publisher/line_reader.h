/* Lines of a file or of standard input, never waiting for them: what has come so far, in pieces of memory
 * that are bounded. Lines are handed out ahead and then either kept (their round was committed) or handed out
 * again.
 *
 * Ownership: a line is the reader's and good until line_reader_keep() or line_reader_more(). */
#ifndef MANDRILL_LINE_READER_H
#define MANDRILL_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A JSON object with a body of 64 kB in it may be several times as long. */
enum { LINE_BYTES_MAX = 256 * 1024, LINE_CHUNK_BYTES = 64 * 1024 };

typedef struct {
    int fd;
    bool regular; /* always readable, and not to be polled */
    bool at_end;
    bool skipping; /* within a line that is too long */
    int failed;    /* -errno of a read */
    char *bytes;
    size_t kept, at, end;         /* offsets: lines before `kept` are done, before `at` handed out */
    uint64_t number_kept, number; /* of the last line before `kept`, before `at` */
} line_reader_t;

/* A path, or "-". 0 or -errno with `why` (WHY_BYTES). */
int line_reader_open(line_reader_t *l, const char *path, char *why);
void line_reader_close(line_reader_t *l);
/* The next line without its end, numbered l->number: 1; 0: there is none now; -E2BIG: one that is too long.
 */
int line_reader_next(line_reader_t *l, const char **ret, size_t *ret_len);
/* Reads on, without waiting. Only what was kept makes room. */
void line_reader_more(line_reader_t *l);
void line_reader_keep(line_reader_t *l);
void line_reader_again(line_reader_t *l);
/* Nothing more will come: the end, or a failure. */
bool line_reader_ended(const line_reader_t *l);
/* -1: need not be waited for. */
int line_reader_fd(const line_reader_t *l);

#endif

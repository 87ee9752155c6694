/* What `mandrill publish` is to publish: the words of the command line, or the lines of a file, numbered from
 * 1. Lines come as they are written (a pipe, a terminal), so a caller learns when it would have to wait. */
#ifndef MANDRILL_PUBLISH_INPUT_H
#define MANDRILL_PUBLISH_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct publish_input publish_input_t;

typedef struct {
    const char *text; /* good until the next call */
    size_t len;
    uint64_t number;
    bool cut; /* longer than any message can be: only its beginning is here */
} publish_line_t;

typedef enum { INPUT_LINE, INPUT_LATER, INPUT_END, INPUT_FAILED } input_result_t;

/* The words stay the caller's. NULL when memory is out. */
publish_input_t *publish_input_words(const char *const *words, size_t n);
/* `path` or "-". 0 or -errno. */
int publish_input_file(publish_input_t **ret, const char *path);
void publish_input_destroy(publish_input_t **in);
/* INPUT_LATER (only without `wait`): nothing is there now. INPUT_FAILED: errno tells. */
input_result_t publish_input_next(publish_input_t *in, bool wait, publish_line_t *ret);
/* "argument" or "line": what numbers count. */
const char *publish_input_unit(const publish_input_t *in);

#endif

/* What a program has written, without an end in sight: its first bytes and its last, and how many there were
 * between. Pure; no memory of its own. */
#ifndef MANDRILL_RESTART_EXCERPT_H
#define MANDRILL_RESTART_EXCERPT_H

#include <stddef.h>
#include <stdint.h>

enum {
    EXCERPT_FIRST_BYTES = 256,
    EXCERPT_LAST_BYTES = 512,
};

typedef struct {
    uint64_t len; /* of all that was written */
    char first[EXCERPT_FIRST_BYTES];
    char last[EXCERPT_LAST_BYTES]; /* a ring, of what is behind the first */
} excerpt_t;

void excerpt_init(excerpt_t *e);
void excerpt_add(excerpt_t *e, const char *bytes, size_t len);
/* How many bytes were left out. */
uint64_t excerpt_left_out(const excerpt_t *e);
/* For people: escaped (text_escape), without blanks at its ends, with the number of bytes left out in its
 * place. What `size` has no room for is left out too: a third of it is for the beginning, the rest for the
 * end, where programs say why they failed. Always ends in NUL. Returns text. */
char *excerpt_text(const excerpt_t *e, char *text, size_t size);

#endif

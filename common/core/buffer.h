/* A growable run of bytes: what frames are built in.
 *
 * Ownership: the buffer owns its bytes; buffer_done() frees them. Pointers into it are good until the next
 * append. Errors: running out of memory sets `failed` and makes every later append a no-op, so a writer
 * checks once, at the end. */
#ifndef MANDRILL_BUFFER_H
#define MANDRILL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
} buffer_t;

void buffer_init(buffer_t *b);
void buffer_done(buffer_t *b);
/* Forgets the contents, keeps the memory. */
void buffer_clear(buffer_t *b);
/* Room for `n` more bytes; 0 or -ENOMEM. */
int buffer_reserve(buffer_t *b, size_t n);
void buffer_append(buffer_t *b, const void *bytes, size_t n);

#endif

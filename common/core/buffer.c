#include "common/core/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES_MIN = 256 };

void buffer_init(buffer_t *b)
{
    *b = (buffer_t){0};
}

void buffer_done(buffer_t *b)
{
    free(b->data);
    buffer_init(b);
}

void buffer_clear(buffer_t *b)
{
    b->len = 0;
    b->failed = false;
}

int buffer_reserve(buffer_t *b, size_t n)
{
    if (b->failed) {
        return -ENOMEM;
    }
    if (n <= b->cap - b->len) {
        return 0;
    }
    /* Half of the address space is more than any allocator gives, and keeps the doubling from wrapping. */
    if (n > SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return -ENOMEM;
    }
    size_t cap = b->cap < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : b->cap;
    while (cap < b->len + n) {
        cap *= 2;
    }
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return -ENOMEM;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

void buffer_append(buffer_t *b, const void *bytes, size_t n)
{
    if (n == 0 || buffer_reserve(b, n) != 0) {
        return;
    }
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

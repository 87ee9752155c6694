#include "tests/sim/memory.h"
#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct memory_block {
    alignas(max_align_t) memory_block_t *next;
    memory_block_t **link; /* what points here */
    memory_t *owner;
    size_t bytes;
    size_t before; /* bytes in front of this, of an aligned one */
};

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *p);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __wrap_free(void *p);
char *__wrap_strndup(const char *text, size_t len);
char *__wrap_strdup(const char *text);

static memory_t *current;

memory_t *memory_enter(memory_t *m)
{
    memory_t *before = current;
    current = m;
    return before;
}

static void *enter_block(memory_block_t *b, memory_t *owner, size_t bytes)
{
    if (b == NULL)
        return NULL;
    *b = (memory_block_t){.owner = owner, .bytes = bytes};
    if (owner == NULL)
        return b + 1;
    b->next = owner->first;
    b->link = &owner->first;
    if (b->next != NULL)
        b->next->link = &b->next;
    owner->first = b;
    owner->blocks++;
    owner->bytes += bytes;
    if (owner->bytes > owner->bytes_max)
        owner->bytes_max = owner->bytes;
    return b + 1;
}

static void leave_block(memory_block_t *b)
{
    if (b->owner == NULL)
        return;
    *b->link = b->next;
    if (b->next != NULL)
        b->next->link = b->link;
    b->owner->blocks--;
    b->owner->bytes -= b->bytes;
}

void *__wrap_malloc(size_t bytes)
{
    return enter_block(__real_malloc(sizeof(memory_block_t) + bytes), current, bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    if (bytes != 0 && n > (SIZE_MAX - sizeof(memory_block_t)) / bytes)
        return NULL;
    return enter_block(__real_calloc(1, sizeof(memory_block_t) + n * bytes), current, n * bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    size_t front = alignment;
    while (front < sizeof(memory_block_t))
        front += alignment;
    char *whole = __real_aligned_alloc(alignment, front + bytes);
    if (whole == NULL)
        return NULL;
    memory_block_t *b = (memory_block_t *)(void *)(whole + front) - 1;
    enter_block(b, current, bytes);
    b->before = front - sizeof *b;
    return b + 1;
}

void *__wrap_realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return __wrap_malloc(bytes);
    memory_block_t *b = (memory_block_t *)p - 1;
    assert(b->before == 0);
    memory_t *owner = b->owner;
    size_t before = b->bytes;
    leave_block(b);
    memory_block_t *grown = __real_realloc(b, sizeof *b + bytes);
    return grown != NULL ? enter_block(grown, owner, bytes) : (enter_block(b, owner, before), NULL);
}

void __wrap_free(void *p)
{
    if (p == NULL)
        return;
    memory_block_t *b = (memory_block_t *)p - 1;
    leave_block(b);
    __real_free((char *)b - b->before);
}

/* The library's would take from the real one. */
char *__wrap_strndup(const char *text, size_t len)
{
    const size_t bytes = strnlen(text, len);
    char *copy = __wrap_malloc(bytes + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

void memory_release(memory_t *m)
{
    while (m->first != NULL) {
        memory_block_t *b = m->first;
        m->first = b->next;
        __real_free((char *)b - b->before);
    }
    *m = (memory_t){.bytes_max = m->bytes_max};
}

static void *or_abort(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

void *keep_alloc(size_t bytes)
{
    return or_abort(__real_calloc(1, bytes > 0 ? bytes : 1));
}

void *keep_grow(void *p, size_t bytes)
{
    return or_abort(__real_realloc(p, bytes));
}

void keep_free(void *p)
{
    __real_free(p);
}

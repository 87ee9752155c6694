#include "publisher/stamps.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int stamps_init(stamps_t *s)
{
    *s = (stamps_t){.entries = malloc(STAMPS_MAX * sizeof *s->entries)};
    return s->entries ? 0 : -ENOMEM;
}

void stamps_done(stamps_t *s)
{
    free(s->entries);
    *s = (stamps_t){.entries = NULL};
}

/* Every second one goes: what it stood for counts from the one before, which is a little too long. */
static void thin(stamps_t *s)
{
    for (uint32_t i = 0; i < s->count / 2; i++)
        s->entries[i] = s->entries[s->first + 2 * i];
    s->first = 0;
    s->count /= 2;
}

void stamps_add(stamps_t *s, uint64_t id, int64_t us)
{
    if (s->count > 0 && s->entries[s->first + s->count - 1].us == us)
        return;
    if (s->first + s->count == STAMPS_MAX) {
        if (s->first >= STAMPS_MAX / 2) {
            memmove(s->entries, s->entries + s->first, s->count * sizeof *s->entries);
            s->first = 0;
        } else {
            thin(s);
        }
    }
    s->entries[s->first + s->count].id = id;
    s->entries[s->first + s->count].us = us;
    s->count++;
}

/* How many entries are for ids up to `id`. */
static uint32_t count_to(const stamps_t *s, uint64_t id)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->entries[s->first + middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t stamps_find(const stamps_t *s, uint64_t id)
{
    uint32_t n = count_to(s, id);
    return n > 0 ? s->entries[s->first + n - 1].us : 0;
}

void stamps_forget(stamps_t *s, uint64_t id)
{
    uint32_t n = count_to(s, id);
    if (n > 1) {
        s->first += n - 1;
        s->count -= n - 1;
    }
}

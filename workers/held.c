#include "workers/held.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void held_init(held_t *t)
{
    *t = (held_t){.first_free = HELD_NONE};
    slab_init(&t->bodies);
}

void held_done(held_t *t)
{
    for (uint32_t i = 0; i < t->chunks_count; i++)
        free(t->chunks[i]);
    free(t->chunks);
    slab_done(&t->bodies);
    held_init(t);
}

static int grow(held_t *t)
{
    held_task_t **chunks = realloc(t->chunks, (t->chunks_count + 1) * sizeof *chunks);
    if (chunks == NULL)
        return -1;
    t->chunks = chunks;
    held_task_t *chunk = calloc(HELD_CHUNK, sizeof *chunk);
    if (chunk == NULL)
        return -1;
    const uint32_t first = t->chunks_count * HELD_CHUNK;
    for (uint32_t i = 0; i < HELD_CHUNK; i++) {
        chunk[i].task.number = first + i;
        chunk[i].next_free = i + 1 < HELD_CHUNK ? first + i + 1 : t->first_free;
    }
    t->first_free = first;
    chunks[t->chunks_count++] = chunk;
    return 0;
}

held_task_t *held_at(const held_t *t, uint32_t number)
{
    assert(number / HELD_CHUNK < t->chunks_count);
    return &t->chunks[number / HELD_CHUNK][number % HELD_CHUNK];
}

held_task_t *held_add(held_t *t, const task_record_t *record)
{
    if (t->first_free == HELD_NONE && grow(t) != 0)
        return NULL;
    void *bytes = slab_get(&t->bodies, record->body_len);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, record->body, record->body_len);
    void *note = NULL;
    if (record->note_len > 0 && (note = slab_get(&t->bodies, record->note_len)) == NULL) {
        slab_put(&t->bodies, bytes, record->body_len);
        return NULL;
    }
    if (note != NULL)
        memcpy(note, record->note, record->note_len);
    held_task_t *h = held_at(t, t->first_free);
    t->first_free = h->next_free;
    t->count++;
    h->used = true;
    h->begun_ms = 0;
    h->bytes = bytes;
    h->len = record->body_len;
    h->ref = record->ref;
    h->task.try_no = record->try_no;
    h->task.id = record->id;
    h->note = note;
    h->task.note = note;
    h->task.note_len = record->note_len;
    h->asks = h->gave_up = false;
    return h;
}

void held_remove(held_t *t, uint32_t number)
{
    held_task_t *h = held_at(t, number);
    assert(h->used);
    slab_put(&t->bodies, h->bytes, h->len);
    h->bytes = NULL;
    if (h->note != NULL)
        slab_put(&t->bodies, h->note, h->task.note_len);
    h->note = NULL;
    h->used = false;
    h->next_free = t->first_free;
    t->first_free = number;
    t->count--;
}

uint32_t held_next(const held_t *t, uint32_t after)
{
    const uint32_t end = t->chunks_count * HELD_CHUNK;
    for (uint32_t n = after == HELD_NONE ? 0 : after + 1; n < end; n++)
        if (held_at(t, n)->used)
            return n;
    return HELD_NONE;
}

#include "consumer/kept.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void kept_init(kept_t *k, uint32_t steps_max)
{
    *k = (kept_t){.steps_max = steps_max, .first_no = 1, .unsent_no = 1, .next_no = 1};
}

static void frame_destroy(kept_frame_t *f)
{
    if (f == NULL)
        return;
    buffer_done(&f->frame);
    free(f->steps);
    free(f);
}

static kept_frame_t *frame_new(uint32_t steps_max)
{
    kept_frame_t *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    buffer_init(&f->frame);
    f->steps = calloc(steps_max, sizeof *f->steps);
    if (f->steps != NULL)
        return f;
    frame_destroy(f);
    return NULL;
}

void kept_done(kept_t *k)
{
    for (uint32_t i = 0; i < KEPT_FRAMES_MAX; i++)
        frame_destroy(k->frames[i]);
    while (k->spare_count > 0)
        frame_destroy(k->spare[--k->spare_count]);
    *k = (kept_t){0};
}

static uint32_t place(uint64_t no)
{
    return (uint32_t)(no % KEPT_FRAMES_MAX);
}

uint32_t kept_room(const kept_t *k)
{
    /* So many steps, whatever their texts, fill up the open frame at most, and do not fill the next one. */
    uint32_t steps = k->steps_max < KEPT_ROOM_MAX ? k->steps_max : KEPT_ROOM_MAX;
    uint64_t used = k->next_no - k->first_no + (k->open ? 1 : 0);
    return used + 2 <= KEPT_FRAMES_MAX ? steps : 0;
}

static int open_frame(kept_t *k)
{
    if (k->next_no - k->first_no >= KEPT_FRAMES_MAX)
        return -ENOSPC;
    kept_frame_t *f = k->spare_count > 0 ? k->spare[--k->spare_count] : frame_new(k->steps_max);
    if (f == NULL)
        return -ENOMEM;
    buffer_clear(&f->frame);
    f->count = 0;
    k->frames[place(k->next_no)] = f;
    progress_begin(&k->batch, &f->frame, k->next_no);
    k->open = true;
    return 0;
}

int kept_add(kept_t *k, const step_t *step, kept_step_t of)
{
    int error = k->open ? 0 : open_frame(k);
    if (error != 0)
        return error;
    kept_frame_t *f = k->frames[place(k->next_no)];
    progress_add(&k->batch, step);
    f->steps[f->count++] = of;
    return f->count == k->steps_max || batch_full(&k->batch) ? kept_end(k) : 0;
}

int kept_end(kept_t *k)
{
    if (!k->open)
        return 0;
    batch_end(&k->batch);
    if (k->frames[place(k->next_no)]->frame.failed)
        return -ENOMEM;
    k->open = false;
    k->next_no++;
    return 0;
}

const buffer_t *kept_unsent(const kept_t *k)
{
    return k->unsent_no < k->next_no ? &k->frames[place(k->unsent_no)]->frame : NULL;
}

/* To the next frame from `no` on that is not settled. */
static uint64_t skip_settled(const kept_t *k, uint64_t no)
{
    while (no < k->next_no && k->frames[place(no)] == NULL)
        no++;
    return no;
}

void kept_sent(kept_t *k, int64_t now_ms)
{
    assert(k->unsent_no < k->next_no);
    k->frames[place(k->unsent_no)]->sent_ms = now_ms;
    k->unsent_no = skip_settled(k, k->unsent_no + 1);
}

void kept_again(kept_t *k)
{
    k->unsent_no = k->first_no;
}

int64_t kept_again_ms(const kept_t *k)
{
    return k->first_no < k->unsent_no ? k->frames[place(k->first_no)]->sent_ms + KEPT_AGAIN_MS : INT64_MAX;
}

const kept_frame_t *kept_find(const kept_t *k, uint64_t no)
{
    return no >= k->first_no && no < k->next_no ? k->frames[place(no)] : NULL;
}

void kept_settled(kept_t *k, uint64_t no)
{
    assert(kept_find(k, no) != NULL);
    k->spare[k->spare_count++] = k->frames[place(no)];
    k->frames[place(no)] = NULL;
    k->first_no = skip_settled(k, k->first_no);
    k->unsent_no = skip_settled(k, k->unsent_no);
    if (k->unsent_no < k->first_no)
        k->unsent_no = k->first_no;
}

bool kept_empty(const kept_t *k)
{
    return k->first_no == k->next_no && !k->open;
}

/* Notes in the gather: what workers have recorded of their tasks, and who waits for a grant.
 *
 * A message without a note has none of this. One of a leg is on its way at a time: a frame that is sent again
 * would else put an older one in place of a newer. Without memory a request is refused, and an answer is
 * lost, as with a connection. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* --- answers --- */

/* To the session that has asked, not to the next one of that number. */
static void answer(gather_t *g, uint32_t worker, uint32_t who, uint64_t ref, uint32_t try_no, bool granted)
{
    holder_t *h = &g->workers[worker];
    g->granted += granted;
    g->refused += !granted;
    gather_answer_t *a = h->who == who ? slab_get(&g->slab, sizeof *a) : NULL;
    if (a == NULL)
        return;
    *a = (gather_answer_t){.record = {.ref = ref, .try_no = try_no, .granted = granted}};
    if (h->answers == NULL) {
        h->answers_end = &h->answers;
        fifo_push(&g->answering, &g->answer_links, worker);
    }
    *h->answers_end = a;
    h->answers_end = &a->next;
}

static void answer_asker(gather_t *g, gather_note_t *note, bool granted)
{
    if (!note->asks)
        return;
    note->asks = false;
    answer(g, note->worker, note->who, note->ref, note->try_no, granted);
}

size_t gather_answers(gather_t *g, uint32_t *ret_worker, grant_record_t *ret, size_t max)
{
    size_t n = 0;
    if (g->answering.count == 0)
        return 0;
    const uint32_t worker = g->answering.first;
    holder_t *h = &g->workers[worker];
    while (n < max && h->answers != NULL) {
        gather_answer_t *a = h->answers;
        h->answers = a->next;
        ret[n++] = a->record;
        slab_put(&g->slab, a, sizeof *a);
    }
    if (h->answers == NULL)
        fifo_remove(&g->answering, &g->answer_links, worker);
    *ret_worker = worker;
    return n;
}

void gather_answers_drop(gather_t *g, uint32_t worker)
{
    holder_t *h = &g->workers[worker];
    if (h->answers == NULL)
        return;
    while (h->answers != NULL) {
        gather_answer_t *a = h->answers;
        h->answers = a->next;
        slab_put(&g->slab, a, sizeof *a);
    }
    fifo_remove(&g->answering, &g->answer_links, worker);
}

/* --- notes --- */

static gather_note_t *note_new(gather_t *g, uint32_t leg, uint32_t room)
{
    gather_note_t *note = slab_get(&g->slab, sizeof *note + room);
    if (note != NULL)
        *note = (gather_note_t){.leg = (uint8_t)leg, .room = room};
    return note;
}

static void note_free(gather_t *g, gather_note_t *note)
{
    slab_put(&g->slab, note, sizeof *note + note->room);
}

static void fill(gather_note_t *note, const void *bytes, uint32_t len)
{
    if (len > 0)
        memcpy(note->bytes, bytes, len);
    note->len = len;
}

/* Where the leg's note hangs, or would. */
static gather_note_t **place_of(gather_note_t **list, uint32_t leg)
{
    while (*list != NULL && (*list)->leg != leg)
        list = &(*list)->next;
    return list;
}

const gather_note_t *gather_note_of(const entry_t *e, uint32_t leg)
{
    const gather_note_t *note = e->notes;
    while (note != NULL && note->leg != leg)
        note = note->next;
    return note;
}

static bool can_be_told(const gather_note_t *note)
{
    return note->untold && note->told_no == 0;
}

bool gather_notes_untold(const entry_t *e)
{
    bool any = false;
    for (const gather_note_t *note = e->notes; note != NULL; note = note->next)
        any |= note->untold;
    return any;
}

void gather_notes_list(gather_t *g, uint32_t slot)
{
    const entry_t *e = &g->entries[slot];
    fifo_t *list = &g->sources[e->source].notes;
    bool any = false;
    for (const gather_note_t *note = e->notes; note != NULL; note = note->next)
        any |= can_be_told(note);
    if (any && !links_in(&g->note_links, slot))
        fifo_push(list, &g->note_links, slot);
    if (!any && links_in(&g->note_links, slot))
        fifo_remove(list, &g->note_links, slot);
    if (e->held_up && !gather_notes_untold(e))
        gather_entry_finish(g, slot);
}

/* Room for so many bytes in place of the leg's note, which what is known of it moves into. */
static gather_note_t *room_for(gather_t *g, entry_t *e, uint32_t leg, uint32_t len)
{
    gather_note_t **at = place_of(&e->notes, leg), *old = *at;
    if (old != NULL && old->room >= len)
        return old;
    gather_note_t *note = note_new(g, leg, len);
    if (note == NULL)
        return NULL;
    if (old != NULL) {
        *note = *old;
        note->room = len;
        note_free(g, old);
    }
    *at = note;
    return note;
}

bool gather_note(gather_t *g, uint32_t worker, const note_record_t *r, int64_t now_ms)
{
    assert(worker < ROSTER_MAX && r->len <= NOTE_BYTES_MAX);
    const uint32_t n = gather_ref_number(r->ref), slot = n / LEGS_MAX;
    const bool counts = gather_is_current(g, worker, r->ref, r->try_no) && !g->tasks[n].barred &&
                        gather_leg_is_open(g, n) && !g->entries[slot].lost;
    gather_note_t *note = counts ? room_for(g, &g->entries[slot], n % LEGS_MAX, r->len) : NULL;
    if (note == NULL) {
        if (r->grant_ms > 0)
            answer(g, worker, g->workers[worker].who, r->ref, r->try_no, false);
        return false;
    }
    /* His request before this one, if it has no answer yet, gets none: it would be taken for this one's. */
    note->ref = r->ref;
    note->try_no = r->try_no;
    note->worker = (uint16_t)worker;
    note->who = g->workers[worker].who;
    note->until_ms = now_ms + r->grant_ms;
    note->asks = r->grant_ms > 0;
    note->untold = true;
    fill(note, r->bytes, r->len);
    g->notes++;
    gather_notes_list(g, slot);
    return true;
}

/* --- what the publisher brings --- */

static void free_notes(gather_t *g, gather_note_t *list)
{
    while (list != NULL) {
        gather_note_t *next = list->next;
        note_free(g, list);
        list = next;
    }
}

static int read_brought(gather_t *g, const gather_message_t *m, gather_note_t **ret)
{
    *ret = NULL;
    for (uint32_t i = 0; i < m->notes_count; i++) {
        const note_t *from = &m->notes[i];
        gather_note_t *note = note_new(g, from->bit, from->len);
        if (note == NULL) {
            free_notes(g, *ret);
            return -ENOMEM;
        }
        fill(note, from->bytes, from->len);
        note->next = *ret;
        *ret = note;
    }
    return 0;
}

static bool same_bytes(const gather_note_t *a, const gather_note_t *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

/* A note of ours that no step has had, under a lease that goes on: it is told with the new token. */
static bool stays(const gather_note_t *ours, const gather_note_t *brought)
{
    return ours->untold && (brought == NULL || same_bytes(ours, brought));
}

int gather_notes_come(gather_t *g, uint32_t slot, const gather_message_t *m)
{
    entry_t *e = &g->entries[slot];
    gather_note_t *list, *ours;
    const int error = read_brought(g, m, &list);
    if (error != 0 || (list == NULL && e->notes == NULL))
        return error;
    if (links_in(&g->note_links, slot))
        fifo_remove(&g->sources[e->source].notes, &g->note_links, slot);
    /* Who is at work and does not know what others have recorded meanwhile is not to act any more. */
    for (const gather_note_t *note = list; note != NULL; note = note->next) {
        const gather_note_t *known = gather_note_of(e, note->leg);
        task_t *t = &g->tasks[slot * LEGS_MAX + note->leg];
        if (t->state == TASK_RUNNING && (known == NULL || !same_bytes(known, note)))
            t->barred = true;
    }
    while ((ours = e->notes) != NULL) {
        gather_note_t **at = place_of(&list, ours->leg);
        e->notes = ours->next;
        if (!stays(ours, *at)) {
            answer_asker(g, ours, false);
            note_free(g, ours);
            continue;
        }
        ours->told_no = 0;
        ours->next = *at != NULL ? (*at)->next : NULL;
        if (*at != NULL)
            note_free(g, *at);
        *at = ours;
    }
    e->notes = list;
    return 0;
}

/* --- what becomes of them --- */

void gather_notes_leg_ended(gather_t *g, uint32_t n, bool done)
{
    entry_t *e = &g->entries[n / LEGS_MAX];
    gather_note_t *note = e->notes != NULL ? *place_of(&e->notes, n % LEGS_MAX) : NULL;
    if (note == NULL)
        return;
    answer_asker(g, note, false);
    if (done)
        note->untold = false;
    gather_notes_list(g, n / LEGS_MAX);
}

void gather_notes_lost(gather_t *g, uint32_t slot)
{
    for (gather_note_t *note = g->entries[slot].notes; note != NULL; note = note->next) {
        answer_asker(g, note, false);
        note->untold = false;
    }
    gather_notes_list(g, slot);
}

void gather_notes_drop(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    if (e->notes == NULL)
        return;
    gather_notes_lost(g, slot);
    free_notes(g, e->notes);
    e->notes = NULL;
}

/* --- steps --- */

static void note_step(gather_t *g, uint32_t slot, gather_note_t *note, int64_t now_ms, gather_step_t *ret)
{
    const int64_t left_ms = note->until_ms - now_ms;
    *ret = gather_entry_step(&g->entries[slot], slot, OP_NOTE, note->asks && left_ms > 0 ? left_ms : 0);
    ret->final = false;
    g->note_no += g->note_no == UINT32_MAX ? 2 : 1;
    ret->note = (note_t){.bit = note->leg, .bytes = note->bytes, .len = note->len};
    ret->note_no = note->told_no = g->note_no;
    note->untold = false;
    /* His grant would be over before it came. */
    if (left_ms <= 0)
        answer_asker(g, note, false);
}

size_t gather_notes_hand_out(gather_t *g, uint32_t source, int64_t now_ms, gather_step_t *ret, size_t max)
{
    const fifo_t *list = &g->sources[source].notes;
    size_t n = 0;
    while (n < max && list->count > 0) {
        const uint32_t slot = list->first;
        gather_note_t *note = g->entries[slot].notes;
        while (!can_be_told(note))
            note = note->next;
        note_step(g, slot, note, now_ms, &ret[n++]);
        gather_notes_list(g, slot);
    }
    return n;
}

bool gather_note_settled(gather_t *g, uint32_t slot, uint32_t lease, uint32_t note_no, step_code_t code)
{
    const entry_t *e = gather_entry_by_lease(g, slot, lease);
    gather_note_t *note = e != NULL ? e->notes : NULL;
    while (note != NULL && note->told_no != note_no)
        note = note->next;
    if (note != NULL) {
        note->told_no = 0;
        if (!note->untold)
            answer_asker(g, note,
                         code == STEP_GRANTED && !e->lost &&
                             gather_is_current(g, note->worker, note->ref, note->try_no) &&
                             gather_leg_is_open(g, gather_ref_number(note->ref)));
        gather_notes_list(g, slot);
    }
    return gather_settled(g, slot, lease, false, code);
}

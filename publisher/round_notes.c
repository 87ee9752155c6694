#include "publisher/round_notes.h"
#include <errno.h>

void round_notes_keep(round_t *r, round_step_t *step, const step_t *s)
{
    step->note_at = (uint32_t)r->texts.len;
    step->note_len = (uint16_t)s->note.len;
    step->step.note_bit = s->note.bit;
    if (s->note.len > 0)
        buffer_append(&r->texts, s->note.bytes, s->note.len);
}

int round_notes_write(round_t *r, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        const round_step_t *s = &r->steps[i];
        if (r->codes[i] != STEP_GRANTED)
            continue;
        if (r->texts.failed)
            return -ENOMEM;
        const note_t note = {
            .bit = s->step.note_bit, .bytes = r->texts.data + s->note_at, .len = s->note_len};
        const uint64_t token = delivery_note_token(r->delivery, s->step.token);
        int error = outbox_note(r->outbox, s->step.id, &note, token);
        /* Nothing is granted of what is not there to be noted. */
        if (error == -ENOENT)
            r->codes[i] = STEP_GONE;
        else if (error < 0)
            return error;
        r->noted += error == 0;
    }
    return 0;
}

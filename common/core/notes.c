#include "common/core/notes.h"

/* Copies notes of these legs: whose they are. *ret_whole: there is nothing else. */
static uint8_t copy(const void *notes, size_t len, uint8_t legs, buffer_t *ret, bool *ret_whole)
{
    uint8_t seen = 0;
    reader_t r;
    note_t note;
    reader_init(&r, notes, len);
    bool whole = true;
    while (whole && note_read(&r, &note)) {
        whole = (seen >> note.bit & 1) == 0 && note.len > 0;
        if (whole && (legs >> note.bit & 1) != 0) {
            note_write(ret, &note);
        }
        seen |= whole ? (uint8_t)(1U << note.bit) : 0;
    }
    *ret_whole = whole && reader_end(&r) == 0;
    return seen & legs;
}

uint32_t notes_of(const void *notes, size_t len, uint8_t legs, buffer_t *ret)
{
    static const char damaged[] = "damaged in the outbox";
    bool whole;
    uint32_t n = 0;
    if (len == 0) {
        return 0;
    }
    uint8_t have = copy(notes, len, legs, ret, &whole);
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++) {
        bool lost = !whole && ((legs & ~have) >> bit & 1) != 0;
        if (lost) {
            note_write(ret, &(note_t){.bit = (uint8_t)bit, .bytes = damaged, .len = sizeof damaged - 1});
        }
        n += lost || (have >> bit & 1) != 0;
    }
    return n;
}

void notes_put(const void *notes, size_t len, const note_t *note, buffer_t *ret)
{
    notes_of(notes, len, (uint8_t) ~(1U << note->bit), ret);
    if (note->len > 0) {
        note_write(ret, note);
    }
}

/* Notes of a message as they are kept (note_write(), one behind the other, each leg once): what workers
 * recorded before they did what cannot be undone.
 *
 * Where the bytes are not what was written, each leg whose note cannot be read has one that says so: a note
 * that is lost would be an act that is repeated. */
#ifndef MANDRILL_NOTES_H
#define MANDRILL_NOTES_H

#include "common/core/proto.h"

/* Appends the notes of these legs to `ret`: how many. */
uint32_t notes_of(const void *notes, size_t len, uint8_t legs, buffer_t *ret);
/* Appends them all to `ret`, with this one in place of an earlier one of its leg; an empty one in place of
 * none. */
void notes_put(const void *notes, size_t len, const note_t *note, buffer_t *ret);

#endif

/* Notes: what workers recorded for the legs of a message before they did what cannot be undone. */
#include "common/core/notes.h"
#include "publisher/outbox_internal.h"
#include <errno.h>

/* What the row is to have with this one goes into o->notes. */
static int put(outbox_t *o, uint64_t id, const note_t *note)
{
    sqlite3_stmt *st = o->statements[ST_NOTES];
    outbox_bind(o, ST_NOTES, &id, 1);
    int rc = sqlite3_step(st);
    buffer_clear(&o->notes);
    if (rc == SQLITE_ROW) {
        const void *notes = sqlite3_column_blob(st, 0);
        notes_put(notes, (size_t)sqlite3_column_bytes(st, 0), note, &o->notes);
    }
    sqlite3_reset(st);
    if (rc == SQLITE_ROW)
        return 0;
    return rc == SQLITE_DONE ? -ENOENT : outbox_error(o, rc, "reading notes");
}

static int write_notes(outbox_t *o, statement_t which, uint64_t id, uint64_t token)
{
    sqlite3_stmt *st = o->statements[which];
    if (o->notes.failed)
        return outbox_error(o, SQLITE_NOMEM, "writing a note");
    outbox_bind(o, which, (uint64_t[]){id, 0, token}, 3);
    if (o->notes.len > 0)
        sqlite3_bind_blob(st, 2, o->notes.data, (int)o->notes.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 2);
    int r = outbox_run(o, which, "writing a note");
    if (r == 0 && sqlite3_changes(o->db) == 0)
        return -ENOENT;
    o->dirty = o->dirty || r == 0;
    return r;
}

int outbox_note(outbox_t *o, uint64_t id, const note_t *note, uint64_t token)
{
    int r = o->now.states > 0 ? put(o, id, note) : -ENOENT;
    if (r != -ENOENT)
        return r < 0 ? r : write_notes(o, ST_NOTES_SET, id, token);
    /* The first that is known of it: a row for it, when the message is there. */
    buffer_clear(&o->notes);
    notes_put(NULL, 0, note, &o->notes);
    r = write_notes(o, ST_NOTES_NEW, id, token);
    o->now.states += r == 0;
    return r;
}

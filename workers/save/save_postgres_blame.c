#include "workers/save/save_postgres_blame.h"

#include <string.h>

enum { REMEMBER_MS = 60000 };

bool blame_may_be_of_a_row(const session_fault_t *f)
{
    static const char *const classes[] = {"22", "23", "44", "54", "P0001"};
    /* A check that is nobody's constraint: a partition is missing. */
    if (strcmp(f->state, "23514") == 0 && !f->constraint)
        return false;
    return sql_state_is_in(f->state, classes, sizeof classes / sizeof classes[0]);
}

bool blame_is_of_the_server(const session_fault_t *f)
{
    static const char *const classes[] = {"08", "25", "28", "3D", "3F", "42501", "42P01", "53", "57P", "58"};
    return f->state[0] == '\0' || sql_state_is_in(f->state, classes, sizeof classes / sizeof classes[0]);
}

void suspects_clear(suspects_t *s)
{
    *s = (suspects_t){0};
}

bool suspects_convict(suspects_t *s, message_id_t id, int64_t now_ms)
{
    suspect_t *room = NULL;
    for (int i = 0; i < SUSPECTS_MAX; i++) {
        suspect_t *row = &s->rows[i];
        if (row->until_ms <= now_ms) {
            room = row;
        } else if (row->id.stream == id.stream && row->id.seq == id.seq) {
            if (row->inserts == s->inserts)
                return false;
            row->until_ms = 0;
            return true;
        }
    }
    if (room != NULL)
        *room = (suspect_t){id, s->inserts, now_ms + REMEMBER_MS};
    return false;
}

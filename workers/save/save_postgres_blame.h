/* Whose fault it is that a row did not get in: the server's, the table's or its own.
 *
 * What one row may be refused for, a table may refuse every row for: transaction ids ran out, a column or a
 * partition was forgotten. So a row that is refused is a suspect at first. It is to blame when another was
 * inserted after that and it is refused again, in the same session and within a minute. */
#ifndef MANDRILL_SAVE_POSTGRES_BLAME_H
#define MANDRILL_SAVE_POSTGRES_BLAME_H

#include "workers/save/save_postgres_session.h"

enum { SUSPECTS_MAX = 256 };

typedef struct {
    message_id_t id;
    uint64_t inserts; /* of the session when it was refused */
    int64_t until_ms; /* then it is forgotten */
} suspect_t;

typedef struct {
    uint64_t inserts; /* transactions of this session that were committed with a new row */
    suspect_t rows[SUSPECTS_MAX];
} suspects_t;

/* May be refused for what it holds, and would be again: bad data, a constraint, a limit, or somebody's
 * trigger. */
bool blame_may_be_of_a_row(const session_fault_t *f);
/* Other transactions would end the same way: connections, read-only, no rights, no table, no disk or memory,
 * shutdown. */
bool blame_is_of_the_server(const session_fault_t *f);

/* Another session: nothing is known. */
void suspects_clear(suspects_t *s);
/* A row is refused. True: it is to blame, and forgotten; false: that is not known yet. One that finds no room
 * is not known either. */
bool suspects_convict(suspects_t *s, message_id_t id, int64_t now_ms);

#endif

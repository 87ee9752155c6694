/* A PostgreSQL server of a test's own: made in a directory (initdb), with fsync as a user has it, reached by
 * a socket there and, when asked for, by a port of the loopback. It refuses to run as root: then it runs as
 * the user "postgres".
 *
 * Tests share a server by having a schema each. What may be started as superuser is not locked away: there is
 * no password, unless a test makes a role that needs one.
 *
 * Errors: whatever cannot be done fails the test. */
#ifndef MANDRILL_TEST_POSTGRES_H
#define MANDRILL_TEST_POSTGRES_H

#include "tests/support/process.h"

enum { CONNINFO_MAX = 512 };

typedef struct {
    char dir[TEST_PATH_MAX];
    unsigned port; /* of the loopback; 0: none */
    process_t server;
    int guard;
} postgres_t;

/* Below `dir`; it accepts connections when this returns. */
void postgres_open(postgres_t *p, const char *dir, unsigned port, int guard);
/* Stops it, whatever state it is in. */
void postgres_close(postgres_t *p);
/* One for the whole program, made when it is first asked for; gone with the program. */
postgres_t *postgres_shared(void);

void postgres_start(postgres_t *p);
/* As an administrator stops it: sessions are ended. */
void postgres_stop(postgres_t *p);
/* All its processes at once, by SIGKILL. */
void postgres_kill(postgres_t *p);
/* A signal to all its processes: SIGSTOP and SIGCONT. */
void postgres_signal_all(postgres_t *p, int signal);

/* How a program reaches the tables of a schema ("": those of nobody), by socket; in a buffer of CONNINFO_MAX,
 * which it returns. */
char *postgres_conninfo(const postgres_t *p, const char *schema, char *conninfo);
void postgres_run(const postgres_t *p, const char *schema, const char *sql);
/* The first column of the first row: a number, -1 when there is none or the statement fails; text, to be
 * freed, NULL likewise. */
int64_t postgres_number(const postgres_t *p, const char *schema, const char *sql);
char *postgres_text(const postgres_t *p, const char *schema, const char *sql);
/* Rows of mandrill_messages; 0 while there is no such table. */
int64_t postgres_rows(const postgres_t *p, const char *schema);
/* Writes "STREAM SEQ HOST" for each row into a file, for the checker. */
void postgres_export(const postgres_t *p, const char *schema, const char *path);

#endif

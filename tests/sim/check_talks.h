/* What was said in the sessions, as the checks remember it. A talk is one session as its server knows it, a
 * voice is one as its peer does. */
#ifndef MANDRILL_SIM_CHECK_TALKS_H
#define MANDRILL_SIM_CHECK_TALKS_H

#include "common/core/proto.h"
#include "tests/sim/check_internal.h"

/* Outstanding with a session: a message (by row), or a task (by ref). */
typedef struct {
    uint64_t key;
    message_id_t id;
    uint64_t place; /* among what was given since WELCOME; 0: from before that */
    bool doubtful;  /* the server may have taken it back */
    bool let_go;    /* or let it lie there, untouched as it was */
} out_t;

typedef struct {
    step_t step; /* without its text, events and note */
    int64_t read_ms;
    uint64_t note;    /* its hash */
    uint32_t note_no; /* of those that were read for the leg */
} said_step_t;

/* A PROGRESS that a publisher has read and not answered. */
typedef struct said {
    struct said *next;
    uint64_t no;
    uint32_t count;
    said_step_t steps[];
} said_t;

typedef struct {
    uint64_t session; /* the peer's */
    const process_t *server;
    uint32_t life; /* the server's */
    uint32_t conn; /* where its HELLO came from last: on others it is not known */
    uint32_t leg;  /* of a worker */
    uint32_t window;
    int64_t heard_ms;
    bool silent;   /* it was for so long that it may have been forgotten */
    bool left;     /* the peer has said BYE, */
    bool ended;    /* or the server has first: it hears the old connection to its end, and no HELLO */
    uint64_t seen; /* RESULTS */
    uint64_t given, started; /* since WELCOME */
    out_t *out;
    uint32_t out_count, out_cap;
    said_t *said;
} talk_t;

/* A PROGRESS that a consumer has sent and that is not settled. */
typedef struct {
    uint64_t no;
    uint64_t hash;
} sent_t;

typedef struct {
    uint64_t session;
    uint64_t last_no;
    sent_t *sent;
    uint32_t sent_count, sent_cap;
} voice_t;

void talks_open(void);
void talks_close(void);
talk_t *talk_of(conn_t *c);                                   /* NULL: its server has not read HELLO on it */
talk_t *talk_find(const process_t *server, uint64_t session); /* made when there is none */
uint32_t talk_record(const talk_t *t);                        /* for conn_record() */
out_t *talk_out(const talk_t *t, uint64_t key);
void talk_out_add(talk_t *t, uint64_t key, message_id_t id);
void talk_out_remove(talk_t *t, uint64_t key);
void talk_welcomed(talk_t *t);
void talk_check_window(const talk_t *t, const char *what);
voice_t *voice_find(uint64_t session);
/* As the server's loop has it. */
int64_t server_now_ms(process_t *p);

/* check_lease.c */
void lease_progress_sent(conn_t *c, const void *frame, size_t len);
void lease_progress_read(conn_t *c, talk_t *t, const void *frame, size_t len);
void lease_settled_sent(talk_t *t, const void *frame, size_t len);
void lease_settled_read(const peer_check_t *check, const void *frame, size_t len);
void lease_deliver_sent(conn_t *c, talk_t *t, const void *frame, size_t len);
void lease_deliver_read(conn_t *c, const void *frame, size_t len);

/* check_tasks.c */
void tasks_sent(conn_t *c, talk_t *t, const void *frame, size_t len);
void results_sent(const talk_t *t, const process_t *worker, const void *frame, size_t len);
void results_read(conn_t *c, talk_t *t, const void *frame, size_t len);
void tasks_started(conn_t *c, talk_t *t, uint64_t started);
void tasks_given_back(conn_t *c, const talk_t *t);

/* check_once.c */
void once_delivered(message_t *m, const process_t *consumer, const delivery_record_t *d);
void once_notes_read(const process_t *consumer, const talk_t *t, const void *frame, size_t len);
void once_passed_on(const message_t *m, const process_t *consumer, const note_t *note);
void once_task_sent(const process_t *consumer, const message_t *m, uint32_t leg, const task_record_t *r);
void once_notes_sent(const process_t *worker, talk_t *t, const void *frame, size_t len);

#endif

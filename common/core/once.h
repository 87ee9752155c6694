/* A restart that happens once: what one try does next. Pure: `now` is an argument, what is to be done is
 * handed out as a step, and what came of it is handed in.
 *
 *   begin: an intent of an earlier try? --no---> look: to be skipped? -> END
 *             |yes                                 |no
 *             v                                    v
 *           look: changed -> CHECK -> END OK      NOTE the intent, with what was seen
 *             |unchanged: WAIT it out, looking       |granted, in time
 *             |not readable until then: END UNKNOWN  v
 *             +------ look again, NOTE ---------->  ACT -> look until changed -> CHECK -> END OK
 *                                                    |not done: the intent is taken back, END TRANSIENT
 *                                                    |unchanged when the time is over: END TRANSIENT
 *
 * Record before act: the intent is on the publisher's disk, and the grant says that nobody else has the
 * message, before anything is done that cannot be undone. An intent that no result followed may have been
 * carried out, now or in a moment: by a worker that is dead, cut off, or only slow. It can begin as long as
 * its grant is valid, lasts no longer than its act limit, and shows within its return time-out; all three
 * stand in the note, and no clock is compared with another one: they run from the begin of the try that finds
 * the note.
 *
 * Ownership: a step's texts point into the once_t and are good until the next call. */
#ifndef MANDRILL_ONCE_H
#define MANDRILL_ONCE_H

#include "common/core/proto.h"

enum {
    OBSERVATION_ID_MAX = 64,
    OBSERVATION_TARGET_MAX = 64,
    ONCE_TEXT_BYTES = 512,
};

/* What a host was seen to be. */
typedef struct {
    char id[OBSERVATION_ID_MAX + 1]; /* another one after each restart (a boot id, StartedAt):
                                        1 to 64 of A-Z a-z 0-9 . _ : + - */
    int64_t up_ms;                   /* for how long it has been up; -1: not known */
    char
        target[OBSERVATION_TARGET_MAX + 1]; /* how the driver calls what it saw; for act(); "": as the host */
} observation_t;

bool observation_id_check(const char *id);

typedef struct {
    bool observes; /* hosts can be looked at */
    bool checks;   /* there is a check of their health */
    bool repeats;  /* an act that is asked for twice is carried out once: the target knows the message's id */
    bool dry_run;  /* everything but the act */
    int64_t min_uptime_ms; /* who is up for less is not restarted; 0: all are */
    int64_t grant_ms;      /* how long a grant is of use, from when it was asked for */
    int64_t act_ms;        /* how long an act may take */
    int64_t return_ms;     /* and its host, after that, to come back */
    int64_t poll_ms;       /* between two looks */
} once_policy_t;

/* The try, as its task has it. */
typedef struct {
    const void *note; /* of an earlier try, as it was in its step; NULL: none */
    uint32_t note_len;
    int64_t age_ms;      /* since the request was published, as far as clocks agree; at least 0 */
    int64_t deadline_ms; /* when the try will be cancelled, as `now`; INT64_MAX: never */
} once_task_t;

typedef enum {
    ONCE_LOOK,  /* at the host; then once_looked() */
    ONCE_NOTE,  /* record the note and ask for a grant; then once_granted(), or once_due() when none came */
    ONCE_ACT,   /* begin at once; then once_acted() */
    ONCE_CHECK, /* whether the host is well; then once_checked() */
    ONCE_WAIT,  /* then once_due() */
    ONCE_END,   /* the try's result */
} once_do_t;

typedef enum {
    ONCE_RESTARTED, /* by this try, or an earlier one, and it is back */
    ONCE_SKIPPED,   /* OK without an act */
    ONCE_FAILED,
} once_end_t;

typedef struct {
    once_do_t what;
    int64_t until_ms; /* LOOK, ACT, CHECK: it is to be given up then (and once_looked() ... told so); NOTE,
                         WAIT: once_due() is to be called then */
    const void *note; /* NOTE: what to record. END: what to record before the result, with note_len 0: that
                         the intent is void; NULL: nothing */
    uint32_t note_len;
    int64_t grant_ms;     /* NOTE */
    const char *observed; /* ACT: what was seen before it; "": nothing */
    const char *target;   /* ACT, CHECK: as the observation has it */
    once_end_t end;       /* END */
    outcome_t outcome;
    int64_t ms;       /* TRANSIENT: at least so long; BLOCKED: so long */
    const char *text; /* for people; "": nothing to say */
} once_step_t;

/* What came of a look. */
typedef enum {
    LOOK_SEEN,
    LOOK_FAILED,  /* not now: nobody answers, or what makes no sense */
    LOOK_REFUSED, /* there is no such host, or it is not ours to restart: PERMANENT */
    LOOK_AWAY,    /* what looks is away, whichever the host: BLOCKED */
} look_how_t;

typedef struct {
    look_how_t how;
    observation_t seen; /* SEEN */
    int64_t ms;         /* AWAY: for how long, at least */
    const char *text;   /* otherwise: why */
} look_t;

typedef enum {
    ACT_DONE,    /* carried out, as far as the driver can tell */
    ACT_NOT,     /* certainly not: `outcome` is TRANSIENT, PERMANENT or BLOCKED */
    ACT_UNKNOWN, /* carried out or not */
} act_how_t;

typedef struct {
    act_how_t how;
    outcome_t outcome;
    int64_t ms;       /* NOT: as in a result */
    const char *text; /* why it is not DONE */
} acted_t;

/* Its fields are once.c's. */
typedef struct {
    const once_policy_t *policy;
    uint32_t state;
    int64_t begun_ms, age_ms, deadline_ms;
    int64_t limit_ms;     /* of the state */
    bool noted;           /* an intent of ours or of an earlier try is recorded */
    observation_t before; /* the intent's */
    observation_t seen;
    char text[ONCE_TEXT_BYTES];
    uint8_t note[NOTE_BYTES_MAX];
} once_t;

/* `policy` stays the caller's and must not go before the end. */
void once_begin(once_t *o, const once_policy_t *policy, const once_task_t *task, int64_t now_ms,
                once_step_t *ret);
void once_looked(once_t *o, const look_t *look, int64_t now_ms, once_step_t *ret);
/* The answer to NOTE. Refused: the message or the try is not ours any more. */
void once_granted(once_t *o, bool granted, int64_t now_ms, once_step_t *ret);
void once_acted(once_t *o, const acted_t *acted, int64_t now_ms, once_step_t *ret);
/* `text`: why not, when it is not `well`. */
void once_checked(once_t *o, bool well, const char *text, int64_t now_ms, once_step_t *ret);
void once_due(once_t *o, int64_t now_ms, once_step_t *ret);
/* The task's time is over, or nobody wants it any more: END, whatever was under way (the caller stops it). */
void once_cancel(once_t *o, int64_t now_ms, once_step_t *ret);

#endif

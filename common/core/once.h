/* A restart that happens once: what one try does next. Pure: `now` is an argument, what is to be done is
 * handed out as a step, and what came of it is handed in.
 *
 *   begin: an intent of an earlier try? --no---> LOOK: to be skipped? --yes--> END OK
 *             |yes                                 |no
 *             v                                    v
 *           LOOK: changed -> CHECK -> END OK     NOTE the intent, with what was seen
 *             |unchanged: WAIT it out, looking     |granted, in time
 *             |unreadable until then: END UNKNOWN  v
 *             +---- looked once more, NOTE ---->  ACT -> LOOK until changed -> CHECK until well -> END OK
 *                                                  |not done: the intent is taken back, END
 *                                                  |unchanged when the time is over: END TRANSIENT
 *
 * Record before act: the intent is on the publisher's disk, and the grant says that nobody else has the
 * message, before anything is done that cannot be undone. An intent that no result followed may have been
 * carried out, now or in a moment: by a worker that is dead, cut off, or only slow. It can begin as long as
 * its grant is valid, lasts no longer than its act limit, and shows within its return time-out; all three
 * stand in the note, and no clock is compared with another one: they run from the begin of the try that finds
 * the note. Between the last look and the act somebody else may restart the host, or this process may stand
 * still: only a target that compares what was `observed` closes that gap.
 *
 * What is answered to a step (anything else is the caller's mistake):
 *
 *   LOOK   once_looked()   the driver gives up at until_ms and says so: LOOK_FAILED
 *   NOTE   once_granted()  or once_due() at until_ms, when no answer came
 *   ACT    once_acted()    the driver gives up at until_ms and says so: ACTED_UNKNOWN, unless it knows better
 *   CHECK  once_checked()  the driver gives up at until_ms and says so: not well
 *   WAIT   once_due()      at until_ms
 *   END    nothing
 *
 * And once_cancel() instead of any of them. An answer that comes late is taken as what it is: a process may
 * have stood still. A grant that comes late is none.
 *
 * How what was seen decides, from state to state:
 *
 *               before the act           while an intent is waited out    after the act, for return_ms
 *   changed     -                        somebody acted: CHECK, END OK    it is back: CHECK, END OK
 *   unchanged   guards, NOTE             again after poll_ms; then NOTE   again after poll_ms; then TRANSIENT
 *   FAILED      END TRANSIENT            again after poll_ms; then        again after poll_ms; then TRANSIENT
 *                                        UNKNOWN
 *   REFUSED     END PERMANENT            END PERMANENT, and says it       as FAILED
 *   AWAY        END BLOCKED              END BLOCKED                      as FAILED
 *
 * Where the driver cannot look, or saw nothing before an earlier act, that act is asked for once more at once
 * when the target `repeats`, and the try ends UNKNOWN when not. A note that cannot be read is UNKNOWN too.
 *
 * What is recorded when a try ends. Nothing was handed out to act: as it was before; an earlier intent that
 * was waited out with durations of zero, so that the next try acts, or tells, at its first look. The act was
 * handed out: the intent stays; with zero when the act is known to have ended, return_ms have passed, and the
 * host is seen to be as before; without an observation: that it is done, when only the host's health is not.
 *
 * A time is over when a look that began at its end or later has been answered. An intent is waited out for
 * its own durations; a host that cannot be read is waited for at least return_ms, as it may be coming up.
 *
 * Ownership: a step's texts and note point into the once_t and are good until the next call. */
#ifndef MANDRILL_ONCE_H
#define MANDRILL_ONCE_H

#include "common/core/proto.h"

enum {
    OBSERVATION_ID_MAX = 64,
    OBSERVATION_TARGET_MAX = 64,
    ONCE_TEXT_BYTES = 512,
    ONCE_MS_MAX = 86400000, /* of grant, act, return and poll: longer than any lease may last */
};

/* What a host was seen to be. */
typedef struct {
    /* Another one after each restart (a boot id, StartedAt): 1 to 64 of A-Z a-z 0-9 . _ : + - */
    char id[OBSERVATION_ID_MAX + 1];
    int64_t up_ms;                           /* for how long it has been up; -1: not known */
    char target[OBSERVATION_TARGET_MAX + 1]; /* how the driver calls what it saw; "": as the host */
} observation_t;

bool observation_id_check(const char *id);

typedef struct {
    bool observes; /* hosts can be looked at */
    bool checks;   /* there is a check of their health */
    bool repeats;  /* an act that is asked for twice is carried out once: the target knows the message's id */
    bool dry_run;  /* everything but the act */
    int64_t min_uptime_ms; /* who is up for less is not restarted; 0: all are */
    int64_t grant_ms;      /* how long a grant is of use, from when it was asked for */
    int64_t act_ms;        /* how long an act may take, and a look, and a check */
    int64_t return_ms;     /* and its host, after that, to come back */
    int64_t poll_ms;       /* between two looks; at least 1 */
} once_policy_t;

/* The try, as its task has it. */
typedef struct {
    const void *note;    /* of an earlier try, as it was in its step */
    uint32_t note_len;   /* 0: none */
    int64_t age_ms;      /* since the request was published, as far as clocks agree; at least 0 */
    int64_t deadline_ms; /* when the try will be cancelled, as `now`; INT64_MAX: never */
} once_task_t;

typedef enum {
    ONCE_LOOK,  /* at the host */
    ONCE_NOTE,  /* record the note and ask for a grant */
    ONCE_ACT,   /* begin at once: the grant may be over in a moment */
    ONCE_CHECK, /* whether the host is well */
    ONCE_WAIT,
    ONCE_END, /* the try's result */
} once_do_t;

typedef enum {
    ONCE_RESTARTED, /* by this try, or an earlier one, and it is back */
    ONCE_SKIPPED,   /* OK without an act */
    ONCE_FAILED,
} once_end_t;

typedef struct {
    once_do_t what;
    int64_t until_ms; /* all but END: see above */
    /* NOTE: what to record. END: what to record before the result, without a grant; of length 0 it says that
     * the intent is void. NULL: nothing, what is recorded stays. */
    const void *note;
    uint32_t note_len;
    int64_t grant_ms;     /* NOTE */
    const char *observed; /* ACT: the id that was seen before it; "": nothing */
    const char *target;   /* ACT, CHECK: as the last observation has it; "": as the host */
    once_end_t end;       /* END */
    outcome_t outcome;    /* END; OK unless FAILED */
    int64_t ms;           /* END: TRANSIENT: at least so long; BLOCKED: so long */
    bool short_limit;     /* END: --limit is too short for any try: the operator is to be told */
    const char *text;     /* END: for people; "": nothing to say */
} once_step_t;

/* What came of a look. */
typedef enum {
    LOOK_SEEN,
    LOOK_FAILED,  /* not now: nobody answers, or what makes no sense */
    LOOK_REFUSED, /* there is no such host, or it is not ours to restart */
    LOOK_AWAY,    /* what looks is away, whichever the host */
} look_how_t;

typedef struct {
    look_how_t how;
    observation_t seen; /* SEEN */
    int64_t ms;         /* AWAY: for how long, at least */
    const char *text;   /* otherwise: why */
} look_t;

typedef enum {
    ACTED_DONE,    /* carried out, as far as the driver can tell */
    ACTED_NOT,     /* certainly not: `outcome` is TRANSIENT, PERMANENT or BLOCKED */
    ACTED_UNKNOWN, /* carried out or not */
} acted_how_t;

typedef struct {
    acted_how_t how;
    outcome_t outcome;
    int64_t ms;       /* NOT: as in a result */
    const char *text; /* why it is not DONE */
} acted_t;

/* Its fields are once.c's. */
typedef struct {
    const once_policy_t *policy;
    uint32_t state;
    once_do_t doing; /* the last step */
    uint32_t earlier;
    bool unsure; /* whether our act was carried out */
    int64_t begun_ms, age_ms, deadline_ms;
    int64_t step_ms;      /* when the last step was handed out */
    int64_t acted_ms;     /* when our act was */
    int64_t limit_ms;     /* of the state */
    int64_t give_up_ms;   /* of an intent that is waited out, when the host cannot be read */
    observation_t before; /* the intent's */
    observation_t seen;
    char doubt[ONCE_TEXT_BYTES / 4]; /* why our act is unsure; "": it is not */
    char said[ONCE_TEXT_BYTES / 2];  /* why the last look or check was not good; "": the host was seen */
    char text[ONCE_TEXT_BYTES];
    uint8_t note[NOTE_BYTES_MAX];
} once_t;

/* `policy` stays the caller's and must not go, or change, before the end. */
void once_begin(once_t *o, const once_policy_t *policy, const once_task_t *task, int64_t now_ms,
                once_step_t *ret);
void once_looked(once_t *o, const look_t *look, int64_t now_ms, once_step_t *ret);
/* Refused: the message or the try is not ours any more, and END leaves what is recorded as it is. */
void once_granted(once_t *o, bool granted, int64_t now_ms, once_step_t *ret);
void once_acted(once_t *o, const acted_t *acted, int64_t now_ms, once_step_t *ret);
/* `text`: why not, when it is not `well`. */
void once_checked(once_t *o, bool well, const char *text, int64_t now_ms, once_step_t *ret);
/* Too early does no harm: a look is made earlier, a grant is done without. */
void once_due(once_t *o, int64_t now_ms, once_step_t *ret);
/* The task's time is over, or nobody wants it any more: END TRANSIENT, whatever was under way (the caller
 * stops it). An intent whose act has not been handed out is taken back; otherwise it stays, and the text says
 * what may have been done. */
void once_cancel(once_t *o, int64_t now_ms, once_step_t *ret);

#endif

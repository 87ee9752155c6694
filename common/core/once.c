#include "common/core/once_note.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/core/utf8.h"

enum {
    LATE_GRANT_AGAIN_MS = 1000,   /* a publisher or a link that is slow now */
    SHORT_LIMIT_AGAIN_MS = 10000, /* only a person ends that */
};

/* What a try is at. */
enum {
    GUARD,   /* nothing is recorded by us: is it to be restarted? */
    EARLIER, /* whether an earlier try has restarted it: looks, and waits between them */
    INTENT,  /* ours is on its way */
    ACTING,
    RETURN, /* looks and waits until the host is back */
    HEALTH, /* checks and waits until it is well */
    ENDED,
};

/* The intents of earlier tries, `once_t.earlier`. */
enum {
    NO_INTENT,
    WAITED_OUT, /* had no effect, and will have none */
    REPEATED,   /* may have had one: ours is the same act once more, as the target knows */
};

/* --- steps --- */

static void step(once_t *o, once_do_t what, int64_t now_ms, int64_t until_ms, once_step_t *ret)
{
    o->doing = what;
    o->step_ms = now_ms;
    *ret = (once_step_t){
        .what = what, .until_ms = until_ms, .observed = "", .target = o->seen.target, .text = ""};
}

__attribute__((format(printf, 2, 3))) static void say(once_t *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(o->text, sizeof o->text, format, args);
    va_end(args);
    o->text[utf8_prefix(o->text, strlen(o->text))] = '\0'; /* it may have been cut within a character */
}

/* With the text that was said before. */
static void end(once_t *o, once_end_t how, outcome_t outcome, int64_t now_ms, once_step_t *ret)
{
    o->state = ENDED;
    step(o, ONCE_END, now_ms, now_ms, ret);
    ret->end = how;
    ret->outcome = outcome;
    ret->text = o->text;
}

static void write_note(once_t *o, const once_note_t *note, once_step_t *ret)
{
    ret->note_len = once_note_write(note, o->note);
    ret->note = o->note;
}

/* The intent's time has passed and the host is as it was: the next try need not wait, but can still tell
 * whether something came of it after all. */
static void settle_note(once_t *o, once_step_t *ret)
{
    once_note_t note = {0};
    memcpy(note.id, o->before.id, sizeof note.id);
    write_note(o, &note, ret);
}

/* Our act has not begun and will not: what is recorded is to be as it was before our intent. */
static void take_back(once_t *o, once_step_t *ret)
{
    if (o->earlier == WAITED_OUT) {
        settle_note(o, ret);
    } else if (o->earlier == NO_INTENT) {
        ret->note = o->note;
        ret->note_len = 0;
    }
}

/* What else is to be known of a try that ends while an earlier one's intent is open. */
static const char *maybe_restarted(const once_t *o)
{
    const bool waits = o->state == EARLIER && o->earlier == NO_INTENT;
    return waits || o->earlier == REPEATED ? "; an earlier try may have restarted it" : "";
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A look or a check. One that began before the end of the state's time makes room for the last one then. */
static void look(once_t *o, once_do_t what, int64_t now_ms, once_step_t *ret)
{
    const int64_t until_ms = now_ms + o->policy->act_ms;
    const bool timed = o->state != GUARD && now_ms < o->limit_ms;
    step(o, what, now_ms, timed ? least(until_ms, o->limit_ms) : until_ms, ret);
}

/* Until the next look or check. */
static void pause(once_t *o, int64_t now_ms, int64_t limit_ms, once_step_t *ret)
{
    const int64_t due_ms = now_ms + o->policy->poll_ms;
    step(o, ONCE_WAIT, now_ms, now_ms < limit_ms ? least(due_ms, limit_ms) : now_ms, ret);
}

/* What was said last stands for the host's state. */
static void keep(once_t *o, const char *text)
{
    snprintf(o->said, sizeof o->said, "%s", text != NULL && text[0] != '\0' ? text : "no reason was given");
    o->said[utf8_prefix(o->said, strlen(o->said))] = '\0';
}

/* --- the act --- */

/* Whether the deadline leaves room for an act now, or from `from_ms` on; END when it does not. */
static bool fits(once_t *o, int64_t from_ms, int64_t now_ms, once_step_t *ret)
{
    const once_policy_t *p = o->policy;
    const int64_t need_ms = from_ms - now_ms + p->grant_ms + p->act_ms + p->return_ms;
    if (o->deadline_ms == INT64_MAX || o->deadline_ms - now_ms >= need_ms) {
        return true;
    }
    char need[ONCE_DURATION_TEXT], left[ONCE_DURATION_TEXT], grant[ONCE_DURATION_TEXT];
    char act[ONCE_DURATION_TEXT], back[ONCE_DURATION_TEXT], wait[ONCE_DURATION_TEXT];
    const int64_t left_ms = o->deadline_ms > now_ms ? o->deadline_ms - now_ms : 0;
    const bool waits = from_ms > now_ms;
    say(o,
        "a try may need %s (--grant %s, --act-timeout %s, --return-timeout %s%s%s), and %s are left of "
        "--limit: not begun",
        once_exactly(need_ms, need), once_exactly(p->grant_ms, grant), once_exactly(p->act_ms, act),
        once_exactly(p->return_ms, back), waits ? ", for an earlier try's act " : "",
        waits ? once_exactly(from_ms - now_ms, wait) : "", once_exactly(left_ms, left));
    end(o, ONCE_FAILED, OUTCOME_BLOCKED, now_ms, ret);
    ret->ms = SHORT_LIMIT_AGAIN_MS;
    ret->short_limit = true;
    return false;
}

/* END when the host is not to be restarted, or that cannot be told. */
static bool guarded(once_t *o, int64_t now_ms, once_step_t *ret)
{
    const once_policy_t *p = o->policy;
    char up[ONCE_DURATION_TEXT], least_up[ONCE_DURATION_TEXT];
    const int64_t up_ms = p->observes ? o->seen.up_ms : -1;
    /* As old as it was when the look began: what was restarted after the request is skipped, nothing else. */
    const int64_t age_ms = o->age_ms + (o->step_ms - o->begun_ms);
    if (up_ms >= 0 && up_ms < age_ms) {
        say(o, "was restarted %s ago, after the request", once_duration(up_ms, up));
    } else if (up_ms >= 0 && up_ms < p->min_uptime_ms) {
        say(o, "is up for %s, less than --min-uptime %s", once_duration(up_ms, up),
            once_exactly(p->min_uptime_ms, least_up));
    } else if (up_ms < 0 && p->min_uptime_ms > 0) {
        say(o, "for how long it is up is not known, and --min-uptime asks for it%s", maybe_restarted(o));
        end(o, ONCE_FAILED, OUTCOME_TRANSIENT, now_ms, ret);
        return true;
    } else if (p->dry_run && o->earlier == REPEATED) {
        say(o, "an earlier try may have restarted it, and a dry run does not ask again");
        end(o, ONCE_FAILED, OUTCOME_UNKNOWN, now_ms, ret);
        return true;
    } else if (p->dry_run) {
        say(o, "dry run: would have been restarted");
    } else {
        return false;
    }
    end(o, ONCE_SKIPPED, OUTCOME_OK, now_ms, ret);
    return true;
}

/* The host is as it was, or there is no telling: NOTE, unless it is not to be restarted. */
static void intend(once_t *o, int64_t now_ms, once_step_t *ret)
{
    const once_policy_t *p = o->policy;
    if (guarded(o, now_ms, ret) || !fits(o, now_ms, now_ms, ret)) {
        if (ret->outcome != OUTCOME_OK && o->earlier == WAITED_OUT) {
            settle_note(o, ret); /* so that the next try need not wait as long once more */
        }
        return;
    }
    o->state = INTENT;
    o->before = o->seen;
    o->limit_ms = now_ms + p->grant_ms;
    once_note_t note = {.grant_ms = p->grant_ms, .act_ms = p->act_ms, .return_ms = p->return_ms};
    memcpy(note.id, o->before.id, sizeof note.id);
    step(o, ONCE_NOTE, now_ms, o->limit_ms, ret);
    write_note(o, &note, ret);
    ret->grant_ms = p->grant_ms;
}

static void not_granted(once_t *o, int64_t now_ms, once_step_t *ret)
{
    char grant[ONCE_DURATION_TEXT];
    say(o, "no grant within --grant %s: not restarted%s", once_exactly(o->policy->grant_ms, grant),
        maybe_restarted(o));
    end(o, ONCE_FAILED, OUTCOME_BLOCKED, now_ms, ret);
    ret->ms = LATE_GRANT_AGAIN_MS;
    take_back(o, ret);
}

void once_granted(once_t *o, bool granted, int64_t now_ms, once_step_t *ret)
{
    assert(o->doing == ONCE_NOTE);
    if (!granted) {
        say(o, "refused: the message is not this try's any more");
        end(o, ONCE_FAILED, OUTCOME_BLOCKED, now_ms, ret);
        ret->ms = LATE_GRANT_AGAIN_MS;
        return;
    }
    if (now_ms >= o->limit_ms) {
        not_granted(o, now_ms, ret);
        return;
    }
    o->state = ACTING;
    step(o, ONCE_ACT, now_ms, now_ms + o->policy->act_ms, ret);
    ret->observed = o->before.id;
}

/* --- after the act --- */

/* END OK, with how it came. */
static void back(once_t *o, int64_t now_ms, once_step_t *ret)
{
    char took[ONCE_DURATION_TEXT];
    o->text[0] = '\0';
    if (o->acted_ms < 0) {
        say(o, "was restarted by an earlier try");
    } else if (o->policy->observes) {
        say(o, "is back after %s", once_duration(now_ms - o->acted_ms, took));
    }
    end(o, ONCE_RESTARTED, OUTCOME_OK, now_ms, ret);
}

/* It has been restarted: is it well? `limit_ms`: when it has to be. */
static void restarted(once_t *o, int64_t limit_ms, int64_t now_ms, once_step_t *ret)
{
    if (!o->policy->checks) {
        back(o, now_ms, ret);
        return;
    }
    o->state = HEALTH;
    o->limit_ms = limit_ms;
    look(o, ONCE_CHECK, now_ms, ret);
}

/* Nothing can be seen of it, or nothing is left to be: that our act was carried out is all that is known. */
static void done_note(once_t *o, once_step_t *ret)
{
    if (o->before.id[0] == '\0') {
        write_note(o, &(once_note_t){.done = true}, ret);
    }
}

void once_acted(once_t *o, const acted_t *acted, int64_t now_ms, once_step_t *ret)
{
    assert(o->doing == ONCE_ACT);
    const once_policy_t *p = o->policy;
    const char *why = acted->text != NULL && acted->text[0] != '\0' ? acted->text : "no reason was given";
    if (acted->how == ACTED_NOT) {
        assert(acted->outcome == OUTCOME_TRANSIENT || acted->outcome == OUTCOME_PERMANENT ||
               acted->outcome == OUTCOME_BLOCKED);
        say(o, "%s%s", why, maybe_restarted(o));
        end(o, ONCE_FAILED, acted->outcome, now_ms, ret);
        ret->ms = acted->ms;
        take_back(o, ret);
        return;
    }
    o->acted_ms = o->step_ms;
    o->unsure = acted->how == ACTED_UNKNOWN;
    snprintf(o->doubt, sizeof o->doubt, "%s", o->unsure ? why : "");
    if (p->observes) {
        o->state = RETURN;
        o->limit_ms = now_ms + p->return_ms;
        look(o, ONCE_LOOK, now_ms, ret);
    } else if (!o->unsure) {
        restarted(o, now_ms + p->return_ms, now_ms, ret);
    } else {
        say(o, "may have been restarted: %s", why);
        end(o, ONCE_FAILED, p->repeats ? OUTCOME_TRANSIENT : OUTCOME_UNKNOWN, now_ms, ret);
    }
}

static void looked_for_return(once_t *o, const look_t *seen, int64_t now_ms, once_step_t *ret)
{
    if (seen->how == LOOK_SEEN && strcmp(o->seen.id, o->before.id) != 0) {
        restarted(o, o->limit_ms, now_ms, ret);
        return;
    }
    if (o->step_ms < o->limit_ms) {
        pause(o, now_ms, o->limit_ms, ret);
        return;
    }
    char limit[ONCE_DURATION_TEXT];
    const bool was_seen = seen->how == LOOK_SEEN;
    say(o, "%s, and %s within --return-timeout %s%s%s%s%s",
        o->unsure ? "may have been restarted" : "was told to restart",
        was_seen ? "showed no restart" : "did not come back", once_exactly(o->policy->return_ms, limit),
        was_seen ? "" : ": ", o->said, o->unsure ? "; the act: " : "", o->doubt);
    end(o, ONCE_FAILED, OUTCOME_TRANSIENT, now_ms, ret);
    if (was_seen && !o->unsure) {
        settle_note(o, ret);
    }
}

void once_checked(once_t *o, bool well, const char *text, int64_t now_ms, once_step_t *ret)
{
    assert(o->doing == ONCE_CHECK);
    if (well) {
        back(o, now_ms, ret);
        return;
    }
    keep(o, text);
    if (o->step_ms < o->limit_ms) {
        pause(o, now_ms, o->limit_ms, ret);
        return;
    }
    char limit[ONCE_DURATION_TEXT];
    say(o, "was restarted, and is not well within --return-timeout %s: %s",
        once_exactly(o->policy->return_ms, limit), o->said);
    end(o, ONCE_FAILED, OUTCOME_TRANSIENT, now_ms, ret);
    done_note(o, ret);
}

/* --- before the act --- */

/* A look before our act that did not see the host: END. */
static void not_seen(once_t *o, const look_t *seen, int64_t now_ms, once_step_t *ret)
{
    static const outcome_t outcomes[] = {
        [LOOK_FAILED] = OUTCOME_TRANSIENT, [LOOK_REFUSED] = OUTCOME_PERMANENT, [LOOK_AWAY] = OUTCOME_BLOCKED};
    say(o, "%s%s", o->said, maybe_restarted(o));
    end(o, ONCE_FAILED, outcomes[seen->how], now_ms, ret);
    ret->ms = seen->how == LOOK_AWAY ? seen->ms : 0;
}

static void looked_for_earlier(once_t *o, const look_t *seen, int64_t now_ms, once_step_t *ret)
{
    if (seen->how == LOOK_REFUSED || seen->how == LOOK_AWAY) {
        not_seen(o, seen, now_ms, ret);
        return;
    }
    const bool was_seen = seen->how == LOOK_SEEN;
    const int64_t limit_ms = was_seen ? o->limit_ms : o->give_up_ms;
    if (was_seen && strcmp(o->seen.id, o->before.id) != 0) {
        restarted(o, now_ms + o->policy->return_ms, now_ms, ret);
    } else if (o->step_ms < limit_ms) {
        if (o->policy->dry_run || fits(o, o->limit_ms > now_ms ? o->limit_ms : now_ms, now_ms, ret)) {
            pause(o, now_ms, limit_ms, ret);
        }
    } else if (was_seen) {
        o->earlier = WAITED_OUT;
        intend(o, now_ms, ret);
    } else {
        say(o, "an earlier try may have restarted it, and it cannot be looked at: %s", o->said);
        end(o, ONCE_FAILED, OUTCOME_UNKNOWN, now_ms, ret);
    }
}

void once_looked(once_t *o, const look_t *seen, int64_t now_ms, once_step_t *ret)
{
    assert(o->doing == ONCE_LOOK);
    look_t checked = *seen;
    if (seen->how == LOOK_SEEN && !observation_id_check(seen->seen.id)) {
        checked = (look_t){.how = LOOK_FAILED, .text = "what was seen has no id to tell restarts by"};
    }
    if (checked.how == LOOK_SEEN) {
        o->seen = checked.seen;
        o->said[0] = '\0';
    } else {
        keep(o, checked.text);
    }
    if (o->state == EARLIER) {
        looked_for_earlier(o, &checked, now_ms, ret);
    } else if (o->state == RETURN) {
        looked_for_return(o, &checked, now_ms, ret);
    } else if (checked.how == LOOK_SEEN) {
        intend(o, now_ms, ret);
    } else {
        not_seen(o, &checked, now_ms, ret);
    }
}

/* --- begin, time, cancel --- */

/* Looks, where that can be done, whether it is to be restarted. */
static void guard(once_t *o, int64_t now_ms, once_step_t *ret)
{
    o->state = GUARD;
    if (o->policy->observes) {
        look(o, ONCE_LOOK, now_ms, ret);
    } else {
        intend(o, now_ms, ret);
    }
}

/* An earlier try has left an intent. */
static void resolve(once_t *o, const once_note_t *note, int64_t now_ms, once_step_t *ret)
{
    const once_policy_t *p = o->policy;
    if (note->done) {
        restarted(o, now_ms + p->return_ms, now_ms, ret);
    } else if (p->observes && note->id[0] != '\0') {
        const int64_t wait_ms = note->grant_ms + note->act_ms + note->return_ms;
        o->state = EARLIER;
        memcpy(o->before.id, note->id, sizeof o->before.id);
        o->limit_ms = now_ms + wait_ms;
        o->give_up_ms = now_ms + (wait_ms > p->return_ms ? wait_ms : p->return_ms);
        look(o, ONCE_LOOK, now_ms, ret);
    } else if (p->repeats) {
        o->earlier = REPEATED;
        guard(o, now_ms, ret);
    } else {
        say(o, "an earlier try may have restarted it, and nothing tells whether it did");
        end(o, ONCE_FAILED, OUTCOME_UNKNOWN, now_ms, ret);
    }
}

void once_begin(once_t *o, const once_policy_t *policy, const once_task_t *task, int64_t now_ms,
                once_step_t *ret)
{
    assert(policy->grant_ms > 0 && policy->grant_ms <= ONCE_MS_MAX);
    assert(policy->act_ms > 0 && policy->act_ms <= ONCE_MS_MAX);
    assert(policy->return_ms >= 0 && policy->return_ms <= ONCE_MS_MAX);
    assert(policy->poll_ms > 0 && policy->poll_ms <= ONCE_MS_MAX);
    assert(task->age_ms >= 0);
    *o = (once_t){.policy = policy,
                  .begun_ms = now_ms,
                  .age_ms = task->age_ms,
                  .deadline_ms = task->deadline_ms,
                  .acted_ms = -1};
    o->seen.up_ms = -1;
    once_note_t note;
    if (task->note_len == 0) {
        guard(o, now_ms, ret);
    } else if (once_note_read(task->note, task->note_len, &note) == 0) {
        resolve(o, &note, now_ms, ret);
    } else {
        say(o, "an earlier try may have restarted it, and its note is damaged or of another version");
        end(o, ONCE_FAILED, OUTCOME_UNKNOWN, now_ms, ret);
    }
}

void once_due(once_t *o, int64_t now_ms, once_step_t *ret)
{
    assert(o->doing == ONCE_NOTE || o->doing == ONCE_WAIT);
    if (o->doing == ONCE_NOTE) {
        not_granted(o, now_ms, ret);
    } else {
        look(o, o->state == HEALTH ? ONCE_CHECK : ONCE_LOOK, now_ms, ret);
    }
}

void once_cancel(once_t *o, int64_t now_ms, once_step_t *ret)
{
    char after[ONCE_DURATION_TEXT];
    const uint32_t state = o->state;
    assert(state != ENDED);
    once_duration(now_ms - o->begun_ms, after);
    if (state == GUARD || state == INTENT) {
        say(o, "cancelled after %s: not restarted%s", after, maybe_restarted(o));
    } else if (state == EARLIER) {
        say(o, "cancelled after %s%s", after, maybe_restarted(o));
    } else if (state == ACTING || (state == RETURN && o->unsure)) {
        say(o, "cancelled after %s: may have been restarted", after);
    } else if (state == RETURN) {
        say(o, "cancelled after %s: was told to restart, and is not back%s%s", after,
            o->said[0] != '\0' ? ": " : "", o->said);
    } else {
        say(o, "cancelled after %s: was restarted, and is not known to be well", after);
    }
    end(o, ONCE_FAILED, OUTCOME_TRANSIENT, now_ms, ret);
    if (state == INTENT) {
        take_back(o, ret);
    } else if (state == HEALTH) {
        done_note(o, ret);
    }
}

/* What the gather tells of tries: a record of each that failed, and of the others of such a message. Until
 * something fails nothing is written down but what the task remembers anyway. */
#include "common/core/gather_internal.h"
#include "common/core/utf8.h"
#include <string.h>

enum {
    TEXT_CUT = 256,   /* of a try's text */
    EVENT_BYTES = 24, /* an event without its label and its text */
};

_Static_assert(LEGS_MAX *(EVENT_BYTES + LABEL_BYTES_MAX + TEXT_CUT) <= HISTORY_BYTES_MAX,
               "there is room for the last try of each leg");

/* --- names --- */

uint32_t gather_who_joined(gather_t *g, const char *label)
{
    who_t *who = &g->whos[++g->whos_count % WHO_MAX];
    who->len = (uint8_t)strlen(label);
    memcpy(who->bytes, label, who->len);
    return g->whos_count;
}

text_t gather_who(const gather_t *g, uint32_t who)
{
    if (who == 0 || g->whos_count - who >= WHO_MAX)
        return (text_t){"", 0};
    const who_t *w = &g->whos[who % WHO_MAX];
    return (text_t){w->bytes, w->len};
}

/* --- records --- */

static size_t bytes_of(const gather_try_t *t)
{
    return sizeof *t + t->label.len + t->text.len;
}

static uint16_t event_bytes(const gather_try_t *t)
{
    return (uint16_t)(EVENT_BYTES + t->label.len + t->text.len);
}

static gather_try_t *copy_of(gather_t *g, const gather_try_t *what)
{
    uint32_t text_len = what->text.len;
    if (text_len > TEXT_CUT)
        text_len = (uint32_t)utf8_prefix(what->text.bytes, TEXT_CUT);
    gather_try_t *t = slab_get(&g->slab, sizeof *t + what->label.len + text_len);
    if (t == NULL)
        return NULL;
    char *label = (char *)(t + 1), *text = label + what->label.len;
    if (what->label.len > 0)
        memcpy(label, what->label.bytes, what->label.len);
    if (text_len > 0)
        memcpy(text, what->text.bytes, text_len);
    *t = *what;
    t->next = NULL;
    t->label.bytes = label;
    t->text = (text_t){text, text_len};
    return t;
}

static void free_list(gather_t *g, gather_try_t *t)
{
    while (t != NULL) {
        gather_try_t *next = t->next;
        slab_put(&g->slab, t, bytes_of(t));
        t = next;
    }
}

static bool has_later_of_its_leg(const gather_try_t *t)
{
    for (const gather_try_t *later = t->next; later != NULL; later = later->next)
        if (later->leg == t->leg)
            return true;
    return false;
}

/* Makes room by what matters least: the oldest, but the last of a leg, from which the next consumer goes on
 * counting. */
static bool forget_one(gather_t *g, entry_t *e)
{
    gather_try_t **at = &e->tries;
    while (*at != NULL && !has_later_of_its_leg(*at))
        at = &(*at)->next;
    gather_try_t *t = *at;
    if (t == NULL)
        return false;
    *at = t->next;
    e->tries_count--;
    e->tries_bytes -= event_bytes(t);
    slab_put(&g->slab, t, bytes_of(t));
    return true;
}

static bool too_many(const entry_t *e)
{
    return e->tries_count > STEP_EVENTS_MAX || e->tries_bytes > HISTORY_BYTES_MAX;
}

/* Without memory the try is not told; here it is counted all the same. */
static void add(gather_t *g, entry_t *e, const gather_try_t *what)
{
    gather_try_t *t = copy_of(g, what);
    if (t == NULL)
        return;
    gather_try_t **at = &e->tries;
    while (*at != NULL)
        at = &(*at)->next;
    *at = t;
    e->tries_count++;
    e->tries_bytes += event_bytes(t);
    while (too_many(e) && forget_one(g, e))
        continue;
}

void gather_tries_begin(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    if (e->failed)
        return;
    e->failed = true;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        task_t *t = &g->tasks[slot * LEGS_MAX + leg];
        if (!t->kept_ok)
            continue;
        gather_try_t ok = {.leg = leg,
                           .no = t->failures + 1u,
                           .how = HOW_OK,
                           .since_ms = t->since_ms,
                           .took_ms = t->took_ms,
                           .label = gather_who(g, t->who)};
        add(g, e, &ok);
        t->kept_ok = false;
    }
}

void gather_try_tell(gather_t *g, uint32_t n, const gather_try_t *what)
{
    add(g, &g->entries[n / LEGS_MAX], what);
}

void gather_tries_hand_out(gather_t *g, entry_t *e, gather_step_t *ret)
{
    if (e->tries == NULL)
        return;
    ret->tries = e->tries;
    ret->tries_count = e->tries_count;
    gather_try_t **last = &e->tries;
    while (*last != NULL)
        last = &(*last)->next;
    *last = g->told;
    g->told = e->tries;
    e->tries = NULL;
    e->tries_count = 0;
    e->tries_bytes = 0;
}

void gather_tries_drop(gather_t *g, entry_t *e)
{
    free_list(g, e->tries);
    e->tries = NULL;
}

void gather_tries_told(gather_t *g)
{
    free_list(g, g->told);
    g->told = NULL;
}

#include "cli/tally.h"

void tally_init(tally_t *t)
{
    *t = (tally_t){0};
}

static counts_t add(const counts_t *a, const counts_t *b)
{
    return (counts_t){
        .published = a->published + b->published,
        .acked = a->acked + b->acked,
        .dead = a->dead + b->dead,
        .saved = a->saved + b->saved,
        .restarted = a->restarted + b->restarted,
    };
}

void tally_heard(tally_t *t, const counts_t *now, uint64_t backlog)
{
    t->now = *now;
    t->backlog = backlog;
    if (t->begun)
        return;
    /* All that is there or has left, less what came since. */
    uint64_t seen = backlog + now->acked + now->dead;
    t->leftover = seen > now->published ? seen - now->published : 0;
    t->begun = true;
}

void tally_publisher_gone(tally_t *t)
{
    t->before = tally_sum(t);
    t->now = (counts_t){0};
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

void tally_settle(tally_t *t, uint64_t published)
{
    counts_t sum = tally_sum(t);
    uint64_t known = t->backlog + sum.dead;
    uint64_t all = t->leftover + published;
    sum.published = published;
    sum.acked = all > known ? all - known : 0;
    /* An acked message has all its legs done. */
    sum.saved = at_least(sum.saved, sum.acked);
    sum.restarted = at_least(sum.restarted, sum.acked);
    t->before = sum;
    t->now = (counts_t){0};
}

counts_t tally_sum(const tally_t *t)
{
    return add(&t->before, &t->now);
}

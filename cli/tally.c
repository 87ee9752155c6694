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

void tally_heard(tally_t *t, const counts_t *now, const stock_t *stock)
{
    /* Dead letters are in the outbox, so what the life before did not tell is known all the same. */
    if (t->begun && stock->dead_at_start > t->dead_before)
        t->before.dead = stock->dead_at_start - t->dead_before;
    t->now = *now;
    t->stock = *stock;
    if (t->begun)
        return;
    /* All that is there or has left, less what came since. */
    uint64_t seen = stock->backlog + now->acked + now->dead;
    t->leftover = seen > now->published ? seen - now->published : 0;
    t->dead_before = stock->dead_at_start;
    t->begun = true;
}

void tally_publisher_gone(tally_t *t)
{
    t->before = tally_sum(t);
    t->now = (counts_t){0};
    t->lives++;
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value > least ? value : least;
}

void tally_settle(tally_t *t, uint64_t load)
{
    counts_t sum = tally_sum(t);
    if (t->lives == 0)
        return;
    sum.published = at_least(sum.published, load);
    uint64_t all = t->leftover + sum.published;
    uint64_t known = t->stock.backlog + sum.dead;
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

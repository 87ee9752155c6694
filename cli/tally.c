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
    /* published + leftover = acked + dead + backlog; the sums of published and acked may both be too small.
     */
    uint64_t ended = sum.dead + t->stock.backlog;
    sum.published = at_least(at_least(sum.published, load),
                             sum.acked + ended > t->leftover ? sum.acked + ended - t->leftover : 0);
    sum.acked = at_least(sum.published + t->leftover, ended) - ended;
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

#include "cli/summary.h"
#include <inttypes.h>

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void write_stop(const summary_t *s, FILE *out)
{
    fprintf(out, "stopped with %" PRIu64 " message%s at work: %" PRIu64 " finished, %" PRIu64 " released",
            s->at_work, plural(s->at_work), s->finished, s->released);
    if (s->left > 0)
        fprintf(out, ", %" PRIu64 " left as they were", s->left);
    fputc('\n', out);
}

void summary_write(const summary_t *s, FILE *out)
{
    const counts_t *c = &s->counts;
    fprintf(out,
            "%" PRIu64 " published, %" PRIu64 " saved, %" PRIu64 " restarted, %" PRIu64 " acked, %" PRIu64
            " dead\n",
            c->published, c->saved, c->restarted, c->acked, c->dead);
    if (s->seconds > 0)
        fprintf(out, "%.*f s, %.*f messages/s\n", s->seconds < 10 ? 2 : 1, s->seconds,
                (double)c->acked / s->seconds < 10 ? 1 : 0, (double)c->acked / s->seconds);
    if (s->stopped)
        write_stop(s, out);
    if (s->unpublished > 0)
        fprintf(out, "%" PRIu64 " of the load %s not published\n", s->unpublished,
                s->unpublished == 1 ? "was" : "were");
    if (s->leftover > 0)
        fprintf(out, "%" PRIu64 " message%s of an earlier run %s there already\n", s->leftover,
                plural(s->leftover), s->leftover == 1 ? "was" : "were");
    if (c->dead > 0)
        fprintf(out, "%" PRIu64 " dead letter%s kept in %s/outbox.db; see: mandrill dead list --data %s\n",
                c->dead, plural(c->dead), s->data_dir, s->data_dir);
    if (s->backlog > 0)
        fprintf(out,
                "%" PRIu64 " message%s not finished: kept in %s/outbox.db, the next run over it goes on\n",
                s->backlog, plural(s->backlog), s->data_dir);
}

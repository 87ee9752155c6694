#include "cli/load_report.h"
#include "cli/report.h"
#include <inttypes.h>
#include <string.h>

void load_watch_init(load_watch_t *w)
{
    *w = (load_watch_t){.dead_before = -1, .backlog = -1};
}

void load_watch_confirmed(load_watch_t *w, message_id_t last)
{
    if (last.stream != w->last.stream)
        w->last_epoch = 0;
    w->last = last;
    w->settled = false;
}

/* Rows are in the order of their starts and their numbers, so everything before the oldest that is left is
 * done or dead. A stream whose start was never seen is older than the one that answers. */
static bool is_settled(const load_watch_t *w, const json_t *status)
{
    const int64_t epoch = report_int(status, "oldest_epoch", 0);
    if (report_int(status, "backlog", -1) == 0)
        return true;
    if (epoch == 0 || w->last.seq == 0)
        return false;
    if (w->last_epoch == 0)
        return epoch >= report_int(status, "epoch", INT64_MAX);
    return epoch > w->last_epoch ||
           (epoch == w->last_epoch && report_int(status, "oldest_seq", 0) > (int64_t)w->last.seq);
}

bool load_watch_report(load_watch_t *w, const json_t *status)
{
    char session[24];
    const load_watch_t before = *w;
    const int64_t dead = report_int(status, "dead", 0);
    if (w->dead_before < 0)
        w->dead_before = dead;
    /* A publisher that was given another outbox meanwhile, or purged: none are ours. */
    w->dead = dead > w->dead_before ? dead - w->dead_before : 0;
    w->backlog = report_int(status, "backlog", 0);
    snprintf(session, sizeof session, "%016" PRIx64, w->last.stream);
    if (strcmp(report_text(status, "session", ""), session) == 0)
        w->last_epoch = report_int(status, "epoch", 0);
    w->settled = is_settled(w, status);
    return w->dead != before.dead || w->backlog != before.backlog || w->settled != before.settled;
}

static double ms_of(const histogram_t *h, double q)
{
    return (double)histogram_quantile(h, q) / 1000;
}

static double rate_of(const load_result_t *r)
{
    return r->seconds > 0 ? (double)r->acked / r->seconds : 0;
}

void load_result_text(const load_result_t *r, FILE *out)
{
    fprintf(out, "%" PRIu64 " messages acked in %.1f s: %.0f a second", r->acked, r->seconds, rate_of(r));
    if (r->dead > 0)
        fprintf(out, "; %" PRIu64 " died", r->dead);
    if (r->refused > 0)
        fprintf(out, "; %" PRIu64 " were refused", r->refused);
    if (r->confirmed > r->acked + r->dead)
        fprintf(out, "; %" PRIu64 " are still in the outbox", r->confirmed - r->acked - r->dead);
    fprintf(out, "; confirms took %.1f ms (p50), %.1f ms (p99)\n", ms_of(&r->confirms, 0.5),
            ms_of(&r->confirms, 0.99));
}

char *load_result_json(const load_result_t *r)
{
    json_t *all = json_pack("{s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:{s:f,s:f,s:f}}", "count", (json_int_t)r->count,
                            "confirmed", (json_int_t)r->confirmed, "refused", (json_int_t)r->refused, "acked",
                            (json_int_t)r->acked, "dead", (json_int_t)r->dead, "seconds", r->seconds, "rate",
                            rate_of(r), "confirm_ms", "p50", ms_of(&r->confirms, 0.5), "p99",
                            ms_of(&r->confirms, 0.99), "max", (double)r->confirms.max_us / 1000);
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(all);
    return text;
}

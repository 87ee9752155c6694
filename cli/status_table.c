#include "cli/status_table.h"
#include "cli/human.h"
#include "cli/report.h"
#include <inttypes.h>
#include <stdbool.h>

static void print_head(FILE *out, const char *name, const json_t *report, const char *endpoint)
{
    fprintf(out, "%s %s", name, report_text(report, "version", "?"));
    if (endpoint)
        fprintf(out, " at %s", endpoint);
    char text[HUMAN_TEXT];
    if (report_at(report, "uptime_ms"))
        fprintf(out, ", up %s", human_duration(report_int(report, "uptime_ms", 0), text));
    fprintf(out, "%s\n", report_int(report, "draining", 0) ? ", draining" : "");
}

static void print_label(FILE *out, const char *label)
{
    fprintf(out, "  %-12s", label);
}

static void print_count(FILE *out, const char *label, const json_t *report, const char *path,
                        const char *rate_path)
{
    print_label(out, label);
    fprintf(out, "%-10" PRId64, report_int(report, path, 0));
    if (rate_path && report_at(report, rate_path))
        fprintf(out, " %.1f/s", report_real(report, rate_path, 0));
    fputc('\n', out);
}

/* "refused.body": 3 and the like, as far as they are not 0: "body 3, gap 1". */
static void print_refused(FILE *out, const json_t *report)
{
    const char *key;
    json_t *value;
    bool any = false;
    json_t *refused = json_object_get(report, "refused");
    json_object_foreach(refused, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) == 0)
            continue;
        if (!any)
            print_label(out, "refused");
        fprintf(out, "%s%s %" JSON_INTEGER_FORMAT, any ? ", " : "", key, json_integer_value(value));
        any = true;
    }
    if (any)
        fputc('\n', out);
}

/* Each of several: what share of the work it got. */
static void print_shares(FILE *out, const char *head, json_t *each)
{
    const char *key;
    json_t *one;
    int64_t all = 0;
    if (json_object_size(each) < 2)
        return;
    json_object_foreach(each, key, one) all += report_int(one, "given", 0);
    json_object_foreach(each, key, one)
    {
        const int64_t given = report_int(one, "given", 0);
        fprintf(out, "  %-11.32s %-30.64s got %" PRId64 " (%.1f %%), has %" PRId64 " of %" PRId64 "\n", head,
                report_text(one, "name", "?"), given, all > 0 ? 100.0 * (double)given / (double)all : 0.0,
                report_int(one, "outstanding", 0), report_int(one, "window", 0));
    }
}

static void print_publisher(FILE *out, const json_t *p, const char *dead_command)
{
    char text[HUMAN_TEXT];
    print_head(out, "publisher", p, NULL);
    print_label(out, "backlog");
    fprintf(out, "%-10" PRId64, report_int(p, "backlog", 0));
    if (report_int(p, "backlog", 0) > 0)
        fprintf(out, " oldest %s", human_duration(report_int(p, "oldest_age_ms", 0), text));
    fputc('\n', out);
    if (report_at(p, "leased")) {
        print_label(out, "  of it");
        fprintf(out, "ready %" PRId64 ", leased %" PRId64 ", waiting %" PRId64 ", unsure %" PRId64 "\n",
                report_int(p, "ready", 0), report_int(p, "leased", 0), report_int(p, "parked", 0),
                report_int(p, "limbo", 0));
    }
    if (report_at(p, "published"))
        print_count(out, "published", p, "published", "rate.published");
    if (report_at(p, "acked"))
        print_count(out, "acked", p, "acked", "rate.acked");
    print_label(out, "dead");
    if (report_int(p, "dead", 0) > 0)
        fprintf(out, "%-10" PRId64 " see: %s\n", report_int(p, "dead", 0), dead_command);
    else
        fprintf(out, "0\n");
    if (report_int(p, "suspects", 0) > 0) {
        print_label(out, "suspects");
        fprintf(out, "%-10" PRId64 " each was out when two or more consumers were lost\n",
                report_int(p, "suspects", 0));
    }
    if (report_at(p, "redelivered"))
        print_count(out, "redelivered", p, "redelivered", NULL);
    if (report_int(p, "load.total", 0) > 0) {
        print_label(out, "load");
        fprintf(out, "%" PRId64 " of %" PRId64 "\n", report_int(p, "load.position", 0),
                report_int(p, "load.total", 0));
    }
    print_label(out, "outbox");
    fprintf(out, "%s", human_bytes(report_int(p, "outbox_bytes", 0), text));
    if (report_int(p, "outbox_max_bytes", 0) > 0)
        fprintf(out, " of %s", human_bytes(report_int(p, "outbox_max_bytes", 0), text));
    fputc('\n', out);
    if (report_at(p, "consumers")) {
        print_label(out, "consumers");
        fprintf(out, "%-10" PRId64 " credit %" PRId64 "\n", report_int(p, "consumers", 0),
                report_int(p, "credit", 0));
    }
    print_shares(out, "", json_object_get(p, "sessions"));
    print_refused(out, p);
}

static void print_leg(FILE *out, const char *leg, const json_t *w)
{
    int64_t window = report_int(w, "window", 0);
    fprintf(out,
            "  %-10.32s %-18.32s %7" PRId64 " %7" PRId64 " %7" PRId64 " %7" PRId64 " %7" PRId64 " %10" PRId64
            " %7" PRId64 " %7" PRId64 "\n",
            leg, report_text(w, "kind", "-"), report_int(w, "count", 0), report_int(w, "running", 0),
            window - report_int(w, "outstanding", 0), report_int(w, "waiting", 0),
            report_int(w, "backing_off", 0), report_int(w, "done", 0), report_int(w, "bad", 0),
            report_int(w, "retries", 0));
}

/* `endpoint` tells several apart; NULL: there is one. */
static void print_consumer(FILE *out, const json_t *c, const char *endpoint)
{
    const char *leg;
    json_t *workers;
    print_head(out, "consumer", c, endpoint);
    print_label(out, "in flight");
    fprintf(out, "%-10" PRId64 " window %" PRId64 "\n", report_int(c, "held", 0), report_int(c, "window", 0));
    print_count(out, "consumed", c, "consumed", "rate.consumed");
    print_count(out, "acked", c, "acked", "rate.acked");
    print_label(out, "publishers");
    fprintf(out, "%" PRId64 "\n", report_int(c, "publishers.connected", 0));
    print_refused(out, c);
    json_t *legs = json_object_get(c, "workers");
    if (json_object_size(legs) == 0)
        return;
    fprintf(out, "  %-10s %-18s %7s %7s %7s %7s %7s %10s %7s %7s\n", "leg", "kind", "workers", "running",
            "credit", "waiting", "backoff", "done", "bad", "retries");
    json_object_foreach(legs, leg, workers) print_leg(out, leg, workers);
    json_object_foreach(legs, leg, workers) print_shares(out, leg, json_object_get(workers, "each"));
}

void status_table(FILE *out, const status_view_t *view)
{
    bool any = view->publisher != NULL;
    size_t shown = 0;
    if (any)
        print_publisher(out, view->publisher, view->dead_command);
    for (size_t i = 0; i < view->consumers_count; i++) {
        if (!view->consumers[i])
            continue;
        if (any)
            fputc('\n', out);
        print_consumer(out, view->consumers[i], view->consumers_count > 1 ? view->endpoints[i] : NULL);
        any = true;
        shown++;
    }
    int64_t connected = view->publisher ? report_int(view->publisher, "consumers", 0) : 0;
    if (connected > (int64_t)shown && shown > 0)
        fprintf(out,
                "\n%" PRId64
                " consumers are connected, %zu shown: --control EP for each, or --data DIR of the "
                "`mandrill up`\n",
                connected, shown);
}

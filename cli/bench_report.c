#include "cli/bench_report.h"
#include <inttypes.h>

uint64_t bench_duplicates(const bench_result_t *b)
{
    uint64_t wanted = b->count * b->legs;
    return b->executions > wanted ? b->executions - wanted : 0;
}

static double per_second(const bench_result_t *b)
{
    return b->seconds > 0 ? (double)b->acked / b->seconds : 0;
}

static double cpu_us_per_message(const bench_result_t *b)
{
    int64_t sum_us = 0;
    for (part_t part = 0; part < PARTS; part++)
        sum_us += b->parts[part].cpu_us;
    return b->count > 0 ? (double)sum_us / (double)b->count : 0;
}

static double rss_mb(const bench_result_t *b, part_t part)
{
    return (double)b->parts[part].rss_kb / 1024;
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* Reals with the digits that mean something: three behind the point. */
static json_t *rounded(double value)
{
    return json_real((double)(int64_t)(value * 1000 + 0.5) / 1000);
}

static json_t *latency_json(const bench_result_t *b)
{
    json_t *latency = json_object();
    set(latency, "p50", rounded(b->latency_ms.p50));
    set(latency, "p90", rounded(b->latency_ms.p90));
    set(latency, "p99", rounded(b->latency_ms.p99));
    set(latency, "max", rounded(b->latency_ms.max));
    return latency;
}

static json_t *roles_json(const bench_result_t *b)
{
    json_t *roles = json_object();
    for (part_t part = 0; part < PARTS; part++) {
        json_t *role = json_object();
        set(role, "cpu_us", json_integer(b->parts[part].cpu_us));
        set(role, "rss_mb", rounded(rss_mb(b, part)));
        set(roles, part_name(part), role);
    }
    return roles;
}

static json_t *settings_json(const bench_result_t *b)
{
    json_t *settings = json_object();
    set(settings, "rate", b->rate > 0 ? rounded(b->rate) : json_null());
    set(settings, "size", json_integer(b->size_bytes));
    set(settings, "store", json_string(b->store));
    set(settings, "save", json_integer(b->save));
    set(settings, "restart", json_integer(b->restart));
    set(settings, "slots", b->slots > 0 ? json_integer(b->slots) : json_null());
    set(settings, "transport", json_string(b->transport));
    set(settings, "data", b->data_dir ? json_string(b->data_dir) : json_null());
    set(settings, "version", json_string(MANDRILL_VERSION));
    return settings;
}

char *bench_json(const bench_result_t *b)
{
    json_t *report = json_object();
    set(report, "count", json_integer((json_int_t)b->count));
    set(report, "acked", json_integer((json_int_t)b->acked));
    set(report, "duplicates", json_integer((json_int_t)bench_duplicates(b)));
    set(report, "dead", json_integer((json_int_t)b->dead));
    set(report, "seconds", rounded(b->seconds));
    set(report, "rate", rounded(per_second(b)));
    set(report, "cpu_us_per_message", rounded(cpu_us_per_message(b)));
    set(report, "latency_ms", latency_json(b));
    set(report, "roles", roles_json(b));
    set(report, "settings", settings_json(b));
    char *text = report ? json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(report);
    return text;
}

void bench_table(const bench_result_t *b, FILE *out)
{
    fprintf(out,
            "%" PRIu64 " messages of %" PRId64 " bytes, %" PRIu64 " acked, %" PRIu64 " dead, %" PRIu64
            " duplicates\n",
            b->count, b->size_bytes, b->acked, b->dead, bench_duplicates(b));
    fprintf(out, "%.2f s, %.0f messages/s, %.2f us CPU for each\n", b->seconds, per_second(b),
            cpu_us_per_message(b));
    fprintf(out, "latency: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n\n", b->latency_ms.p50,
            b->latency_ms.p90, b->latency_ms.p99, b->latency_ms.max);
    fprintf(out, "%-10s %9s %14s %10s\n", "", "CPU s", "us a message", "peak MiB");
    for (part_t part = 0; part < PARTS; part++) {
        double cpu_us = (double)b->parts[part].cpu_us;
        fprintf(out, "%-10s %9.2f %14.2f %10.1f\n", part_name(part), cpu_us / 1e6,
                b->count > 0 ? cpu_us / (double)b->count : 0, rss_mb(b, part));
    }
}

#include "common/runtime/metrics.h"
#include "common/core/message.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RATE_PLACES = 8, RATE_EVERY_MS = 900, REAL_DIGITS = 9 };

void metrics_init(metrics_t *m)
{
    m->count = 0;
    m->truncated = false;
}

/* A new row with its name, or NULL; a name that does not fit would be another name. */
static metric_t *add(metrics_t *m, const char *name_format, va_list arguments)
{
    metric_t *row = &m->rows[m->count];
    int n = m->count < METRICS_MAX ? vsnprintf(row->name, sizeof(row->name), name_format, arguments) : -1;
    if (n < 0 || n >= (int)sizeof(row->name)) {
        m->truncated = true;
        return NULL;
    }
    m->count++;
    return row;
}

void metrics_int(metrics_t *m, int64_t value, const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    metric_t *row = add(m, name_format, arguments);
    va_end(arguments);
    if (row) {
        row->type = METRIC_INT;
        row->integer = value;
    }
}

void metrics_real(metrics_t *m, double value, const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    metric_t *row = add(m, name_format, arguments);
    va_end(arguments);
    if (row) {
        row->type = METRIC_REAL;
        row->real = value;
    }
}

void metrics_text(metrics_t *m, const char *value, const char *name_format, ...)
{
    va_list arguments;
    va_start(arguments, name_format);
    metric_t *row = add(m, name_format, arguments);
    va_end(arguments);
    if (row) {
        row->type = METRIC_TEXT;
        snprintf(row->text, sizeof(row->text), "%s", value);
    }
}

static json_t *text_value(const char *text)
{
    char shown[METRICS_TEXT_MAX];
    json_t *value = json_string(text);
    /* JSON takes UTF-8 only. */
    return value ? value : json_string(text_escape(text, strlen(text), shown, sizeof(shown)));
}

static json_t *row_value(const metric_t *row)
{
    json_t *value = NULL;
    if (row->type == METRIC_INT)
        value = json_integer(row->integer);
    else if (row->type == METRIC_REAL)
        value = json_real(row->real); /* NULL for what is no number: 0 / 0 */
    else
        value = text_value(row->text);
    return value ? value : json_null();
}

/* Puts the row where its name's dots say. 0, or -1: memory is out, or a part of the name is a value already.
 */
static int put(json_t *object, const metric_t *row)
{
    char name[METRICS_NAME_MAX];
    memcpy(name, row->name, sizeof(name));
    char *key = name;
    for (char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
        *dot = '\0';
        json_t *inner = json_object_get(object, key);
        if (!inner && json_object_set_new(object, key, inner = json_object()) < 0)
            return -1;
        if (!json_is_object(inner))
            return -1;
        object = inner;
        key = dot + 1;
    }
    return json_object_set_new(object, key, row_value(row));
}

char *metrics_json(const metrics_t *m)
{
    json_t *root = json_object();
    int r = root ? 0 : -1;
    for (size_t i = 0; r == 0 && i < m->count; i++)
        r = put(root, &m->rows[i]);
    if (r == 0 && m->truncated)
        r = json_object_set_new(root, "truncated", json_true());
    char *text = r == 0 ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(root);
    return text;
}

void metrics_each(const metrics_t *m, void (*each)(void *arg, const char *name, const char *value), void *arg)
{
    for (size_t i = 0; i < m->count; i++) {
        const metric_t *row = &m->rows[i];
        char value[METRICS_TEXT_MAX];
        if (row->type == METRIC_INT)
            snprintf(value, sizeof(value), "%lld", (long long)row->integer);
        else if (row->type == METRIC_REAL)
            snprintf(value, sizeof(value), "%.3f", row->real);
        else
            snprintf(value, sizeof(value), "%s", row->text);
        each(arg, row->name, value);
    }
}

void rate_add(rate_t *r, int64_t now_ms, uint64_t count)
{
    unsigned last = (r->next + RATE_PLACES - 1) % RATE_PLACES;
    if (r->next > 0 && now_ms - r->at_ms[last] < RATE_EVERY_MS)
        return;
    r->at_ms[r->next % RATE_PLACES] = now_ms;
    r->count[r->next % RATE_PLACES] = count;
    r->next++;
    /* Stays above RATE_PLACES, so that a full ring stays known as full. */
    if (r->next == 2 * RATE_PLACES)
        r->next = RATE_PLACES;
}

double rate_per_s(const rate_t *r)
{
    if (r->next < 2)
        return 0;
    unsigned first = r->next >= RATE_PLACES ? r->next % RATE_PLACES : 0;
    unsigned last = (r->next - 1) % RATE_PLACES;
    double seconds = (double)(r->at_ms[last] - r->at_ms[first]) / 1000;
    return seconds > 0 ? (double)(r->count[last] - r->count[first]) / seconds : 0;
}

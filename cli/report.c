#include "cli/report.h"
#include <string.h>

json_t *report_parse(const char *text, size_t len)
{
    json_t *report = json_loadb(text, len, 0, NULL);
    if (report && !json_is_object(report)) {
        json_decref(report);
        return NULL;
    }
    return report;
}

const json_t *report_at(const json_t *report, const char *path)
{
    char key[64];
    while (report && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof(key))
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        report = json_object_get(report, key);
        path += path[n] == '.' ? n + 1 : n;
    }
    return report;
}

int64_t report_int(const json_t *report, const char *path, int64_t fallback)
{
    const json_t *value = report_at(report, path);
    if (json_is_integer(value))
        return json_integer_value(value);
    return json_is_real(value) ? (int64_t)json_real_value(value) : fallback;
}

double report_real(const json_t *report, const char *path, double fallback)
{
    const json_t *value = report_at(report, path);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

const char *report_text(const json_t *report, const char *path, const char *fallback)
{
    const json_t *value = report_at(report, path);
    return json_is_string(value) ? json_string_value(value) : fallback;
}

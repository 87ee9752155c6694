#include "workers/restart/restart_docker_calls.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- paths --- */

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The engine's own rule. So "." and ".." are no names, and neither is anything with a slash. */
static bool is_name(const char *name, size_t len)
{
    bool good = len >= 1 && len <= CONTAINER_NAME_MAX && is_letter_or_digit(name[0]);
    for (size_t i = 0; good && i < len; i++)
        good = is_letter_or_digit(name[i]) || name[i] == '_' || name[i] == '.' || name[i] == '-';
    return good;
}

/* Appends as one element of a path or one value of a query; what does not fit fails. */
static int append_encoded(char *path, const char *text, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = strlen(path);
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (at + 4 > CALL_PATH_BYTES)
            return -ENAMETOOLONG;
        if (is_letter_or_digit((char)c) || c == '-' || c == '_' || c == '.') {
            path[at++] = (char)c;
        } else {
            path[at++] = '%';
            path[at++] = hex[c >> 4];
            path[at++] = hex[c & 15];
        }
    }
    path[at] = '\0';
    return 0;
}

static void append(char *path, const char *text)
{
    const size_t len = strlen(path);
    snprintf(path + len, CALL_PATH_BYTES - len, "%s", text);
}

int call_inspect(char *path, const char *name, size_t len)
{
    if (!is_name(name, len))
        return -EINVAL;
    snprintf(path, CALL_PATH_BYTES, "/containers/");
    if (append_encoded(path, name, len) != 0)
        return -EINVAL;
    append(path, "/json");
    return 0;
}

void call_restart(char *path, const char *id, int64_t seconds)
{
    snprintf(path, CALL_PATH_BYTES, "/containers/%s/restart?t=%" PRId64, id, seconds);
}

int call_find(char *path, const char *key, const char *value, size_t len)
{
    json_t *filters = json_pack("{s:[s++%]}", "label", key, "=", value, len);
    char *text = filters != NULL ? json_dumps(filters, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(filters);
    if (text == NULL)
        return -ENOMEM;
    snprintf(path, CALL_PATH_BYTES, "/containers/json?all=1&limit=2&filters=");
    const int error = append_encoded(path, text, strlen(text));
    free(text);
    return error;
}

/* --- answers --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* `n` digits; -1: these are none. */
static int number(const char *text, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(text[i]))
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* Source: "chrono-Compatible Low-Level Date Algorithms", Howard Hinnant (days_from_civil): years begin in
 * March, so that a leap day is the last of its year. */
static int64_t days_since_1970(int year, int month, int day)
{
    const int y = month <= 2 ? year - 1 : year;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t of_era = y - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

/* "Z" or "+01:00" as minutes. */
static int parse_zone(const char *text, int *ret_minutes)
{
    *ret_minutes = 0;
    if (strcmp(text, "Z") == 0)
        return 0;
    if ((text[0] != '+' && text[0] != '-') || strlen(text) != 6 || text[3] != ':')
        return -EINVAL;
    const int hours = number(text + 1, 2), minutes = number(text + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return -EINVAL;
    *ret_minutes = (text[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return 0;
}

int rfc3339_parse(const char *text, int64_t *ret_ms)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (shape[i] == 'd' ? !is_digit(text[i]) : text[i] != shape[i])
            return -EINVAL;
    const int month = number(text + 5, 2), day = number(text + 8, 2), hour = number(text + 11, 2),
              minute = number(text + 14, 2), second = number(text + 17, 2);
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return -EINVAL;
    const char *at = text + sizeof shape - 1;
    int ms = 0, zone_minutes;
    if (*at == '.') {
        int scale = 100;
        if (!is_digit(*++at))
            return -EINVAL;
        for (; is_digit(*at); at++, scale /= 10)
            ms += (*at - '0') * scale;
    }
    if (parse_zone(at, &zone_minutes) != 0)
        return -EINVAL;
    const int64_t minutes = (days_since_1970(number(text, 4), month, day) * 24 + hour) * 60 + minute;
    *ret_ms = ((minutes - zone_minutes) * 60 + second) * 1000 + ms;
    return 0;
}

static json_t *parse(const char *json, size_t len)
{
    return len > 0 ? json_loadb(json, len, 0, NULL) : NULL;
}

/* A text of 1 to `max` bytes. */
static int copy_text(const json_t *from, char *ret, size_t max)
{
    const size_t len = json_string_length(from);
    if (len == 0 || len > max)
        return -EPROTO;
    memcpy(ret, json_string_value(from), len + 1);
    return 0;
}

/* It goes into paths. */
static int copy_id(const json_t *from, char ret[static CONTAINER_ID_MAX + 1])
{
    if (copy_text(from, ret, CONTAINER_ID_MAX) != 0 || strspn(ret, "0123456789abcdef") != strlen(ret))
        return -EPROTO;
    return 0;
}

static int read_state(container_t *c, const json_t *state)
{
    const json_t *running = json_object_get(state, "Running");
    if (!json_is_boolean(running) ||
        copy_text(json_object_get(state, "StartedAt"), c->started_at, CONTAINER_TIME_MAX) != 0)
        return -EPROTO;
    /* One that its policy starts again, later, says that it runs. */
    c->running = json_is_true(running) && !json_is_true(json_object_get(state, "Restarting"));
    c->exit_code = json_integer_value(json_object_get(state, "ExitCode"));
    return rfc3339_parse(c->started_at, &c->started_ms) == 0 ? 0 : -EPROTO;
}

int container_read(container_t *ret, const char *json, size_t len)
{
    container_t c = {.labels = NULL};
    char slashed[CONTAINER_NAME_MAX + 2];
    json_t *whole = parse(json, len);
    int error = -EPROTO;
    if (copy_id(json_object_get(whole, "Id"), c.id) != 0 ||
        copy_text(json_object_get(whole, "Name"), slashed, sizeof slashed - 1) != 0 ||
        read_state(&c, json_object_get(whole, "State")) != 0)
        goto done;
    const char *name = slashed[0] == '/' ? slashed + 1 : slashed;
    if (strlen(name) == 0 || strlen(name) > CONTAINER_NAME_MAX)
        goto done;
    memcpy(c.name, name, strlen(name) + 1);
    c.labels = json_incref(json_object_get(json_object_get(whole, "Config"), "Labels"));
    *ret = c;
    error = 0;
done:
    json_decref(whole);
    return error;
}

void container_done(container_t *c)
{
    json_decref(c->labels);
    c->labels = NULL;
}

const char *container_label(const container_t *c, const char *key)
{
    return json_string_value(json_object_get(c->labels, key));
}

int containers_read(size_t *ret_count, char ret_id[static CONTAINER_ID_MAX + 1], const char *json, size_t len)
{
    char id[CONTAINER_ID_MAX + 1] = "";
    json_t *list = parse(json, len);
    const size_t count = json_array_size(list);
    int error = json_is_array(list) ? 0 : -EPROTO;
    if (error == 0 && count > 0)
        error = copy_id(json_object_get(json_array_get(list, 0), "Id"), id);
    json_decref(list);
    if (error != 0)
        return error;
    *ret_count = count;
    memcpy(ret_id, id, sizeof id);
    return 0;
}

char *error_read(const char *json, size_t len, char *text, size_t size)
{
    json_t *whole = parse(json, len);
    const json_t *message = json_object_get(whole, "message");
    const char *said = json_is_string(message) ? json_string_value(message) : "";
    text_escape(said, strlen(said), text, size);
    json_decref(whole);
    return text;
}

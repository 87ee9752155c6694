#include "common/runtime/body_line.h"
#include "common/core/codec.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void copy_name(const char *text, size_t len, char *name)
{
    if (!name)
        return;
    size_t n = len < HOST_BYTES_MAX ? len : HOST_BYTES_MAX;
    memcpy(name, text, n);
    name[n] = '\0';
}

static void write_key(buffer_t *out, const char *key)
{
    write_str(out, key, strlen(key));
}

static int write_value(buffer_t *out, const char *key, const json_t *value, char *why)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        write_str(out, json_string_value(value), json_string_length(value));
        return 0;
    case JSON_INTEGER:
        write_int(out, json_integer_value(value));
        return 0;
    case JSON_REAL:
        write_real(out, json_real_value(value));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        write_bool(out, json_is_true(value));
        return 0;
    case JSON_NULL:
        write_nil(out);
        return 0;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    char text[96];
    snprintf(why, WHY_BYTES, "\"%s\" is no text, number, true, false or null",
             text_escape(key, strlen(key), text, sizeof(text)));
    return -EINVAL;
}

static int write_object(json_t *object, buffer_t *out, char *name, char *why)
{
    const char *key;
    json_t *value;
    write_map(out, (uint32_t)json_object_size(object));
    json_object_foreach(object, key, value)
    {
        write_key(out, key);
        int r = write_value(out, key, value, why);
        if (r < 0)
            return r;
        if (json_is_string(value) && (strcmp(key, "instance") == 0 || strcmp(key, "host") == 0))
            copy_name(json_string_value(value), json_string_length(value), name);
    }
    return 0;
}

static int from_json(const char *line, size_t len, buffer_t *out, char *name, char *why)
{
    json_error_t error;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        char text[128];
        snprintf(why, WHY_BYTES, "no JSON object: %s",
                 text_escape(error.text, strlen(error.text), text, sizeof(text)));
        return -EINVAL;
    }
    int r;
    if (json_is_object(object)) {
        r = write_object(object, out, name, why);
    } else {
        snprintf(why, WHY_BYTES, "no JSON object");
        r = -EINVAL;
    }
    json_decref(object);
    return r;
}

int body_from_line(const char *line, size_t len, buffer_t *out, char name[HOST_BYTES_MAX + 1], char *why)
{
    size_t before = out->len;
    int r = 0;
    copy_name("", 0, name);
    if (len > 0 && line[0] == '{') {
        r = from_json(line, len, out, name, why);
    } else {
        write_map(out, 1);
        write_key(out, memchr(line, '.', len) ? "host" : "instance");
        write_str(out, line, len);
        copy_name(line, len, name);
    }
    if (r == 0 && out->failed)
        r = -ENOMEM;
    if (r < 0)
        out->len = before;
    return r;
}

#include "common/core/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_put_raw(buffer_t *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static bool stays(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void put_escape(buffer_t *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        json_put_raw(out, "\\\"");
        return;
    case '\\':
        json_put_raw(out, "\\\\");
        return;
    case '\n':
        json_put_raw(out, "\\n");
        return;
    case '\r':
        json_put_raw(out, "\\r");
        return;
    case '\t':
        json_put_raw(out, "\\t");
        return;
    default:
        json_put_raw(out, "\\u00");
        buffer_append(out, &hex[c >> 4], 1);
        buffer_append(out, &hex[c & 15], 1);
    }
}

void json_put_string(buffer_t *out, const char *s, size_t len)
{
    size_t done = 0;
    json_put_raw(out, "\"");
    for (size_t i = 0; i < len; i++) {
        if (!stays((unsigned char)s[i])) {
            buffer_append(out, s + done, i - done);
            put_escape(out, (unsigned char)s[i]);
            done = i + 1;
        }
    }
    buffer_append(out, s + done, len - done);
    json_put_raw(out, "\"");
}

/* As few of 15 to 17 digits as read back as the same number. JSON has no infinity and no NaN: null. */
static void put_real(buffer_t *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        json_put_raw(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    json_put_raw(out, text);
    if (strpbrk(text, ".e") == NULL) {
        json_put_raw(out, ".0"); /* still a real for whoever reads it */
    }
}

void json_put_value(buffer_t *out, const value_t *v)
{
    char text[24];
    switch (v->type) {
    case VALUE_BOOL:
        json_put_raw(out, v->as.boolean ? "true" : "false");
        return;
    case VALUE_INT:
        snprintf(text, sizeof text, "%" PRId64, v->as.integer);
        json_put_raw(out, text);
        return;
    case VALUE_UINT:
        snprintf(text, sizeof text, "%" PRIu64, v->as.natural);
        json_put_raw(out, text);
        return;
    case VALUE_REAL:
        put_real(out, v->as.real);
        return;
    case VALUE_STR:
        json_put_string(out, v->bytes, v->len);
        return;
    case VALUE_NIL:
    case VALUE_BIN:
    case VALUE_ARRAY:
    case VALUE_MAP:
        json_put_raw(out, "null"); /* only nil: body_parse() lets no other through */
        return;
    }
}

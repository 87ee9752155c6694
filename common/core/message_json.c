#include "common/core/codec.h"
#include "common/core/message.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(buffer_t *out, const char *text)
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
        put(out, "\\\"");
        return;
    case '\\':
        put(out, "\\\\");
        return;
    case '\n':
        put(out, "\\n");
        return;
    case '\r':
        put(out, "\\r");
        return;
    case '\t':
        put(out, "\\t");
        return;
    default:
        put(out, "\\u00");
        buffer_append(out, &hex[c >> 4], 1);
        buffer_append(out, &hex[c & 15], 1);
    }
}

static void put_string(buffer_t *out, const char *s, uint32_t len)
{
    uint32_t done = 0;
    put(out, "\"");
    for (uint32_t i = 0; i < len; i++) {
        if (!stays((unsigned char)s[i])) {
            buffer_append(out, s + done, i - done);
            put_escape(out, (unsigned char)s[i]);
            done = i + 1;
        }
    }
    buffer_append(out, s + done, len - done);
    put(out, "\"");
}

/* As few of 15 to 17 digits as read back as the same number. JSON has no infinity and no NaN: null. */
static void put_real(buffer_t *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        put(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    put(out, text);
    if (strpbrk(text, ".e") == NULL) {
        put(out, ".0"); /* still a real for whoever reads it */
    }
}

static void put_value(buffer_t *out, const value_t *v)
{
    char text[24];
    switch (v->type) {
    case VALUE_BOOL:
        put(out, v->as.boolean ? "true" : "false");
        return;
    case VALUE_INT:
        snprintf(text, sizeof text, "%" PRId64, v->as.integer);
        put(out, text);
        return;
    case VALUE_UINT:
        snprintf(text, sizeof text, "%" PRIu64, v->as.natural);
        put(out, text);
        return;
    case VALUE_REAL:
        put_real(out, v->as.real);
        return;
    case VALUE_STR:
        put_string(out, v->bytes, v->len);
        return;
    case VALUE_NIL:
    case VALUE_BIN:
    case VALUE_ARRAY:
    case VALUE_MAP:
        put(out, "null"); /* only nil: body_parse() lets no other through */
        return;
    }
}

void body_attributes_json(const body_t *body, buffer_t *out)
{
    reader_t r;
    reader_init(&r, body->attributes_at, body->attributes_len);
    put(out, "{");
    for (uint32_t i = 0; i < body->attributes; i++) {
        uint32_t len;
        value_t v;
        const char *key = read_str(&r, ATTRIBUTE_KEY_BYTES_MAX, &len);
        if (!read_value(&r, &v)) {
            break;
        }
        put(out, i > 0 ? "," : "");
        put_string(out, key, len);
        put(out, ":");
        put_value(out, &v);
    }
    put(out, "}");
}

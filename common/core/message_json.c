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

/* What a character becomes inside a JSON string; NULL: it stays as it is. */
static const char *json_escape(unsigned char c, char unicode[static 7])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (c >= 0x20) {
        return NULL;
    }
    snprintf(unicode, 7, "\\u%04x", c);
    return unicode;
}

static void put_string(buffer_t *out, const char *s, uint32_t len)
{
    char unicode[7];
    uint32_t done = 0;
    put(out, "\"");
    for (uint32_t i = 0; i < len; i++) {
        const char *escape = json_escape((unsigned char)s[i], unicode);
        if (escape != NULL) {
            buffer_append(out, s + done, i - done);
            put(out, escape);
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

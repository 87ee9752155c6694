#include "common/core/json.h"
#include "common/core/message.h"

void body_attributes_json(const body_t *body, buffer_t *out)
{
    reader_t r;
    reader_init(&r, body->attributes_at, body->attributes_len);
    json_put_raw(out, "{");
    for (uint32_t i = 0; i < body->attributes; i++) {
        uint32_t len;
        value_t v;
        const char *key = read_str(&r, ATTRIBUTE_KEY_BYTES_MAX, &len);
        if (!read_value(&r, &v)) {
            break;
        }
        json_put_raw(out, i > 0 ? "," : "");
        json_put_string(out, key, len);
        json_put_raw(out, ":");
        json_put_value(out, &v);
    }
    json_put_raw(out, "}");
}

/* What clients and files give as messages: lines of --from, bodies of PUBLISH, and what is stored of them. */
#include "common/core/codec.h"
#include "common/core/message.h"
#include "common/runtime/body_line.h"
#include "tests/fuzz/input.h"

#include <errno.h>
#include <jansson.h>

enum { NOW_MS = 1700000000 };

static char why[WHY_BYTES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static void check_json(const buffer_t *json, uint32_t attributes)
{
    json_error_t error;
    json_t *object =
        json_loadb((const char *)json->data, json->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    /* What JSON allows and jansson has no place for, as for integers from 2^63 on. */
    if (object == NULL && json_error_code(&error) == json_error_null_byte_in_key)
        return;
    MUST(json_is_object(object) && json_object_size(object) == attributes);
    json_decref(object);
}

static void check_stored(const buffer_t *stored)
{
    body_t body;
    buffer_t json, again;
    uint8_t *bytes = exact_copy(stored->data, stored->len);
    MUST(stored->len <= BODY_BYTES_MAX);
    MUST(body_parse(bytes, stored->len, &body) == 0);
    MUST(host_check(body.host, body.host_len, why) == 0);
    MUST(instance_check(body.instance, body.instance_len, why) == 0);

    buffer_init(&json);
    body_attributes_json(&body, &json);
    check_json(&json, body.attributes);
    buffer_done(&json);

    /* Stored bodies come in again, by redrive or by whoever copies them: nothing about them changes. */
    buffer_init(&again);
    MUST(body_normalise(bytes, stored->len, "other.example", NOW_MS, &again, why) == 0);
    MUST(again.len == stored->len && memcmp(again.data, bytes, again.len) == 0);
    buffer_done(&again);
    free(bytes);
}

static void store(const void *bytes, size_t len, const char *domain)
{
    buffer_t stored;
    uint8_t *body = exact_copy(bytes, len);
    buffer_init(&stored);
    why[0] = '\0';
    int rc = body_normalise(body, len, domain, NOW_MS, &stored, why);
    MUST(rc == 0 || (rc == -EINVAL && why[0] != '\0' && stored.len == 0));
    if (rc == 0)
        check_stored(&stored);
    buffer_done(&stored);
    free(body);
}

static void take_line(const char *line, size_t len, const char *domain)
{
    char name[HOST_BYTES_MAX + 1];
    buffer_t body;
    buffer_init(&body);
    why[0] = '\0';
    int rc = body_from_line(line, len, &body, name, why);
    MUST(strlen(name) <= HOST_BYTES_MAX);
    MUST(rc == 0 || (rc == -EINVAL && why[0] != '\0' && body.len == 0));
    if (rc == 0)
        store(body.data, body.len, domain);
    buffer_done(&body);
}

static void make(const char *name, size_t len, const char *domain, size_t pad)
{
    buffer_t stored;
    buffer_init(&stored);
    int rc = body_make(name, len, domain, NOW_MS, pad, &stored, why);
    MUST(rc == 0 || (rc == -EINVAL && stored.len == 0));
    if (rc == 0)
        check_stored(&stored);
    buffer_done(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const domains[] = {"example.net", "a.b", "", "-", "x"};
    input_t in = {bytes, len};
    uint8_t how = take_byte(&in);
    const char *domain = domains[how / 4 % 5];
    char *text = exact_copy(in.at, in.left);
    switch (how % 4) {
    case 0:
        store(text, in.left, domain);
        break;
    case 1:
        make(text, in.left, domain, how);
        break;
    default:
        take_line(text, in.left, domain);
        break;
    }
    free(text);
    return 0;
}

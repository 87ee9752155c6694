#include "common/core/codec.h"
#include "common/core/message.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for the longest host that is put together before it is checked: an instance, a dot, a domain. */
enum { HOST_JOINED_MAX = INSTANCE_BYTES_MAX + 1 + HOST_BYTES_MAX };

typedef struct {
    const char *bytes;
    uint32_t len;
} span_t;

static bool span_is(span_t s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.bytes, text, s.len) == 0;
}

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
    if (why != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(why, WHY_BYTES, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* --- writing --- */

static void write_word(buffer_t *b, const char *text)
{
    write_str(b, text, strlen(text));
}

static void write_stored_head(buffer_t *b, uint32_t attributes, span_t host, int64_t published_ms)
{
    write_map(b, attributes + 2);
    write_word(b, "host");
    write_str(b, host.bytes, host.len);
    write_word(b, "published_at");
    write_uint(b, (uint64_t)published_ms);
}

/* Takes back what was written since `start` when it is too long for a body. */
static int check_stored_size(buffer_t *b, size_t start, char *why)
{
    size_t len = b->len - start;
    if (b->failed || len <= BODY_BYTES_MAX) {
        return 0;
    }
    b->len = start;
    return refuse(why, "body takes %zu bytes when stored, the limit is %d", len, BODY_BYTES_MAX);
}

/* The host that a name stands for, put together in `joined` when it is an instance. */
static int resolve_instance(span_t instance, const char *domain, char joined[static HOST_JOINED_MAX],
                            span_t *ret_host, char *why)
{
    int rc = instance_check(instance.bytes, instance.len, why);
    if (rc != 0) {
        return rc;
    }
    /* A domain too long for any host is cut, and refused for its length all the same. */
    size_t domain_len = strnlen(domain, HOST_BYTES_MAX);
    size_t len = instance.len + 1 + domain_len;
    memcpy(joined, instance.bytes, instance.len);
    joined[instance.len] = '.';
    memcpy(joined + instance.len + 1, domain, domain_len);
    rc = host_check(joined, len, why);
    if (rc == 0) {
        *ret_host = (span_t){joined, (uint32_t)len};
    }
    return rc;
}

int body_make(const char *name, size_t len, const char *domain, int64_t now_ms, size_t pad, buffer_t *out,
              char *why)
{
    static const char filler[64] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char joined[HOST_JOINED_MAX];
    span_t host;
    assert(now_ms >= 0);
    /* A name too long for either check is cut to a length that is still refused. */
    span_t given = {name, len > HOST_JOINED_MAX ? HOST_JOINED_MAX : (uint32_t)len};
    int rc;
    if (memchr(name, '.', given.len) != NULL) {
        rc = host_check(given.bytes, given.len, why);
        host = given;
    } else {
        rc = resolve_instance(given, domain, joined, &host, why);
    }
    if (rc != 0) {
        return rc;
    }
    if (pad > BODY_BYTES_MAX) {
        return refuse(why, "pad of %zu bytes, the limit of a body is %d", pad, BODY_BYTES_MAX);
    }
    size_t start = out->len;
    write_stored_head(out, pad > 0 ? 1 : 0, host, now_ms);
    if (pad > 0) {
        write_word(out, "pad");
        write_str_head(out, (uint32_t)pad);
        for (size_t left = pad; left > 0;) {
            size_t n = left < sizeof filler ? left : sizeof filler;
            buffer_append(out, filler, n);
            left -= n;
        }
    }
    return check_stored_size(out, start, why);
}

/* --- reading --- */

/* A pair of a body: its key, and its value's header. */
typedef struct {
    const uint8_t *at; /* the key's first byte */
    span_t key;
    value_t value;
} pair_t;

static int read_pair(reader_t *r, pair_t *ret, char *why)
{
    char shown[48];
    pair_t p = {.at = r->at};
    p.key.bytes = read_str(r, UINT32_MAX, &p.key.len);
    read_value(r, &p.value);
    assert(!r->failed); /* the check has seen it */
    if (p.key.len == 0 || p.key.len > ATTRIBUTE_KEY_BYTES_MAX) {
        return refuse(why, "a key of %u bytes, only 1 to %d are allowed", p.key.len, ATTRIBUTE_KEY_BYTES_MAX);
    }
    if (p.value.type == VALUE_ARRAY || p.value.type == VALUE_MAP || p.value.type == VALUE_BIN) {
        return refuse(why, "attribute \"%s\" is not a string, number, boolean or nil",
                      text_escape(p.key.bytes, p.key.len, shown, sizeof shown));
    }
    *ret = p;
    return 0;
}

static int take_name(const value_t *v, const char *what, span_t *ret, char *why)
{
    if (v->type != VALUE_STR) {
        return refuse(why, "%s is not a string", what);
    }
    *ret = (span_t){v->bytes, v->len};
    return 0;
}

static int take_published(const value_t *v, int64_t *ret_ms, char *why)
{
    if (v->type != VALUE_INT || v->as.integer < 0) {
        return refuse(why, "published_at is not a whole number of milliseconds from 0 to 2^63-1");
    }
    *ret_ms = v->as.integer;
    return 0;
}

/* The map's header of a checked body. */
static int open_body(reader_t *r, const void *bytes, size_t len, uint32_t *ret_pairs, char *why)
{
    const char *fault;
    value_t head;
    if (len > BODY_BYTES_MAX) {
        return refuse(why, "body of %zu bytes, the limit is %d", len, BODY_BYTES_MAX);
    }
    if (codec_check(bytes, len, &fault) != 0) {
        return refuse(why, "body %s", fault);
    }
    reader_init(r, bytes, len);
    read_value(r, &head);
    if (head.type != VALUE_MAP) {
        return refuse(why, "body is not a map");
    }
    *ret_pairs = head.as.count;
    return 0;
}

/* What a client's body says. */
typedef struct {
    span_t instance; /* bytes NULL: not given */
    span_t host;
    int64_t published_ms; /* -1: not given */
    uint32_t attributes;
    span_t attribute[CODEC_MAP_KEYS_MAX]; /* key and value as they came */
} given_t;

static int read_given(const void *bytes, size_t len, given_t *g, char *why)
{
    reader_t r;
    uint32_t pairs = 0;
    int rc = open_body(&r, bytes, len, &pairs, why);
    g->instance = g->host = (span_t){0};
    g->published_ms = -1;
    g->attributes = 0;
    for (uint32_t i = 0; rc == 0 && i < pairs; i++) {
        pair_t p = {0};
        rc = read_pair(&r, &p, why);
        if (rc != 0) {
            break;
        }
        if (span_is(p.key, "instance")) {
            rc = take_name(&p.value, "instance", &g->instance, why);
        } else if (span_is(p.key, "host")) {
            rc = take_name(&p.value, "host", &g->host, why);
        } else if (span_is(p.key, "published_at")) {
            rc = take_published(&p.value, &g->published_ms, why);
        } else {
            g->attribute[g->attributes++] = (span_t){(const char *)p.at, (uint32_t)(r.at - p.at)};
        }
    }
    return rc;
}

int body_normalise(const void *bytes, size_t len, const char *domain, int64_t now_ms, buffer_t *out,
                   char *why)
{
    given_t g;
    char joined[HOST_JOINED_MAX];
    assert(now_ms >= 0);
    int rc = read_given(bytes, len, &g, why);
    if (rc != 0) {
        return rc;
    }
    if ((g.instance.bytes == NULL) == (g.host.bytes == NULL)) {
        return refuse(why, g.host.bytes == NULL ? "neither instance nor host is given"
                                                : "both instance and host are given");
    }
    if (g.attributes > ATTRIBUTES_MAX) {
        return refuse(why, "%u attributes, the limit is %d", g.attributes, ATTRIBUTES_MAX);
    }
    if (g.host.bytes != NULL) {
        rc = host_check(g.host.bytes, g.host.len, why);
    } else {
        rc = resolve_instance(g.instance, domain, joined, &g.host, why);
    }
    if (rc != 0) {
        return rc;
    }
    size_t start = out->len;
    write_stored_head(out, g.attributes, g.host, g.published_ms < 0 ? now_ms : g.published_ms);
    for (uint32_t i = 0; i < g.attributes; i++) {
        buffer_append(out, g.attribute[i].bytes, g.attribute[i].len);
    }
    return check_stored_size(out, start, why);
}

/* The two keys that every stored body begins with. */
static int read_stored_head(reader_t *r, body_t *ret)
{
    pair_t host = {0};
    pair_t published = {0};
    span_t name = {"", 0};
    if (read_pair(r, &host, NULL) != 0 || read_pair(r, &published, NULL) != 0 || !span_is(host.key, "host") ||
        !span_is(published.key, "published_at") || take_name(&host.value, "host", &name, NULL) != 0 ||
        host_check(name.bytes, name.len, NULL) != 0 ||
        take_published(&published.value, &ret->published_ms, NULL) != 0) {
        return -EPROTO;
    }
    const char *dot = memchr(name.bytes, '.', name.len);
    ret->host = ret->instance = name.bytes;
    ret->host_len = name.len;
    ret->instance_len = (uint32_t)(dot - name.bytes);
    return 0;
}

int body_parse(const void *bytes, size_t len, body_t *ret)
{
    reader_t r;
    uint32_t pairs = 0;
    body_t body = {0};
    if (open_body(&r, bytes, len, &pairs, NULL) != 0 || pairs < 2 || read_stored_head(&r, &body) != 0) {
        return -EPROTO;
    }
    body.attributes = pairs - 2;
    body.attributes_at = r.at;
    body.attributes_len = (size_t)(r.end - r.at);
    for (uint32_t i = 0; i < body.attributes; i++) {
        pair_t p = {0};
        /* A second host or published_at has failed the check as a key that comes twice. */
        if (read_pair(&r, &p, NULL) != 0 || span_is(p.key, "instance")) {
            return -EPROTO;
        }
    }
    *ret = body;
    return 0;
}

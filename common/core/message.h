/* A restart request: its id, its body, their limits (docs/PROTOCOL.md sections 2 and 6).
 *
 * Ownership: everything is by value or points into the caller's bytes. Errors: 0 or -errno, with a text for
 * people in *ret_why. */
#ifndef MANDRILL_MESSAGE_H
#define MANDRILL_MESSAGE_H

#include "common/core/buffer.h"

enum {
    BODY_BYTES_MAX = 65536,
    INSTANCE_BYTES_MAX = 63,
    HOST_BYTES_MAX = 253,
    ATTRIBUTES_MAX = 62, /* 64 keys less host and published_at */
    ATTRIBUTE_KEY_BYTES_MAX = 64,
    LEGS_MAX = 8,
    NAME_BYTES_MAX = 32,
    TEXT_BYTES_MAX = 1024,
    MESSAGE_ID_TEXT = 40, /* room for "<16 hex>-<seq>" and its NUL */
    WHY_BYTES = 192,
};

#define SEQ_MAX ((UINT64_C(1) << 40) - 1)

typedef struct {
    uint64_t stream; /* 1..2^63-1 */
    uint64_t seq;    /* 1..SEQ_MAX */
} message_id_t;

/* "5d1e9a0c44f3b210-42"; parse takes exactly what format writes, else -EINVAL. */
void message_id_format(message_id_t id, char text[static MESSAGE_ID_TEXT]);
int message_id_parse(const char *text, message_id_t *ret_id);

/* Names of hosts: 0 or -EINVAL. `why` (WHY_BYTES, may be NULL) names what is wrong, with the input escaped
 * and cut. */
int instance_check(const char *name, size_t len, char *why);
int host_check(const char *name, size_t len, char *why);
/* Legs and kinds: [a-z][a-z0-9-]{0,31}; 0 or -EINVAL. */
int name_check(const char *name, size_t len);

/* Escapes anything but printable ASCII as \xNN, cuts at `size` with "..."; always ends in NUL. Returns text.
 */
char *text_escape(const char *bytes, size_t len, char *text, size_t size);

/* What a body says; strings point into it. */
typedef struct {
    const char *instance; /* the host up to its first dot */
    uint32_t instance_len;
    const char *host;
    uint32_t host_len;
    int64_t published_ms;         /* since 1970 */
    uint32_t attributes;          /* how many others */
    const uint8_t *attributes_at; /* their first key */
    size_t attributes_len;
} body_t;

/* A body as stored: host and published_at first. -EPROTO when it is anything else. */
int body_parse(const void *bytes, size_t len, body_t *ret);
/* Checks a body as a client gives it and appends the stored form to `out`; now_ms is used when published_at
 * is missing. -EINVAL with `why` when it is refused (`out` is then as it was); running out of memory
 * shows in `out` alone. */
int body_normalise(const void *bytes, size_t len, const char *domain, int64_t now_ms, buffer_t *out,
                   char *why);
/* Appends the stored form for a name (an instance or, with a dot, a host) with `pad` extra bytes as attribute
 * "pad" (0: none). */
int body_make(const char *name, size_t len, const char *domain, int64_t now_ms, size_t pad, buffer_t *out,
              char *why);
/* Appends the attributes as a JSON object ("{}" when there are none). */
void body_attributes_json(const body_t *body, buffer_t *out);

#endif

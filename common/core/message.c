#include "common/core/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STREAM_DIGITS = 16 };

/* --- ids --- */

void message_id_format(message_id_t id, char text[static MESSAGE_ID_TEXT])
{
    snprintf(text, MESSAGE_ID_TEXT, "%016" PRIx64 "-%" PRIu64, id.stream, id.seq);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int message_id_parse(const char *text, message_id_t *ret_id)
{
    message_id_t id = {0};
    for (int i = 0; i < STREAM_DIGITS; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return -EINVAL;
        }
        id.stream = id.stream << 4 | (unsigned)digit;
    }
    const char *seq = text + STREAM_DIGITS + 1;
    if (seq[-1] != '-' || *seq == '0') {
        return -EINVAL;
    }
    for (; *seq >= '0' && *seq <= '9' && id.seq <= SEQ_MAX; seq++) {
        id.seq = id.seq * 10 + (unsigned)(*seq - '0');
    }
    if (*seq != '\0' || id.seq == 0 || id.seq > SEQ_MAX || id.stream == 0 || id.stream > INT64_MAX) {
        return -EINVAL;
    }
    *ret_id = id;
    return 0;
}

/* --- names --- */

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* What is wrong with one label of a host name, NULL when nothing is. */
static const char *label_fault(const char *label, size_t len)
{
    if (len == 0) {
        return "has an empty label";
    }
    if (len > INSTANCE_BYTES_MAX) {
        return "has a label of more than 63 bytes";
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_label_char(label[i])) {
            return "has a byte other than a-z 0-9 - in a label";
        }
    }
    if (label[0] == '-' || label[len - 1] == '-') {
        return "has a label that begins or ends with -";
    }
    return NULL;
}

static const char *host_fault(const char *name, size_t len)
{
    const char *label = name;
    const char *end = name + len;
    const char *dot;
    if (len > HOST_BYTES_MAX) {
        return "is longer than 253 bytes";
    }
    while ((dot = memchr(label, '.', (size_t)(end - label))) != NULL) {
        const char *fault = label_fault(label, (size_t)(dot - label));
        if (fault != NULL) {
            return fault;
        }
        label = dot + 1;
    }
    return label == name ? "has no dot" : label_fault(label, (size_t)(end - label));
}

/* Says what is wrong with a name, or nothing when `fault` is NULL. */
static int name_verdict(const char *what, const char *name, size_t len, const char *fault, char *why)
{
    if (fault == NULL) {
        return 0;
    }
    if (why != NULL) {
        char shown[96];
        snprintf(why, WHY_BYTES, "%s \"%s\" %s", what, text_escape(name, len, shown, sizeof shown), fault);
    }
    return -EINVAL;
}

int instance_check(const char *name, size_t len, char *why)
{
    const char *fault = len == 0                   ? "is empty"
                        : len > INSTANCE_BYTES_MAX ? "is longer than 63 bytes"
                                                   : label_fault(name, len);
    return name_verdict("instance", name, len, fault, why);
}

int host_check(const char *name, size_t len, char *why)
{
    return name_verdict("host", name, len, len == 0 ? "is empty" : host_fault(name, len), why);
}

int name_check(const char *name, size_t len)
{
    if (len == 0 || len > NAME_BYTES_MAX || name[0] < 'a' || name[0] > 'z') {
        return -EINVAL;
    }
    for (size_t i = 1; i < len; i++) {
        if (!is_label_char(name[i])) {
            return -EINVAL;
        }
    }
    return 0;
}

char *text_escape(const char *bytes, size_t len, char *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    static const char dots[] = "...";
    size_t at = 0;
    size_t cut = 0; /* the last place where the dots still fit */
    if (size == 0) {
        return text;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        bool plain = c >= 0x20 && c < 0x7f;
        if (at + sizeof dots <= size) {
            cut = at;
        }
        if (at + (plain ? 1 : 4) >= size) {
            size_t n = size - cut < sizeof dots ? size - cut - 1 : sizeof dots - 1;
            memcpy(text + cut, dots, n);
            at = cut + n;
            break;
        }
        if (plain) {
            text[at++] = (char)c;
        } else {
            text[at++] = '\\';
            text[at++] = 'x';
            text[at++] = hex[c >> 4];
            text[at++] = hex[c & 15];
        }
    }
    text[at] = '\0';
    return text;
}

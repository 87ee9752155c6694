#include "common/core/utf8.h"

#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 character at `s`, 0 when there is none: RFC 3629, so no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t utf8_character(const uint8_t *s, size_t left)
{
    uint8_t first = s[0];
    if (first < 0x80) {
        return 1;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < len) {
        return 0;
    }
    /* The second byte alone decides what is overlong, a surrogate or too large. */
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

size_t utf8_prefix(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t at = 0;
    while (at < len) {
        uint64_t eight;
        /* Nearly all text is ASCII: eight characters at a time. */
        while (len - at >= sizeof eight) {
            memcpy(&eight, s + at, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080)) {
                break;
            }
            at += sizeof eight;
        }
        if (at == len) {
            break;
        }
        size_t n = utf8_character(s + at, len - at);
        if (n == 0) {
            break;
        }
        at += n;
    }
    return at;
}

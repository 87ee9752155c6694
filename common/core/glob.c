#include "common/core/glob.h"

/* Behind the character that begins at `at`. */
static size_t next_character(const char *text, size_t len, size_t at)
{
    at++;
    while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t len)
{
    size_t p = 0, t = 0;
    size_t star = pattern_len; /* behind the last `*`; pattern_len as long as starred is false */
    size_t star_text = 0;      /* where what follows that `*` was tried last */
    bool starred = false;
    while (t < len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = ++p;
            star_text = t;
            starred = true;
        } else if (p < pattern_len && pattern[p] == '?') {
            p++;
            t = next_character(text, len, t);
        } else if (p < pattern_len && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (starred && star < pattern_len) {
            p = star;
            t = star_text = next_character(text, len, star_text);
        } else {
            return starred && star == pattern_len; /* the pattern's end is a `*`: it takes the rest */
        }
    }
    while (p < pattern_len && pattern[p] == '*') {
        p++;
    }
    return p == pattern_len;
}

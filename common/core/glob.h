/* Names by pattern: `*` stands for any characters, `?` for any one (of UTF-8), everything else for itself.
 * Pure. No recursion: at a mismatch only the last `*` takes one character more, so a match never costs more
 * than the length of the pattern times that of the text, and with one `*` at an end no more than the text. */
#ifndef MANDRILL_GLOB_H
#define MANDRILL_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* The whole text, not a part of it. An empty pattern is only the empty text. */
bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t len);

#endif

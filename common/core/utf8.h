/* UTF-8 by RFC 3629: what a str of the protocol has to be. */
#ifndef MANDRILL_UTF8_H
#define MANDRILL_UTF8_H

#include <stddef.h>

/* How many bytes from the start are whole, well-formed characters: `len` when all of it is UTF-8. */
size_t utf8_prefix(const char *text, size_t len);

#endif

/* JSON as text, written piece by piece: for what comes from MessagePack and for objects that are too many to
 * be built in memory first. Commas and braces are the caller's (json_put_raw).
 *
 * Errors: through the buffer (buffer_t.failed). */
#ifndef MANDRILL_JSON_H
#define MANDRILL_JSON_H

#include "common/core/codec.h"

/* As it is. */
void json_put_raw(buffer_t *out, const char *text);
/* A string in quotes, escaped where JSON asks for it; `s` is UTF-8. */
void json_put_string(buffer_t *out, const char *s, size_t len);
/* Nil, boolean, number or string; a number that JSON does not have (infinity) and anything else is null. */
void json_put_value(buffer_t *out, const value_t *v);

#endif

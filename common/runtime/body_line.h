/* What people and scripts write for one message, a line of --from, to a body as a client gives it
 * (docs/PROTOCOL.md section 6): a name ("web-1", "db.example.org"), or a JSON object with `instance` or
 * `host` and attributes ({"instance":"web-1","why":"kernel"}).
 *
 * Only the form is checked here; body_normalise() checks what it says. */
#ifndef MANDRILL_BODY_LINE_H
#define MANDRILL_BODY_LINE_H

#include "common/core/message.h"

/* Appends the body to `out`; `name` (may be NULL) gets the instance or host as it was written, cut. -EINVAL
 * with `why` (WHY_BYTES) when it is neither (`out` is then as it was), -ENOMEM. */
int body_from_line(const char *line, size_t len, buffer_t *out, char name[HOST_BYTES_MAX + 1], char *why);

#endif

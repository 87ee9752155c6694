/* Looks into an idle outbox. The command line must not depend on the publisher's code, so the publisher's
 * program is asked to. */
#ifndef MANDRILL_INSPECT_H
#define MANDRILL_INSPECT_H

#include <jansson.h>

/* The report of DIR/outbox.db, the caller's to json_decref. NULL when there is none: the publisher's program
 * or this one has told why on stderr. */
json_t *inspect_outbox(const char *data_dir);

#endif

/* The reports of a publisher and a consumer as a page for people. */
#ifndef MANDRILL_STATUS_TABLE_H
#define MANDRILL_STATUS_TABLE_H

#include <jansson.h>
#include <stdio.h>

/* Either may be NULL: it is left out. */
void status_table(FILE *out, const json_t *publisher, const json_t *consumer);

#endif

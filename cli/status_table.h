/* The reports of a publisher and its consumers as a page for people. */
#ifndef MANDRILL_STATUS_TABLE_H
#define MANDRILL_STATUS_TABLE_H

#include <jansson.h>
#include <stdio.h>

typedef struct {
    const json_t *publisher; /* NULL: left out, as each of these */
    const json_t *const *consumers;
    const char *const *endpoints; /* of these */
    size_t consumers_count;
    const char *dead_command; /* what shows its dead letters */
} status_view_t;

void status_table(FILE *out, const status_view_t *view);

#endif

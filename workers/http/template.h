/* Texts with places that are filled in for each message: "/hosts/{host}/restart". Pure.
 *
 *   {host} {instance}   the message's, as in its body
 *   {id} {try}          its id, "5d1e9a0c44f3b210-42"; which try of it this is, from 1
 *   {boot_id}           what was observed before the restart
 *
 * A brace itself is written twice, "{{" and "}}", except in a URL, where it is written %7B and %7D. What is
 * filled in is written so that it stays within its place, whatever it is: one element of a path or one value
 * of a query, one string of JSON, one line. Where a URL leads, its scheme, host and port, stands in the
 * template and never comes from a message.
 *
 * Errors: -EINVAL with a text for people (WHY_BYTES). */
#ifndef MANDRILL_HTTP_TEMPLATE_H
#define MANDRILL_HTTP_TEMPLATE_H

#include "common/core/message.h"

enum { TEMPLATE_BYTES_MAX = 4096 };

/* What it makes, and so how values are written in it. */
typedef enum {
    TEMPLATE_URL,   /* all but letters, digits and -_.~ percent-encoded */
    TEMPLATE_FORM,  /* the same: of a body of application/x-www-form-urlencoded */
    TEMPLATE_JSON,  /* as inside a JSON string, all but ASCII as \u00XX of its bytes */
    TEMPLATE_PLAIN, /* as it is, with a '?' for all but printable ASCII */
} template_form_t;

typedef struct {
    const char *text;
    size_t len;
} template_value_t;

typedef struct {
    template_value_t host, instance, id, try_no, boot_id;
} template_values_t;

/* 0, or -EINVAL with `why` and the position, from 1. A URL is checked as far as where its places may be: not
 * before its path or query. `boot_id`: whether there is one. */
int template_check(const char *text, template_form_t form, bool boot_id, char *why);
/* Appends the text, filled in: 0, or -EINVAL when a value would not stay in its place: nothing, or what makes
 * "." or ".." of an element of the path. The template is one that was checked. Running out of memory shows in
 * `out` alone. */
int template_fill(buffer_t *out, const char *text, template_form_t form, const template_values_t *values);

#endif

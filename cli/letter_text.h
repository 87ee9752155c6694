/* A dead letter as text: a row of a table, a page, a JSON object. Pure.
 *
 * What comes from outside (hosts, reasons, labels, attributes) is escaped for the terminal: it moves no
 * cursor and changes no colour. The JSON has it as it was. */
#ifndef MANDRILL_LETTER_TEXT_H
#define MANDRILL_LETTER_TEXT_H

#include "common/core/proto.h"
#include <stdio.h>

typedef struct {
    const buried_t *names; /* of the legs */
    int64_t now_ms;        /* wall clock */
    int columns;           /* of the terminal; 0: nothing is cut */
    int id_width, host_width, legs_width;
} letter_view_t;

/* Makes the columns as wide as these letters need, up to a bound: rows of later ones may stick out. */
void letter_widths(letter_view_t *v, const letter_t *letters, uint32_t n);
void letter_head(const letter_view_t *v, FILE *out);
void letter_row(const letter_view_t *v, const letter_t *letter, FILE *out);
void letter_page(const letter_view_t *v, const letter_t *letter, FILE *out);
/* An object in one line, with its newline. */
void letter_json(const buried_t *names, const letter_t *letter, buffer_t *out);

#endif

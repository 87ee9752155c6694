/* Reading the JSON objects that the programs report: a value by its path, "legs.save.done". What is missing
 * or of another type is the fallback, since a newer or older program may tell more or less. */
#ifndef MANDRILL_REPORT_H
#define MANDRILL_REPORT_H

#include <jansson.h>
#include <stdint.h>

/* NULL when the text is no JSON object. The caller owns it (json_decref). */
json_t *report_parse(const char *text, size_t len);
const json_t *report_at(const json_t *report, const char *path);
int64_t report_int(const json_t *report, const char *path, int64_t fallback);
double report_real(const json_t *report, const char *path, double fallback);
const char *report_text(const json_t *report, const char *path, const char *fallback);

#endif

/* The words of a command line for a child. Owns its strings. Errors: too many words or no memory sets
 * `failed`, looked at once, by args_ok(). */
#ifndef MANDRILL_ARGS_H
#define MANDRILL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum { ARGS_MAX = 160 };

typedef struct {
    char *words[ARGS_MAX + 1]; /* ended by NULL */
    size_t count;
    bool failed;
    bool secrets; /* the child is to have what supervisor.c keeps from others */
} args_t;

void args_init(args_t *a);
void args_done(args_t *a);
bool args_ok(const args_t *a);
/* One word. */
void args_add(args_t *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "--flag" and its value, which replaces an earlier one. */
void args_set(args_t *a, const char *flag, const char *value);
/* All words of another list behind these. */
void args_append(args_t *a, const args_t *more);
/* The word behind `flag`, or NULL. */
const char *args_get(const args_t *a, const char *flag);

#endif

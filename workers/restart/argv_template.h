/* The words of a command, made of a template: "ssh -o BatchMode=yes {host} sudo systemctl reboot".
 *
 * A template is split into words once, as a shell would: blanks separate, '...' and "..." keep together, a
 * backslash takes the next character as it is ("..." knows it before " \ $ and ` only). There is no shell: no
 * variables, patterns, pipes, redirections; $ * | > ; & are characters like others.
 *
 * {host}, {instance}, {id}, {try} and {boot_id} stand for values, between quotes too; {{ and }} for braces.
 * A value becomes a part of the word that its place is in, never more and never another word, whatever it
 * holds; and it begins with a letter or a digit, so that it is not taken for an option.
 *
 * Pure. Ownership: a template is the caller's, and what was filled is one block for free(). */
#ifndef MANDRILL_RESTART_ARGV_TEMPLATE_H
#define MANDRILL_RESTART_ARGV_TEMPLATE_H

#include "common/core/message.h"

enum {
    TEMPLATE_BYTES_MAX = 4096,
    TEMPLATE_WORDS_MAX = 128,
};

typedef enum {
    VALUE_HOST,
    VALUE_INSTANCE,
    VALUE_ID,
    VALUE_TRY,
    VALUE_BOOT_ID,
    VALUES_COUNT
} argv_value_kind_t;

typedef struct {
    const char *text; /* need not end in NUL */
    size_t len;
} argv_value_t;

/* What stands for each place. */
typedef struct {
    argv_value_t of[VALUES_COUNT];
} argv_values_t;

typedef struct argv_template argv_template_t;

/* -EINVAL with `why` (WHY_BYTES), which names the place ("at character 12"); -ENOMEM. The first word, which
 * is the program, holds no value. */
int argv_template_parse(argv_template_t **ret, const char *text, char *why);
void argv_template_destroy(argv_template_t **t);
const char *argv_template_program(const argv_template_t *t);
bool argv_template_uses(const argv_template_t *t, argv_value_kind_t kind);
/* The words, with NULL behind the last: -EINVAL when a value that is used is none (a host that is no host
 * name; others: empty, or another first character than a letter or a digit, or anything but A-Z a-z 0-9 . _ :
 * + -); -ENOMEM. */
int argv_template_fill(const argv_template_t *t, const argv_values_t *values, char ***ret_argv);

#endif

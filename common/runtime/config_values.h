/* Inside the configuration: what its files share. Programs include config.h only. */
#ifndef MANDRILL_CONFIG_VALUES_H
#define MANDRILL_CONFIG_VALUES_H

#include "common/runtime/config.h"
#include <stdio.h>

/* From weak to strong: a stronger place wins. */
typedef enum {
    FROM_NOWHERE,
    FROM_DEFAULT,
    FROM_FILE,
    FROM_SECTION,
    FROM_ENVIRONMENT,
    FROM_FLAG
} config_from_t;

typedef union {
    int64_t integer;
    double real;
    bool flag;
} config_scalar_t;

/* What an option says of one key; "" for all others. */
typedef struct {
    char *key;
    char *text; /* as given: "restart=3" */
    config_from_t from;
    config_scalar_t as;
} config_keyed_t;

typedef struct {
    config_from_t from;
    unsigned seen; /* the places where it stands, a bit each */
    char *text;    /* as given; NULL: no value */
    char *origin;  /* where it stands, for messages */
    config_scalar_t as;
    char **list; /* LIST */
    size_t list_count;
    config_keyed_t *keyed; /* of an option with `key` */
    size_t keyed_count;
} config_value_t;

struct config {
    const config_program_t *program;
    config_value_t *values; /* the program's options, then the common ones */
    size_t count;
    const char **arguments; /* point into argv */
    size_t arguments_count;
    bool check;
    bool running; /* what is wrong goes to the log */
    int argc;
    char **argv;
};

extern const config_option_t config_common[];
extern const size_t config_common_count;

/* Option i of the program's and the common ones together. */
const config_option_t *config_option(const config_t *c, size_t i);
/* The number of the option, or c->count. */
size_t config_find(const config_t *c, const char *name, size_t len);
/* "MANDRILL_ACK_DEADLINE", "MANDRILL_DEAD_RATE". */
enum { CONFIG_VARIABLE_MAX = 64 };
void config_variable(const config_program_t *p, const config_option_t *o,
                     char ret[static CONFIG_VARIABLE_MAX]);
/* The option that was probably meant, or NULL. */
const char *config_nearest(const config_t *c, const char *name);
/* What a value of the type looks like, for messages. */
const char *config_wanted(config_type_t type);
/* Takes a value that stands at `origin` unless a stronger one is there; checks it in any case. 0, -EINVAL
 * (told) or -ENOMEM (told). */
int config_set(config_t *c, size_t i, config_from_t from, const char *origin, const char *text);
/* Tells what is wrong, with the program's name; returns -EINVAL. */
int config_tell(const config_t *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for an option with `key`; within one place of a file no key may come twice. */
int config_set_keyed(config_t *c, size_t i, config_from_t from, const char *origin, const char *text);
const config_scalar_t *config_keyed_value(const config_value_t *v, const char *key);
bool config_keyed_same(const config_value_t *a, const config_value_t *b);
void config_keyed_done(config_value_t *v);
/* A number or a flag: 0, or -EINVAL, told. */
int config_parse_scalar(const config_t *c, const config_option_t *o, const char *origin, const char *text,
                        config_scalar_t *ret);

int config_tell_no_memory(const config_t *c); /* -ENOMEM */
void config_value_done(config_value_t *v);

/* A config with all its values, as config_load() returns it. `running`: for a program that is at work
 * already. */
int config_read(config_t **ret, const config_program_t *program, int argc, char **argv, bool running);

/* Reads the ZPL file: 0, -EINVAL or -EIO, told. */
int config_file_load(config_t *c, const char *path);
void config_help(const config_t *c, FILE *out, int width);

int config_parse_flag(const char *text, bool *ret);
bool config_is_choice(const char *choices, const char *text);
unsigned config_edit_distance(const char *a, const char *b);

#endif

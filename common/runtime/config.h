/* Configuration: flags > MANDRILL_* environment > ZPL file (--config) > defaults, from one table of options
 * for each program.
 *
 * --ack-deadline 10s  =  MANDRILL_ACK_DEADLINE=10s  =  "ack-deadline = 10s" in the file. The program's part
 * of a file may stand at top level or in a section with the program's name ("publisher"); the section wins.
 * Programs share variables: MANDRILL_DATA is for all that have --data. An option that means something else
 * than others of its name has one of its own, with the section in it: MANDRILL_DEAD_RATE.
 * Every program has -h/--help, --version, -n (check and exit), --config FILE, --log-level. Values: durations
 * "250ms", "10s", "5m", "1h" or plain milliseconds; sizes "64k", "10M", "10G" (powers of 1024) or plain
 * bytes. An option with a `key` may be given by key too, repeatedly: --max-tries 5 --max-tries restart=3, or
 * "5,restart=3"; a key's own value wins over the one for all, wherever either stands. An empty variable
 * counts as not set. A file may hold sections of other programs; anything else that the program does not know
 * is an error.
 *
 * Ownership: the config owns its strings until config_destroy().
 * Errors: bad input is told on stderr, naming where it stands (flag, variable, file and key), the value and
 * what was expected. An unknown flag names the nearest known one. */
#ifndef MANDRILL_CONFIG_H
#define MANDRILL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    CONFIG_TEXT,
    CONFIG_LIST, /* text that may be repeated (flags), or separated by commas */
    CONFIG_INT,
    CONFIG_REAL,
    CONFIG_FLAG,     /* --x, --no-x; true/false in environment and file */
    CONFIG_DURATION, /* ms */
    CONFIG_SIZE,     /* bytes */
} config_type_t;

typedef struct {
    const char *name; /* "ack-deadline" */
    config_type_t type;
    const char *fallback; /* as it would be typed; NULL: none */
    const char *argument; /* for --help: "TIME", "FILE" */
    const char *help;
    int64_t min, max;    /* INT, REAL, DURATION, SIZE; min == max == 0: any that is not negative */
    const char *choices; /* TEXT: "ipc|tcp"; NULL: any */
    const char *key;     /* INT, REAL, DURATION, SIZE: "LEG" when a leg may have its own value; NULL: no */
    bool reloads;        /* a new value in the file counts from SIGHUP on */
    bool secret;         /* its value may hold a password: no log line shows it */
    bool own_variable;   /* MANDRILL_SECTION_NAME: the name alone means something else in other programs */
    bool whole;          /* LIST: a comma is a part of the text; so there is one for each time it is given */
} config_option_t;

typedef struct {
    const char *name;      /* "mandrill-publisher", or "mandrill up" */
    const char *section;   /* "publisher" */
    const char *summary;   /* one line */
    const char *arguments; /* for the usage line: "[options]" or "[options] HOST..." */
    const char *examples;  /* whole lines */
    const config_option_t *options;
    size_t options_count;
    size_t arguments_max; /* how many words without a flag are taken; 0: none */
} config_program_t;

typedef struct config config_t;

enum { CONFIG_RUN = 0, CONFIG_EXIT = 1, CONFIG_CHECK = 2 };
/* CONFIG_RUN; CONFIG_EXIT after --help or --version (exit 0); CONFIG_CHECK with -n: check what goes beyond
 * syntax, then exit; -EINVAL when the input was bad and has been told (exit 2); -EIO for an unreadable file
 * (told; exit 2). */
int config_load(config_t **ret, const config_program_t *program, int argc, char **argv);
void config_destroy(config_t **c);

/* Tells what is wrong with a value that has the right type, with the place where it stands: -EINVAL. */
int config_refuse(const config_t *c, const char *name, const char *why);
/* SIGHUP: reads the file again, under the flags and the environment, which stay as they were. `check` is
 * asked whether the whole would do: 0, or -errno, told. If so, options that can be reloaded get their new
 * values; the log tells each of them, and each that differs and needs a restart. Returns how many have got
 * one. Anything wrong is logged with its place, and nothing has changed: -EINVAL, -EIO, -ENOMEM. Without a
 * file there is nothing to read: 0.
 *
 * Texts of options that can be reloaded are good until then; all others stay. argv must still be there. */
int config_reload(config_t *c, int (*check)(void *arg, const config_t *fresh), void *arg);

/* Asking for a name that is not in the table, or as another type, aborts. */
const char *config_text(const config_t *c,
                        const char *name); /* any type, as given; NULL: not given and no default */
int64_t config_int(const config_t *c, const char *name); /* INT, DURATION, SIZE */
double config_real(const config_t *c, const char *name);
/* Of an option with `key`: what is said of this one, else of all others. The functions above return the
 * latter. */
int64_t config_int_of(const config_t *c, const char *name, const char *key);
double config_real_of(const config_t *c, const char *name, const char *key);
/* The keys that something is said of, one after the other from 0; NULL: no more. */
const char *config_key(const config_t *c, const char *name, size_t i);
bool config_flag(const config_t *c, const char *name);
bool config_given(const config_t *c, const char *name); /* by flag, environment or file */
size_t config_list(const config_t *c, const char *name, const char *const **ret);
size_t config_arguments(const config_t *c, const char *const **ret);
/* "--ack-deadline", "MANDRILL_ACK_DEADLINE" or "file.zpl:3: ack-deadline": for errors found later. */
const char *config_origin(const config_t *c, const char *name);
/* For programs that start others, and for texts that hold numbers ("0..1000"): 0, -EINVAL, or -ERANGE for
 * what fits no int64 (double). Nothing may stand before or behind the value. */
int config_parse_duration(const char *text, int64_t *ret_ms);
int config_parse_size(const char *text, int64_t *ret_bytes);
/* The one of the `n` known words that was probably meant, or NULL: for words that are no options. */
const char *config_nearest_word(const char *word, const char *const *known, size_t n);
int config_parse_int(const char *text, int64_t *ret);
int config_parse_real(const char *text, double *ret);

#endif

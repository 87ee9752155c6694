/* Where configuration comes from, and how programs ask for it. */
#include "common/runtime/config_values.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { HELP_COLUMNS = 80, HELP_COLUMNS_MAX = 110, ORIGIN_MAX = 96 };

/* What was not given has its flag as its origin: "--outbox: cannot open ...". */
static int set_defaults(config_t *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const config_option_t *o = config_option(c, i);
        char origin[ORIGIN_MAX];
        snprintf(origin, sizeof(origin), "--%s", o->name);
        int r = 0;
        if (o->fallback)
            r = config_set(c, i, FROM_DEFAULT, origin, o->fallback);
        else if (!(c->values[i].origin = strdup(origin)))
            r = config_tell_no_memory(c);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_from_environment(config_t *c)
{
    for (size_t i = 0; i < c->count; i++) {
        char variable[CONFIG_VARIABLE_MAX];
        config_variable(c->program, config_option(c, i), variable);
        const char *text = getenv(variable);
        int r = text && *text ? config_set(c, i, FROM_ENVIRONMENT, variable, text) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int tell_unknown_flag(const config_t *c, const char *word, size_t name_len)
{
    char name[ORIGIN_MAX];
    snprintf(name, sizeof(name), "%.*s", (int)name_len, word + 2);
    bool negated = strncmp(name, "no-", 3) == 0;
    const char *near = config_nearest(c, negated ? name + 3 : name);
    if (near)
        config_tell(c, "unknown flag \"%.*s\"; did you mean --%s%s?", (int)name_len + 2, word,
                    negated ? "no-" : "", near);
    else
        config_tell(c, "unknown flag \"%.*s\"", (int)name_len + 2, word);
    return -EINVAL;
}

/* Another flag in the place of a value was probably not meant as one; negative numbers and "-" are. */
static bool looks_like_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1]) && word[1] != '.';
}

/* --name, --name=value, --name value, --no-name. Moves *at on when it takes the next word. */
static int take_flag(config_t *c, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    size_t i = config_find(c, word + 2, len);
    bool negated = i == c->count && len > 3 && strncmp(word + 2, "no-", 3) == 0;
    if (negated)
        i = config_find(c, word + 5, len - 3);
    if (i == c->count || (negated && config_option(c, i)->type != CONFIG_FLAG))
        return tell_unknown_flag(c, word, len);
    const config_option_t *o = config_option(c, i);
    char origin[ORIGIN_MAX];
    snprintf(origin, sizeof(origin), "--%s", o->name);
    const char *text = equals ? equals + 1 : NULL;
    if (negated && equals)
        return config_tell(c, "--no-%s takes no value", o->name);
    if (!text && o->type == CONFIG_FLAG)
        text = negated ? "false" : "true";
    if (!text && *at + 1 < argc && !looks_like_flag(argv[*at + 1]))
        text = argv[++*at];
    if (!text)
        return config_tell(c, "%s needs a value: %s", origin,
                           o->choices ? o->choices : config_wanted(o->type));
    return config_set(c, i, FROM_FLAG, origin, text);
}

static int take_argument(config_t *c, const char *word)
{
    if (c->arguments_count == c->program->arguments_max)
        return config_tell(c,
                           c->program->arguments_max == 0 ? "\"%s\": only flags are taken here"
                                                          : "\"%s\": too many arguments",
                           word);
    c->arguments[c->arguments_count++] = word;
    return 0;
}

static int help_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < HELP_COLUMNS)
        return HELP_COLUMNS;
    return size.ws_col < HELP_COLUMNS_MAX ? size.ws_col : HELP_COLUMNS_MAX;
}

static int take_words(config_t *c, int argc, char **argv)
{
    bool flags = true;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int r = 0;
        if (!flags || word[0] != '-' || !word[1]) {
            r = take_argument(c, word);
        } else if (strcmp(word, "--") == 0) {
            flags = false;
        } else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            config_help(c, stdout, help_width());
            return CONFIG_EXIT;
        } else if (strcmp(word, "--version") == 0) {
            printf("%s %s\n", c->program->name, MANDRILL_VERSION);
            return CONFIG_EXIT;
        } else if (strcmp(word, "-n") == 0) {
            c->check = true;
        } else if (strncmp(word, "--", 2) == 0) {
            r = take_flag(c, argc, argv, &at);
        } else {
            r = config_tell(c, "unknown flag \"%s\"", word);
        }
        if (r < 0)
            return r;
    }
    return CONFIG_RUN;
}

static int load_all(config_t *c, int argc, char **argv)
{
    int r = set_defaults(c);
    if (r == 0)
        r = take_words(c, argc, argv);
    if (r == 0)
        r = set_from_environment(c);
    if (r == 0 && config_text(c, "config"))
        r = config_file_load(c, config_text(c, "config"));
    return r == 0 && c->check ? CONFIG_CHECK : r;
}

int config_read(config_t **ret, const config_program_t *program, int argc, char **argv, bool running)
{
    config_t *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->program = program;
    c->running = running;
    c->argc = argc;
    c->argv = argv;
    c->count = program->options_count + config_common_count;
    c->values = calloc(c->count, sizeof(*c->values));
    c->arguments = calloc(program->arguments_max + 1, sizeof(*c->arguments));
    int r = c->values && c->arguments ? load_all(c, argc, argv) : config_tell_no_memory(c);
    if (r == CONFIG_RUN || r == CONFIG_CHECK)
        *ret = c;
    else
        config_destroy(&c);
    return r;
}

int config_load(config_t **ret, const config_program_t *program, int argc, char **argv)
{
    int r = config_read(ret, program, argc, argv, false);
    if (r == -EINVAL)
        fprintf(stderr, "Try '%s --help'.\n", program->name);
    return r;
}

void config_destroy(config_t **c)
{
    if (!c || !*c)
        return;
    for (size_t i = 0; (*c)->values && i < (*c)->count; i++)
        config_value_done(&(*c)->values[i]);
    free((*c)->values);
    free((*c)->arguments);
    free(*c);
    *c = NULL;
}

/* Asking for a name that is in no table, or as another type, is a mistake in the program that must not go on
 * in any build. */
static const config_value_t *value_of(const config_t *c, const char *name, unsigned types)
{
    size_t i = config_find(c, name, strlen(name));
    if (i == c->count || !(types & 1U << config_option(c, i)->type)) {
        config_tell(c, "the program asked for the option \"%s\", which is not in its table as such", name);
        abort();
    }
    return &c->values[i];
}

int config_refuse(const config_t *c, const char *name, const char *why)
{
    return config_tell(c, "%s: %s", config_origin(c, name), why);
}

const char *config_text(const config_t *c, const char *name)
{
    return value_of(c, name, ~0U)->text;
}

int64_t config_int(const config_t *c, const char *name)
{
    return value_of(c, name, 1U << CONFIG_INT | 1U << CONFIG_DURATION | 1U << CONFIG_SIZE)->as.integer;
}

double config_real(const config_t *c, const char *name)
{
    return value_of(c, name, 1U << CONFIG_REAL)->as.real;
}

int64_t config_int_of(const config_t *c, const char *name, const char *key)
{
    const unsigned types = 1U << CONFIG_INT | 1U << CONFIG_DURATION | 1U << CONFIG_SIZE;
    return config_keyed_value(value_of(c, name, types), key)->integer;
}

double config_real_of(const config_t *c, const char *name, const char *key)
{
    return config_keyed_value(value_of(c, name, 1U << CONFIG_REAL), key)->real;
}

const char *config_key(const config_t *c, const char *name, size_t i)
{
    const config_value_t *v = value_of(c, name, ~0U);
    for (size_t k = 0; k < v->keyed_count; k++)
        if (v->keyed[k].key[0] != '\0' && i-- == 0)
            return v->keyed[k].key;
    return NULL;
}

bool config_flag(const config_t *c, const char *name)
{
    return value_of(c, name, 1U << CONFIG_FLAG)->as.flag;
}

bool config_given(const config_t *c, const char *name)
{
    return value_of(c, name, ~0U)->from > FROM_DEFAULT;
}

size_t config_list(const config_t *c, const char *name, const char *const **ret)
{
    const config_value_t *v = value_of(c, name, 1U << CONFIG_LIST);
    *ret = (const char *const *)v->list;
    return v->list_count;
}

size_t config_arguments(const config_t *c, const char *const **ret)
{
    *ret = c->arguments;
    return c->arguments_count;
}

const char *config_origin(const config_t *c, const char *name)
{
    return value_of(c, name, ~0U)->origin;
}

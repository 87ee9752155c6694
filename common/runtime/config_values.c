/* The options of a program with their values: looked up, checked and kept by strength of the place. */
#include "common/runtime/config_values.h"
#include "common/core/message.h"
#include "common/runtime/log.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TELL_BYTES = 2048 };

const config_option_t config_common[] = {
    {.name = "config", .type = CONFIG_TEXT, .argument = "FILE", .help = "read options from this ZPL file"},
    {.name = "log-level",
     .type = CONFIG_TEXT,
     .fallback = "info",
     .argument = "LEVEL",
     .help = "what to log on stderr",
     .reloads = true,
     .choices = "debug|info|warn|error"},
};
const size_t config_common_count = sizeof(config_common) / sizeof(config_common[0]);

const config_option_t *config_option(const config_t *c, size_t i)
{
    size_t own = c->program->options_count;
    return i < own ? &c->program->options[i] : &config_common[i - own];
}

size_t config_find(const config_t *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->count; i++) {
        const char *known = config_option(c, i)->name;
        if (strncmp(known, name, len) == 0 && !known[len])
            return i;
    }
    return c->count;
}

void config_variable(const config_program_t *p, const config_option_t *o,
                     char ret[static CONFIG_VARIABLE_MAX])
{
    const char *section = o->own_variable ? p->section : "";
    snprintf(ret, CONFIG_VARIABLE_MAX, "MANDRILL_%s%s%s", section, *section ? "_" : "", o->name);
    for (char *at = ret; *at; at++)
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
}

/* Whether `known` is nearer to `name` than *distance, which it then replaces. */
static bool is_nearer(const char *name, const char *known, unsigned *distance)
{
    /* The beginning of a name is near, however long the rest. */
    bool begins = strlen(name) >= 3 && strncmp(known, name, strlen(name)) == 0;
    unsigned d = begins ? 1 : config_edit_distance(known, name);
    if (d >= *distance)
        return false;
    *distance = d;
    return true;
}

/* What is further away was not meant. */
static unsigned too_far(const char *name)
{
    return (unsigned)strlen(name) / 3 + 2;
}

const char *config_nearest(const config_t *c, const char *name)
{
    const char *best = NULL;
    unsigned distance = too_far(name);
    for (size_t i = 0; i < c->count; i++) {
        const char *known = config_option(c, i)->name;
        best = is_nearer(name, known, &distance) ? known : best;
    }
    return best;
}

const char *config_nearest_word(const char *word, const char *const *known, size_t n)
{
    const char *best = NULL;
    unsigned distance = too_far(word);
    for (size_t i = 0; i < n; i++)
        best = is_nearer(word, known[i], &distance) ? known[i] : best;
    return best;
}

int config_tell(const config_t *c, const char *format, ...)
{
    char text[TELL_BYTES];
    char shown[TELL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    /* Values come from files and variables of anybody: no byte of them may steer the terminal. */
    text_escape(text, strlen(text), shown, sizeof(shown));
    if (c->running)
        log_error("configuration: %s", shown);
    else
        fprintf(stderr, "%s: %s\n", c->program->name, shown);
    return -EINVAL;
}

int config_tell_no_memory(const config_t *c)
{
    config_tell(c, "out of memory");
    return -ENOMEM;
}

void config_value_done(config_value_t *v)
{
    for (size_t i = 0; i < v->list_count; i++)
        free(v->list[i]);
    free(v->list);
    config_keyed_done(v);
    free(v->text);
    free(v->origin);
}

const char *config_wanted(config_type_t type)
{
    switch (type) {
    case CONFIG_INT:
        return "a whole number";
    case CONFIG_REAL:
        return "a number";
    case CONFIG_FLAG:
        return "true or false";
    case CONFIG_DURATION:
        return "a time such as 250ms, 10s, 5m or 1h";
    case CONFIG_SIZE:
        return "a size such as 4096, 64k, 10M or 2G";
    case CONFIG_TEXT:
    case CONFIG_LIST:
        break;
    }
    return "a text";
}

static int check_range(const config_t *c, const config_option_t *o, const char *origin, const char *text,
                       double v)
{
    const char *unit = o->type == CONFIG_DURATION ? " ms" : o->type == CONFIG_SIZE ? " bytes" : "";
    if (o->min == 0 && o->max == 0)
        return v >= 0 ? 0 : config_tell(c, "%s: \"%s\" must not be negative", origin, text);
    if (v < (double)o->min || v > (double)o->max)
        return config_tell(c, "%s: \"%s\" is out of range, expected %lld to %lld%s", origin, text,
                           (long long)o->min, (long long)o->max, unit);
    return 0;
}

int config_parse_scalar(const config_t *c, const config_option_t *o, const char *origin, const char *text,
                        config_scalar_t *ret)
{
    int r = -EINVAL;
    if (!*text)
        return config_tell(c, "%s: the value is empty, expected %s", origin, config_wanted(o->type));
    if (o->type == CONFIG_INT)
        r = config_parse_int(text, &ret->integer);
    else if (o->type == CONFIG_REAL)
        r = config_parse_real(text, &ret->real);
    else if (o->type == CONFIG_DURATION)
        r = config_parse_duration(text, &ret->integer);
    else if (o->type == CONFIG_SIZE)
        r = config_parse_size(text, &ret->integer);
    else
        r = config_parse_flag(text, &ret->flag);
    if (r == -ERANGE)
        return config_tell(c, "%s: \"%s\" is too large", origin, text);
    if (r < 0)
        return config_tell(c, "%s: \"%s\" is not %s", origin, text, config_wanted(o->type));
    if (o->type == CONFIG_FLAG)
        return 0;
    return check_range(c, o, origin, text, o->type == CONFIG_REAL ? ret->real : (double)ret->integer);
}

static int list_append(const config_t *c, config_value_t *v, const char *item, size_t len)
{
    char **grown = realloc(v->list, (v->list_count + 1) * sizeof(*grown));
    if (!grown)
        return config_tell_no_memory(c);
    v->list = grown;
    grown[v->list_count] = strndup(item, len);
    if (!grown[v->list_count])
        return config_tell_no_memory(c);
    v->list_count++;
    return 0;
}

static int parse_list(const config_t *c, const char *origin, const char *text, config_value_t *v)
{
    const char *at = text;
    for (;;) {
        size_t len = strcspn(at, ",");
        if (len == 0)
            return config_tell(c, "%s: \"%s\" has an empty item", origin, text);
        int r = list_append(c, v, at, len);
        if (r < 0)
            return r;
        if (!at[len])
            return 0;
        at += len + 1;
    }
}

static int parse_value(const config_t *c, const config_option_t *o, const char *origin, const char *text,
                       config_value_t *v)
{
    if (!*text)
        return config_tell(c, "%s: the value is empty, expected %s", origin, config_wanted(o->type));
    if (o->type == CONFIG_LIST && o->whole)
        return list_append(c, v, text, strlen(text));
    if (o->type == CONFIG_LIST)
        return parse_list(c, origin, text, v);
    if (o->type != CONFIG_TEXT)
        return config_parse_scalar(c, o, origin, text, &v->as);
    if (o->choices && !config_is_choice(o->choices, text))
        return config_tell(c, "%s: \"%s\" is not one of %s", origin, text, o->choices);
    return 0;
}

int config_set(config_t *c, size_t i, config_from_t from, const char *origin, const char *text)
{
    const config_option_t *o = config_option(c, i);
    config_value_t *old = &c->values[i];
    if (o->key)
        return config_set_keyed(c, i, from, origin, text);
    config_value_t v = {.from = from, .seen = old->seen | 1U << from};
    int r = parse_value(c, o, origin, text, &v);
    if (r == 0 && (!(v.text = strdup(text)) || !(v.origin = strdup(origin))))
        r = config_tell_no_memory(c);
    if (r == 0 && o->type == CONFIG_LIST && old->from == from) {
        for (size_t k = 0; r == 0 && k < v.list_count; k++)
            r = list_append(c, old, v.list[k], strlen(v.list[k]));
    } else if (r == 0 && from >= old->from) {
        config_value_t weaker = *old;
        *old = v;
        v = weaker;
    }
    old->seen |= 1U << from;
    config_value_done(&v);
    return r;
}

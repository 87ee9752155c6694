#include "workers/restart/argv_template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has been read is kept as bytes. These cannot come from the text: it has no control characters. */
enum {
    END_OF_WORD = '\0',
    PLACE = 0x01,       /* followed by */
    PLACE_FIRST = 0x02, /* and up: a argv_value_kind_t */
};

struct argv_template {
    size_t words;
    unsigned uses; /* a bit for each kind of value */
    size_t len;
    char bytes[]; /* words, each with END_OF_WORD behind it */
};

static const char *const names[VALUES_COUNT] = {
    [VALUE_HOST] = "{host}", [VALUE_INSTANCE] = "{instance}", [VALUE_ID] = "{id}",
    [VALUE_TRY] = "{try}",   [VALUE_BOOT_ID] = "{boot_id}",
};

/* --- reading a template --- */

typedef struct {
    const char *text;
    size_t at;
    char quote;      /* that is open: ' " or NUL */
    size_t quote_at; /* where it was opened */
    bool in_word;    /* also in an empty one: '' */
    argv_template_t *t;
    char *why;
} reader_t;

static int refuse(const reader_t *r, size_t at, const char *what)
{
    snprintf(r->why, WHY_BYTES, "%s, at character %zu", what, at + 1);
    return -EINVAL;
}

static void put(reader_t *r, char c)
{
    r->t->bytes[r->t->len++] = c;
    r->in_word = true;
}

static int read_place(reader_t *r)
{
    const char *from = r->text + r->at;
    const char *end = strchr(from, '}');
    char what[WHY_BYTES - 32], shown[32];
    if (end == NULL)
        return refuse(r, r->at, "a { without its } (a brace itself is written {{)");
    const size_t len = (size_t)(end - from) + 1;
    for (unsigned kind = 0; kind < VALUES_COUNT; kind++) {
        if (strlen(names[kind]) != len || memcmp(names[kind], from, len) != 0)
            continue;
        if (r->t->words == 0)
            return refuse(r, r->at,
                          "the program itself is the same for all hosts, no placeholder can be in it");
        put(r, PLACE);
        put(r, (char)(PLACE_FIRST + kind));
        r->t->uses |= 1U << kind;
        r->at += len;
        return 0;
    }
    snprintf(
        what, sizeof what,
        "'%s' is no placeholder; expected {host}, {instance}, {id}, {try} or {boot_id}, or {{ for a brace",
        text_escape(from, len, shown, sizeof shown));
    return refuse(r, r->at, what);
}

static int read_brace(reader_t *r)
{
    const char c = r->text[r->at];
    if (r->text[r->at + 1] == c) {
        put(r, c);
        r->at += 2;
        return 0;
    }
    return c == '{' ? read_place(r) : refuse(r, r->at, "a } without its { (a brace itself is written }})");
}

static int read_backslash(reader_t *r)
{
    const char next = r->text[r->at + 1];
    if (next == '\0')
        return refuse(r, r->at, "a backslash with nothing behind it");
    if ((unsigned char)next < ' ')
        return refuse(r, r->at + 1, "a control character behind a backslash");
    if (r->quote == '"' && strchr("\"\\$`", next) == NULL) {
        put(r, '\\');
        r->at++;
        return 0;
    }
    put(r, next);
    r->at += 2;
    return 0;
}

static int end_word(reader_t *r)
{
    if (!r->in_word)
        return 0;
    put(r, END_OF_WORD);
    r->in_word = false;
    r->t->words++;
    return r->t->words <= TEMPLATE_WORDS_MAX ? 0 : refuse(r, r->at, "more than 128 words");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next character, or what begins with it. */
static int read_next(reader_t *r)
{
    const char c = r->text[r->at];
    if ((unsigned char)c < ' ' && !is_blank(c))
        return refuse(r, r->at, "a control character");
    if (c == '{' || c == '}')
        return read_brace(r);
    if (c == '\\' && r->quote != '\'')
        return read_backslash(r);
    r->at++;
    if (r->quote != '\0' && c == r->quote)
        r->quote = '\0';
    else if (r->quote == '\0' && (c == '\'' || c == '"')) {
        r->quote = c;
        r->quote_at = r->at - 1;
        r->in_word = true;
    } else if (r->quote == '\0' && is_blank(c))
        return end_word(r);
    else
        put(r, c);
    return 0;
}

static int read_all(reader_t *r)
{
    int error = 0;
    while (error == 0 && r->text[r->at] != '\0')
        error = read_next(r);
    if (error == 0 && r->quote != '\0')
        error =
            refuse(r, r->quote_at, r->quote == '"' ? "a \" that is not closed" : "a ' that is not closed");
    if (error == 0)
        error = end_word(r);
    if (error == 0 && (r->t->words == 0 || r->t->bytes[0] == END_OF_WORD))
        error = refuse(r, 0, "no program is named");
    return error;
}

int argv_template_parse(argv_template_t **ret, const char *text, char *why)
{
    const size_t len = strlen(text);
    if (len > TEMPLATE_BYTES_MAX) {
        snprintf(why, WHY_BYTES, "longer than %d bytes", TEMPLATE_BYTES_MAX);
        return -EINVAL;
    }
    /* No byte becomes more than one, but for the ends of words: one for the last, the others for blanks. */
    argv_template_t *t = calloc(1, sizeof *t + len + 1);
    if (t == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    reader_t r = {.text = text, .t = t, .why = why};
    const int error = read_all(&r);
    if (error != 0) {
        free(t);
        return error;
    }
    *ret = t;
    return 0;
}

void argv_template_destroy(argv_template_t **t)
{
    free(*t);
    *t = NULL;
}

const char *argv_template_program(const argv_template_t *t)
{
    return t->bytes;
}

bool argv_template_uses(const argv_template_t *t, argv_value_kind_t kind)
{
    return (t->uses & 1U << kind) != 0;
}

/* --- filling it --- */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Everything in a message has been checked before; what ends up as words of a command is checked here. */
static bool is_value(argv_value_kind_t kind, const argv_value_t *v)
{
    if (v->len == 0 || !is_alphanumeric(v->text[0]))
        return false;
    if (kind == VALUE_HOST)
        return host_check(v->text, v->len, NULL) == 0;
    if (kind == VALUE_INSTANCE)
        return instance_check(v->text, v->len, NULL) == 0;
    for (size_t i = 0; i < v->len; i++)
        if (!is_alphanumeric(v->text[i]) && memchr("._:+-", v->text[i], 5) == NULL)
            return false;
    return true;
}

/* What all words take with their values. */
static int measure(const argv_template_t *t, const argv_values_t *values, size_t *ret_bytes)
{
    size_t bytes = t->len;
    for (size_t i = 0; i < t->len; i++) {
        if (t->bytes[i] != PLACE)
            continue;
        const unsigned kind = (unsigned char)t->bytes[++i] - PLACE_FIRST;
        if (!is_value((argv_value_kind_t)kind, &values->of[kind]))
            return -EINVAL;
        bytes += values->of[kind].len;
    }
    *ret_bytes = bytes;
    return 0;
}

int argv_template_fill(const argv_template_t *t, const argv_values_t *values, char ***ret_argv)
{
    size_t bytes = 0, words = 0;
    const int error = measure(t, values, &bytes);
    if (error != 0)
        return error;
    char **argv = malloc((t->words + 1) * sizeof *argv + bytes);
    if (argv == NULL)
        return -ENOMEM;
    char *to = (char *)(argv + t->words + 1);
    bool begins = true;
    for (size_t i = 0; i < t->len; i++) {
        if (begins)
            argv[words++] = to;
        begins = t->bytes[i] == END_OF_WORD;
        if (t->bytes[i] != PLACE) {
            *to++ = t->bytes[i];
            continue;
        }
        const argv_value_t *v = &values->of[(unsigned char)t->bytes[++i] - PLACE_FIRST];
        memcpy(to, v->text, v->len);
        to += v->len;
    }
    argv[words] = NULL;
    *ret_argv = argv;
    return 0;
}

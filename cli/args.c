#include "cli/args.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void args_init(args_t *a)
{
    *a = (args_t){0};
}

void args_done(args_t *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->words[i]);
    args_init(a);
}

bool args_ok(const args_t *a)
{
    return !a->failed;
}

static void put(args_t *a, char *word)
{
    if (!word || a->count == ARGS_MAX) {
        a->failed = true;
        free(word);
        return;
    }
    a->words[a->count++] = word;
    a->words[a->count] = NULL;
}

void args_add(args_t *a, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char word[4096];
    int n = vsnprintf(word, sizeof(word), format, arguments);
    va_end(arguments);
    /* A path that was cut would name another file. */
    put(a, n < 0 || (size_t)n >= sizeof(word) ? NULL : strdup(word));
}

static size_t find(const args_t *a, const char *flag)
{
    size_t i = 0;
    while (i < a->count && strcmp(a->words[i], flag) != 0)
        i++;
    return i;
}

void args_set(args_t *a, const char *flag, const char *value)
{
    size_t at = find(a, flag);
    if (at + 1 >= a->count) {
        args_add(a, "%s", flag);
        args_add(a, "%s", value);
        return;
    }
    char *word = strdup(value);
    if (!word) {
        a->failed = true;
        return;
    }
    free(a->words[at + 1]);
    a->words[at + 1] = word;
}

void args_append(args_t *a, const args_t *more)
{
    for (size_t i = 0; i < more->count; i++)
        put(a, strdup(more->words[i]));
    a->failed = a->failed || more->failed;
}

const char *args_get(const args_t *a, const char *flag)
{
    size_t at = find(a, flag);
    return at + 1 < a->count ? a->words[at + 1] : NULL;
}

/* Values as text. */
#include "common/runtime/config_values.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *suffix;
    int64_t factor;
} unit_t;

static const unit_t durations[] = {{"", 1},        {"ms", 1},       {"s", 1000}, {"m", 60000},
                                   {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const unit_t sizes[] = {{"", 1},
                               {"k", INT64_C(1) << 10},
                               {"K", INT64_C(1) << 10},
                               {"M", INT64_C(1) << 20},
                               {"G", INT64_C(1) << 30},
                               {"T", INT64_C(1) << 40},
                               {NULL, 0}};

int config_parse_int(const char *text, int64_t *ret)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)*digits))
        return -EINVAL;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno)
        return -errno;
    *ret = v;
    return 0;
}

int config_parse_real(const char *text, double *ret)
{
    /* strtod knows more than people type: hexadecimal, "inf", "nan", spaces. */
    if (!*text || text[strspn(text, "-.0123456789eE+")])
        return -EINVAL;
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end)
        return -EINVAL;
    if (!isfinite(v))
        return -ERANGE;
    *ret = v;
    return 0;
}

/* "10s", "1.5h": the digits behind the point count only as far as a millisecond or a byte goes. */
static int parse_with_unit(const char *text, const unit_t *units, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    size_t decimals = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;
    const char *suffix = text + digits + (decimals > 0 ? decimals + 1 : 0);
    if (digits == 0)
        return -EINVAL;
    const unit_t *unit = units;
    while (unit->suffix && strcmp(unit->suffix, suffix) != 0)
        unit++;
    if (!unit->suffix || (decimals > 0 && unit->factor == 1))
        return -EINVAL;
    errno = 0;
    long long whole = strtoll(text, NULL, 10);
    if (errno || whole > INT64_MAX / unit->factor - 1)
        return -ERANGE;
    double part = decimals > 0 ? strtod(text + digits, NULL) : 0;
    *ret = whole * unit->factor + (int64_t)(part * (double)unit->factor);
    return 0;
}

int config_parse_duration(const char *text, int64_t *ret_ms)
{
    return parse_with_unit(text, durations, ret_ms);
}

int config_parse_size(const char *text, int64_t *ret_bytes)
{
    return parse_with_unit(text, sizes, ret_bytes);
}

int config_parse_flag(const char *text, bool *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i % 2 == 1;
            return 0;
        }
    }
    return -EINVAL;
}

bool config_is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at;) {
        const char *bar = strchr(at, '|');
        size_t n = bar ? (size_t)(bar - at) : strlen(at);
        if (n == len && strncmp(at, text, len) == 0)
            return true;
        at = bar ? bar + 1 : NULL;
    }
    return false;
}

/* Levenshtein, one row at a time. Longer words than any option's name are as far as can be. */
unsigned config_edit_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 64 };
    size_t columns = strlen(b);
    if (columns >= WORD_MAX || strlen(a) >= WORD_MAX)
        return WORD_MAX;
    unsigned row[WORD_MAX];
    for (size_t j = 0; j <= columns; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < columns; j++) {
            unsigned best = diagonal + (a[i] != b[j]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j + 1] + 1 < best ? row[j + 1] + 1 : best;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[columns];
}

#include "workers/restart/exit_rules.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    TIMED_OUT = 124,   /* of timeout(1) */
    BY_A_SIGNAL = 128, /* and its number, of a shell's command; 255: of ssh */
};

static const char *const meanings[] = {
    [EXIT_OK] = "ok",
    [EXIT_TRANSIENT] = "transient",
    [EXIT_PERMANENT] = "permanent",
    [EXIT_UNKNOWN] = "unknown",
};

/* Reads 0 to 255, and what stands behind it. */
static bool read_code(const char **text, unsigned *ret_code)
{
    unsigned code = 0, digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 4; (*text)++, digits++)
        code = code * 10 + (unsigned)(**text - '0');
    *ret_code = code;
    return digits > 0 && digits < 4 && code < EXIT_CODES;
}

static bool read_rule(exit_rules_t *r, const char *text)
{
    unsigned first, last;
    if (!read_code(&text, &first))
        return false;
    last = first;
    if (*text == '-') {
        text++;
        if (!read_code(&text, &last) || last < first)
            return false;
    }
    if (*text++ != '=')
        return false;
    for (size_t m = 0; m < sizeof meanings / sizeof meanings[0]; m++) {
        if (strcmp(text, meanings[m]) != 0)
            continue;
        memset(r->of + first, (int)m, last - first + 1);
        return true;
    }
    return false;
}

int exit_rules_parse(exit_rules_t *ret, const char *const *rules, size_t count, size_t *ret_bad)
{
    exit_rules_t r;
    memset(r.of, EXIT_TRANSIENT, sizeof r.of);
    r.of[0] = EXIT_OK;
    r.of[TIMED_OUT] = EXIT_UNKNOWN;
    memset(r.of + BY_A_SIGNAL, EXIT_UNKNOWN, sizeof r.of - BY_A_SIGNAL);
    for (size_t i = 0; i < count; i++) {
        if (read_rule(&r, rules[i]))
            continue;
        *ret_bad = i;
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

exit_meaning_t exit_rules_meaning(const exit_rules_t *r, int code)
{
    return code >= 0 && code < EXIT_CODES ? (exit_meaning_t)r->of[code] : EXIT_UNKNOWN;
}

/* --help. */
#include "common/runtime/config_values.h"
#include <string.h>

enum { INDENT = 2, LEFT_MAX = 30, GAP = 2, TEXT_MAX = 512, CHOICES_MAX = 16 };

/* Wraps `text` between the columns `left` and `width`, beginning at column `at`. */
static void print_wrapped(FILE *out, const char *text, int left, int at, int width)
{
    bool first = true;
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (!first && at + 1 + len > width) {
            fprintf(out, "\n%*s", left, "");
            at = left;
        } else if (!first) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, (size_t)len, out);
        at += len;
        text += len;
        text += strspn(text, " ");
        first = false;
    }
    fputc('\n', out);
}

static bool is_on(const config_option_t *o)
{
    return o->fallback && strcmp(o->fallback, "true") == 0;
}

/* A few short choices say more than the argument's name. */
static bool choices_are_argument(const config_option_t *o)
{
    return o->choices && strlen(o->choices) <= CHOICES_MAX;
}

/* "--listen EP", "--report text|json", "--stay"; "--[no-]progress" where "no" is what one would want to say.
 */
static int option_left(const config_option_t *o, char *text, size_t size)
{
    if (o->type == CONFIG_FLAG)
        return snprintf(text, size, is_on(o) ? "--[no-]%s" : "--%s", o->name);
    const char *argument = o->argument ? o->argument : "VALUE";
    return snprintf(text, size, "--%s %s%s%s%s", o->name, o->key ? "[" : "", o->key ? o->key : "",
                    o->key ? "=]" : "", choices_are_argument(o) ? o->choices : argument);
}

static void print_row(FILE *out, const char *left, const char *text, int column, int width)
{
    int at = fprintf(out, "%*s%s", INDENT, "", left);
    if (at + GAP > column) {
        fprintf(out, "\n%*s", column, "");
    } else {
        fprintf(out, "%*s", column - at, "");
    }
    print_wrapped(out, text, column, column, width);
}

static void print_option(FILE *out, const config_t *c, const config_option_t *o, int column, int width)
{
    char left[LEFT_MAX * 3];
    char text[TEXT_MAX];
    option_left(o, left, sizeof(left));
    int n = snprintf(text, sizeof(text), "%s", o->help);
    if (o->choices && !choices_are_argument(o) && n < TEXT_MAX) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, ": ");
        for (const char *p = o->choices; *p && n < TEXT_MAX - 8; p++)
            n += *p == '|' ? snprintf(text + n, sizeof(text) - (size_t)n, ", ")
                           : snprintf(text + n, sizeof(text) - (size_t)n, "%c", *p);
    }
    if ((o->type == CONFIG_LIST || o->key) && n < TEXT_MAX)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "; may be repeated");
    if (o->fallback && n < TEXT_MAX && (o->type != CONFIG_FLAG || is_on(o)))
        n += snprintf(text + n, sizeof(text) - (size_t)n, " (default %s)", is_on(o) ? "on" : o->fallback);
    if (o->reloads && n < TEXT_MAX)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " (SIGHUP)");
    if (o->own_variable && n < TEXT_MAX) {
        char variable[CONFIG_VARIABLE_MAX];
        config_variable(c->program, o, variable);
        snprintf(text + n, sizeof(text) - (size_t)n, " (in the environment %s)", variable);
    }
    print_row(out, left, text, column, width);
}

static int help_column(const config_t *c)
{
    int widest = 0;
    for (size_t i = 0; i < c->count; i++) {
        char left[LEFT_MAX * 3];
        int n = option_left(config_option(c, i), left, sizeof(left));
        if (n > widest && n <= LEFT_MAX)
            widest = n;
    }
    return INDENT + widest + GAP;
}

/* Which of the ways to write a value the program's options need. */
static void print_units(const config_t *c, FILE *out, int width)
{
    bool times = false;
    bool sizes = false;
    for (size_t i = 0; i < c->count; i++) {
        times = times || config_option(c, i)->type == CONFIG_DURATION;
        sizes = sizes || config_option(c, i)->type == CONFIG_SIZE;
    }
    if (times)
        print_wrapped(out, "Times: 250ms, 10s, 5m, 1h; a plain number is milliseconds.", 0, 0, width);
    if (sizes)
        print_wrapped(out, "Sizes: 64k, 10M, 2G (powers of 1024); a plain number is bytes.", 0, 0, width);
}

/* Only of programs that have such options of their own. */
static void print_reload(const config_t *c, FILE *out, int width)
{
    for (size_t i = 0; i < c->program->options_count; i++) {
        if (c->program->options[i].reloads) {
            print_wrapped(out, "Options with (SIGHUP) are read from the file again on that signal.", 0, 0,
                          width);
            return;
        }
    }
}

/* Shows the three ways at the program's first option, so that it can be copied. */
static void print_places(const config_t *c, FILE *out, int width)
{
    const config_option_t *o = config_option(c, 0);
    const char *value = o->fallback ? o->fallback : o->argument ? o->argument : "VALUE";
    char variable[CONFIG_VARIABLE_MAX];
    char text[TEXT_MAX];
    config_variable(c->program, o, variable);
    snprintf(
        text, sizeof(text),
        "Every option can also stand in the environment (%s=%s) or in the file that --config or "
        "MANDRILL_CONFIG names (%s = %s), at its top or indented by 4 spaces below the line \"%s\". Flags "
        "win "
        "over the environment, the environment over the file; the section over the top.",
        variable, value, o->name, value, c->program->section);
    print_wrapped(out, text, 0, 0, width);
}

void config_help(const config_t *c, FILE *out, int width)
{
    const config_program_t *p = c->program;
    int column = help_column(c);
    fprintf(out, "Usage: %s %s\n\n", p->name, p->arguments ? p->arguments : "[options]");
    print_wrapped(out, p->summary, 0, 0, width);
    if (p->options_count > 0)
        fputs("\nOptions:\n", out);
    for (size_t i = 0; i < p->options_count; i++)
        print_option(out, c, &p->options[i], column, width);
    fputs("\nCommon options:\n", out);
    for (size_t i = 0; i < config_common_count; i++)
        print_option(out, c, &config_common[i], column, width);
    print_row(out, "-n", "check the configuration and exit", column, width);
    print_row(out, "-h, --help", "show this help", column, width);
    print_row(out, "--version", "show the version", column, width);
    if (p->examples)
        fprintf(out, "\nExamples:\n%s%s", p->examples,
                p->examples[strlen(p->examples) - 1] == '\n' ? "" : "\n");
    fputc('\n', out);
    print_units(c, out, width);
    print_places(c, out, width);
    print_reload(c, out, width);
}

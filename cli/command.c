#include "cli/command.h"
#include "common/runtime/log.h"
#include <stdarg.h>
#include <stdio.h>

int command_config(config_t **ret, const config_program_t *program, int argc, char **argv, int *ret_exit)
{
    int r = config_load(ret, program, argc, argv);
    if (r != CONFIG_RUN && r != CONFIG_CHECK) {
        *ret_exit = r == CONFIG_EXIT ? EXIT_OK : EXIT_USAGE;
        return r;
    }
    log_level_t level = LOG_INFO;
    log_level_parse(config_text(*ret, "log-level"), &level);
    log_open(program->section, level);
    return r;
}

int command_usage(const config_program_t *program, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry '%s --help'.\n", program->name);
    va_end(arguments);
    return EXIT_USAGE;
}

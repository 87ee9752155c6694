/* The subcommands of mandrill: each a file, a row in main.c, and a function that gets its own words (argv[0]
 * is the subcommand) and returns the exit status. */
#ifndef MANDRILL_COMMAND_H
#define MANDRILL_COMMAND_H

#include "common/runtime/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_up(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_load(int argc, char **argv);
int command_status(int argc, char **argv);
int command_health(int argc, char **argv);
int command_dead(int argc, char **argv);
int command_bench(int argc, char **argv);

/* config_load() for a subcommand, and its log. CONFIG_RUN or CONFIG_CHECK: go on; else *ret_exit is the exit
 * status. */
int command_config(config_t **ret, const config_program_t *program, int argc, char **argv, int *ret_exit);
/* A usage error that was found later than config_load(): told with the program's name; returns EXIT_USAGE. */
int command_usage(const config_program_t *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/* Where a pipeline's save workers save: an SQLite file in the data directory, or PostgreSQL. Options that
 * `up` and `bench` share. */
#ifndef MANDRILL_STORE_H
#define MANDRILL_STORE_H

#include "cli/parts.h"
#include "common/runtime/config.h"

#define STORE_OPTIONS(save_help, save_min)                                                                   \
    {.name = "save",                                                                                         \
     .type = CONFIG_INT,                                                                                     \
     .fallback = "1",                                                                                        \
     .argument = "N",                                                                                        \
     .help = (save_help),                                                                                    \
     .min = (save_min),                                                                                      \
     .max = WORKERS_MAX},                                                                                    \
        {.name = "postgres",                                                                                 \
         .type = CONFIG_TEXT,                                                                                \
         .argument = "CONNINFO",                                                                             \
         .help = "save into this PostgreSQL database and not into a file: postgresql://USER@HOST/DATABASE, " \
                 "or as libpq has it otherwise",                                                             \
         .secret = true},                                                                                    \
    {                                                                                                        \
        .name = "postgres-password-file", .type = CONFIG_TEXT, .argument = "PATH",                           \
        .help = "a file with the password for it in its first line"                                          \
    }

/* Fills in the save workers of a pipeline: EXIT_OK, or EXIT_USAGE when there cannot be so many, told. The
 * save workers alone find the conninfo in their environment, for everybody can read their arguments. */
int store_choose(pipeline_settings_t *s, const config_program_t *program, const config_t *config);

#endif

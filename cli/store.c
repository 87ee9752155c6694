#include "cli/store.h"
#include "cli/command.h"
#include <stdlib.h>

int store_choose(pipeline_settings_t *s, const config_program_t *program, const config_t *config)
{
    const char *conninfo = config_text(config, "postgres");
    const char *password_file = config_text(config, "postgres-password-file");
    s->counts[PART_SAVE] = (uint32_t)config_int(config, "save");
    s->postgres = conninfo || password_file;
    if (!s->postgres && s->counts[PART_SAVE] > 1)
        return command_usage(program,
                             "%s: save-sqlite is one writing process for its file, so there can be only 1; "
                             "several need a database server: --postgres CONNINFO (save-postgres)",
                             config_origin(config, "save"));
    if ((conninfo && setenv("MANDRILL_POSTGRES", conninfo, 1) != 0) ||
        (password_file && setenv("MANDRILL_POSTGRES_PASSWORD_FILE", password_file, 1) != 0))
        return command_usage(program, "out of memory");
    return EXIT_OK;
}

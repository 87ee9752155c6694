/* `mandrill up`: its options, and what they mean for the children. */
#ifndef MANDRILL_UP_CONFIG_H
#define MANDRILL_UP_CONFIG_H

#include "cli/pipeline.h"
#include "common/runtime/config.h"

extern const config_program_t up_program;

typedef struct {
    const char *data_dir;
    char *run_dir;
    bool finite;    /* --count N: ends by itself */
    uint64_t count; /* then: how many */
    bool load;      /* it publishes messages of its own */
    pipeline_settings_t pipeline;
} up_settings_t;

/* EXIT_OK, or another exit status when the settings can't be used, which was told. The settings point into
 * the config. */
int up_settings_init(up_settings_t *s, const config_t *config);
void up_settings_done(up_settings_t *s);

#endif

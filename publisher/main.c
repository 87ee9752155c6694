/* mandrill-publisher: see docs/ARCHITECTURE.md. */
#include "common/runtime/folder.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "publisher/inspect.h"
#include "publisher/maintain.h"
#include "publisher/publisher.h"
#include <errno.h>
#include <string.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int run_idle(const settings_t *settings, const config_t *config, int signals_fd)
{
    char why[WHY_BYTES] = "";
    int r =
        config_flag(config, "inspect") ? inspect(settings->outbox, why) : maintain(settings, signals_fd, why);
    if (r == 0)
        return EXIT_OK;
    log_error("%s", why);
    return EXIT_FAILED;
}

static int run(const settings_t *settings, config_t *config, int signals_fd)
{
    char why[WHY_BYTES] = "";
    publisher_t *publisher = NULL;
    notify_open();
    if (publisher_open(&publisher, settings, signals_fd, why) < 0) {
        log_error("%s", why);
        return EXIT_FAILED;
    }
    publisher->config = config;
    int code = publisher_run(publisher);
    return publisher_close(&publisher) < 0 ? EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    config_t *config = NULL;
    settings_t settings;
    log_level_t level = LOG_INFO;

    int signals_fd = signals_open();
    log_open("publisher", level);
    if (signals_fd < 0) {
        log_error("signals: %s", strerror(-signals_fd));
        return EXIT_FAILED;
    }
    int mode = config_load(&config, &publisher_program, argc, argv);
    if (mode == CONFIG_EXIT)
        return EXIT_OK;
    if (mode < 0)
        return EXIT_USAGE;
    log_level_parse(config_text(config, "log-level"), &level);
    log_open("publisher", level);
    int code = settings_read(&settings, config) < 0 ? EXIT_USAGE : EXIT_OK;
    bool idle = config_flag(config, "inspect") || config_flag(config, "maintain");
    if (code == EXIT_OK && mode == CONFIG_RUN && idle) {
        code = run_idle(&settings, config, signals_fd);
    } else if (code == EXIT_OK && mode == CONFIG_RUN) {
        /* The default folder is the program's own business, any other the user's. When it cannot be made,
         * opening the outbox says why. */
        if (!config_given(config, "outbox"))
            folder_make_for(settings.outbox);
        code = run(&settings, config, signals_fd);
    }
    config_destroy(&config);
    return code;
}

/* mandrill-consumer: options, check, open, loop, close. */
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "consumer/consumer.h"
#include "consumer/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static int run(const consumer_options_t *options, config_t *config, int signals)
{
    static consumer_t consumer;
    int code = EXIT_FAILURE;
    notify_open();
    if (consumer_open(&consumer, options, signals) == 0) {
        consumer.config = config;
        code = consumer_run(&consumer);
        report_end(&consumer);
    }
    consumer_close(&consumer);
    return code;
}

int main(int argc, char **argv)
{
    int signals = signals_open();
    if (signals < 0) {
        fprintf(stderr, "%s: cannot watch signals: %s\n", consumer_program.name, strerror(-signals));
        return EXIT_FAILURE;
    }
    config_t *config = NULL;
    int loaded = config_load(&config, &consumer_program, argc, argv);
    if (loaded == CONFIG_EXIT)
        return EXIT_SUCCESS;
    if (loaded < 0)
        return EXIT_USAGE;

    log_level_t level = LOG_INFO;
    log_level_parse(config_text(config, "log-level"), &level);
    log_open("consumer", level);

    consumer_options_t options;
    int code = EXIT_USAGE;
    if (options_read(config, &options) == 0)
        code = loaded == CONFIG_CHECK ? EXIT_SUCCESS : run(&options, config, signals);
    config_destroy(&config);
    return code;
}

/* The flags of mandrill-consumer, read once. Strings belong to the config. */
#ifndef MANDRILL_CONSUMER_OPTIONS_H
#define MANDRILL_CONSUMER_OPTIONS_H

#include "common/core/gather.h"
#include "common/runtime/config.h"

typedef struct {
    const char *const *publishers;
    size_t publishers_count;
    const char *listen, *control;
    const char *announce; /* NULL: nowhere */
    const char *report;   /* text, json, none */
    gather_limits_t gather;
    uint32_t window_max, batch;
    int64_t drain_ms;
    bool log_messages;
} consumer_options_t;

extern const config_program_t consumer_program;

/* 0, or -EINVAL: something is wrong and has been told. */
int options_read(const config_t *c, consumer_options_t *ret);

#endif

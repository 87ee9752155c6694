/* The flags of mandrill-consumer, read once. Strings belong to the config. */
#ifndef MANDRILL_CONSUMER_OPTIONS_H
#define MANDRILL_CONSUMER_OPTIONS_H

#include "consumer/policies.h"

typedef struct {
    const char *const *publishers;
    size_t publishers_count;
    const char *listen, *control;
    const char *announce; /* NULL: nowhere */
    const char *health;   /* NULL: nowhere */
    const char *report;   /* text, json, none */
    const char *name;     /* NULL: HOST:PID */
    gather_limits_t gather;
    policies_t policies;
    uint32_t window_max, batch;
    int64_t drain_ms;
    bool log_messages;
} consumer_options_t;

extern const config_program_t consumer_program;

/* 0, or -EINVAL: something is wrong and has been told. */
int options_read(const config_t *c, consumer_options_t *ret);

#endif

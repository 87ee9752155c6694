/* The publisher's flags, and what they say once checked. Strings belong to the config. */
#ifndef MANDRILL_PUBLISHER_SETTINGS_H
#define MANDRILL_PUBLISHER_SETTINGS_H

#include "common/core/delivery.h"
#include "common/runtime/config.h"

#define LOAD_FOREVER UINT64_MAX
/* Bodies of messages that wait in memory: with the outbox's cache and the table well below 150 MB. */
#define READY_BYTES_MAX ((size_t)32 << 20)

typedef enum { REPORT_TEXT, REPORT_JSON, REPORT_NONE } report_kind_t;

typedef struct {
    const char *listen, *clients, *outbox, *domain, *announce, *health;
    const char *const *legs;
    size_t legs_count;

    uint64_t load;       /* messages; 0: no load; or LOAD_FOREVER */
    double rate;         /* of the load, a second; 0: as fast as it goes */
    bool rate_random;    /* the tutorial's: a random wait of up to a second before each */
    size_t pad;          /* of a load's bodies, so that they have --size */
    const char *from;    /* NULL: none */
    const char *load_id; /* NULL: no position is kept */
    bool stay, await_consumer;

    delivery_limits_t limits;
    uint32_t batch;
    int64_t outbox_max, drain_ms;
    report_kind_t report;
    bool progress, log_messages;
} settings_t;

extern const config_program_t publisher_program;

/* 0, or -EINVAL: told on stderr, exit 2. */
int settings_read(settings_t *ret, const config_t *config);

#endif

/* The few calls of the Docker Engine's API that a restart needs, as they are written and what comes back:
 *
 *   GET  /containers/NAME/json                          one container, by its name or id
 *   GET  /containers/json?filters={"label":["K=V"]}     those that have a label
 *   POST /containers/ID/restart?t=SECONDS
 *
 * Paths have no version: every engine has these calls, as they are, since 2013, and answers in its own
 * version. No socket, no clock. Ownership: a container's labels are its own, until container_done(). */
#ifndef MANDRILL_RESTART_DOCKER_CALLS_H
#define MANDRILL_RESTART_DOCKER_CALLS_H

#include "common/core/message.h"

enum {
    CONTAINER_ID_MAX = 64,
    CONTAINER_NAME_MAX = 255,
    CONTAINER_TIME_MAX = 40,
    LABEL_KEY_BYTES_MAX = 128,
    CALL_PATH_BYTES = 2048,
};

struct json_t; /* jansson's */

typedef struct {
    char id[CONTAINER_ID_MAX + 1];
    char name[CONTAINER_NAME_MAX + 1];
    char started_at[CONTAINER_TIME_MAX + 1]; /* as the engine writes it */
    int64_t started_ms;                      /* the same, since 1970 */
    bool running;                            /* and not between two starts */
    int64_t exit_code;
    struct json_t *labels;
} container_t;

/* Paths, in a buffer of CALL_PATH_BYTES. Whatever a name holds, it stays one element of the path. */
/* -EINVAL: no container can have this name. */
int call_inspect(char *path, const char *name, size_t len);
void call_restart(char *path, const char *id, int64_t seconds);
/* Of the containers whose label `key` is this; two at most, for more than one is one too many. -ENOMEM,
 * or -ENAMETOOLONG. */
int call_find(char *path, const char *key, const char *value, size_t len);

/* Answers: 0, or -EPROTO for what is none. */
int container_read(container_t *ret, const char *json, size_t len);
void container_done(container_t *c);
/* The value of a label; NULL: it has none. */
const char *container_label(const container_t *c, const char *key);
/* How many containers a list has, and the id of the first. */
int containers_read(size_t *ret_count, char ret_id[static CONTAINER_ID_MAX + 1], const char *json,
                    size_t len);
/* What the engine says of an error, escaped and cut; "" when it says nothing. Returns text. */
char *error_read(const char *json, size_t len, char *text, size_t size);
/* "2026-11-21T05:45:07.123456789Z", or with "+01:00" for the Z, as ms since 1970: 0 or -EINVAL. */
int rfc3339_parse(const char *text, int64_t *ret_ms);

#endif

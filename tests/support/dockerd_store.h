/* The containers of dockerd.h, and how they are written in answers. */
#ifndef MANDRILL_TEST_DOCKERD_STORE_H
#define MANDRILL_TEST_DOCKERD_STORE_H

#include "common/core/buffer.h"
#include "tests/support/dockerd.h"

enum { DOCKERD_CONTAINERS_MAX = 65536, DOCKERD_BUCKETS = 4096, DOCKERD_TIME_BYTES = 40 };
#define DOCKERD_NOBODY UINT32_MAX

typedef struct {
    char *name, *label; /* NULL: none */
    char started_at[DOCKERD_TIME_BYTES];
    bool running;
    unsigned restarts;
    uint32_t next; /* of its bucket */
} dockerd_container_t;

typedef struct {
    bool any; /* a name that nobody has and that has no dot is a container, too */
    dockerd_container_t *containers;
    uint32_t count;
    uint32_t buckets[DOCKERD_BUCKETS]; /* by name */
} dockerd_store_t;

void dockerd_store_init(dockerd_store_t *s);
void dockerd_store_done(dockerd_store_t *s);
/* Returns its number. */
uint32_t dockerd_store_add(dockerd_store_t *s, const char *name, size_t len, const char *label);
/* The number of a container, or DOCKERD_NOBODY: by its name; by its name, else by its id or how that begins.
 */
uint32_t dockerd_store_by_name(const dockerd_store_t *s, const char *name, size_t len);
uint32_t dockerd_store_find(dockerd_store_t *s, const char *name, size_t len);
void dockerd_store_restart(dockerd_container_t *c, dockerd_fault_t fault);

void dockerd_print(buffer_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dockerd_print_container(const dockerd_store_t *s, uint32_t i, buffer_t *out);
/* Those with the label that a request's first line asks for: {"label":["KEY=VALUE"]}, percent-encoded. */
void dockerd_print_list(const dockerd_store_t *s, const char *line, buffer_t *out);

#endif

/* Memory for bodies: free lists by size class (64 bytes, then powers of two up to 64 kB), so that a body
 * costs no malloc once the pool is warm. The caller gives the length back with the pointer. */
#ifndef MANDRILL_SLAB_H
#define MANDRILL_SLAB_H

#include <stddef.h>

enum { SLAB_CLASSES = 11 };

typedef struct {
    void *free[SLAB_CLASSES];
    void *chunks;      /* all that was taken from the system, freed by slab_done */
    size_t bytes_used; /* handed out, rounded to classes */
    size_t bytes_held; /* taken from the system */
} slab_t;

void slab_init(slab_t *s);
void slab_done(slab_t *s);
void *slab_get(slab_t *s, size_t len); /* NULL when memory is out or len is above BODY_BYTES_MAX */
void slab_put(slab_t *s, void *p, size_t len);

#endif

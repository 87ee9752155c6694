/* When messages of this start were handed to the outbox, for those whose entry in memory came only later: an
 * entry for each round, and when there are too many, for each other one. Pure. */
#ifndef MANDRILL_STAMPS_H
#define MANDRILL_STAMPS_H

#include <stdint.h>

enum { STAMPS_MAX = 65536 };

typedef struct {
    struct {
        uint64_t id;
        int64_t us;
    } * entries; /* ascending in both */
    uint32_t first, count;
} stamps_t;

int stamps_init(stamps_t *s); /* 0 or -ENOMEM */
void stamps_done(stamps_t *s);
/* Messages from `id` on were handed over at `us`; later calls have higher ids. */
void stamps_add(stamps_t *s, uint64_t id, int64_t us);
/* 0: not known. */
int64_t stamps_find(const stamps_t *s, uint64_t id);
/* Messages below `id` are not asked for any more. */
void stamps_forget(stamps_t *s, uint64_t id);

#endif

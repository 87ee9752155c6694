/* The store that the savers share. */
#ifndef MANDRILL_SIM_STORE_H
#define MANDRILL_SIM_STORE_H

#include "common/core/message.h"

/* 0: all of the ids are in it; -EIO: nobody knows; or how many ms it wants to be left alone. */
int store_commit(const message_id_t *ids, uint32_t n);
/* Faults. */
void store_away(int64_t us);
void store_full(int64_t us);
void store_fail(void); /* the next commit is EIO */
void store_heal(void);

#endif

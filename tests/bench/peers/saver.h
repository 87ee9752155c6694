/* What the group "save" does with a batch: one transaction in SQLite, with the durability and the settings of
 * Mandrill's save-sqlite. Errors: -EIO, told. */
#ifndef MANDRILL_PEERS_SAVER_H
#define MANDRILL_PEERS_SAVER_H

#include <stddef.h>
#include <stdint.h>

typedef struct saver saver_t;

int saver_open(saver_t **ret, const char *path);
void saver_close(saver_t **s);
int saver_begin(saver_t *s);
int saver_add(saver_t *s, uint64_t number, const void *body, size_t len);
int saver_commit(saver_t *s);
/* How many rows a file holds that nobody writes any more. */
int saver_rows(const char *path, uint64_t *ret);

#endif

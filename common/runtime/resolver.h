/* The addresses behind a list of endpoints, looked up again every RESOLVE_MS: that is how a name which gets
 * more addresses (a scaled service) is noticed. A lookup may block for seconds, so a thread of its own does
 * it; with nothing but numbers and paths there is no thread. A name that cannot be looked up keeps the
 * addresses it had.
 *
 * Ownership: the endpoints are copied. Call signals_open() first: the thread must not take signals. */
#ifndef MANDRILL_RESOLVER_H
#define MANDRILL_RESOLVER_H

#include <stddef.h>

enum { RESOLVE_MS = 3000, RESOLVED_MAX = 64, ADDRESS_BYTES = 128 };

typedef struct resolver resolver_t;

/* 0; -EINVAL for an endpoint that is none, with `why` (WHY_BYTES); -ENOMEM or what threads fail with. */
int resolver_open(resolver_t **ret, const char *const *endpoints, size_t n, char *why);
/* Returns at once, also while a lookup hangs. */
void resolver_close(resolver_t **r);
/* Readable when resolver_take() has news; -1 when there is no thread. */
int resolver_fd(const resolver_t *r);
/* How many addresses there are (at most RESOLVED_MAX, each once), or -EAGAIN: the same as last time. */
int resolver_take(resolver_t *r, char (*ret)[ADDRESS_BYTES]);

#endif

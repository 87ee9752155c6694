/* The client's side of PUBLISH with confirm (docs/PROTOCOL.md section 6): one PUBLISH out at a time, sent
 * again with the same number until it is confirmed, so that nothing is stored twice. */
#ifndef MANDRILL_PUBLISH_CLIENT_H
#define MANDRILL_PUBLISH_CLIENT_H

#include "common/core/proto.h"

typedef struct publish_client publish_client_t;

/* 0 or -errno with `why` (WHY_BYTES). `timeout_ms`: how long a PUBLISH may stay unconfirmed. */
int publish_client_open(publish_client_t **ret, const char *endpoint, int64_t timeout_ms, char *why);
void publish_client_close(publish_client_t **c);

/* A PUBLISH is built ... */
void publish_client_begin(publish_client_t *c);
void publish_client_add(publish_client_t *c, const void *body, size_t len);
bool publish_client_full(const publish_client_t *c);
/* ... and sent until it is confirmed: 0 with the confirm and its refusals (the client's, good until the next
 * begin). -ETIMEDOUT, -ECONNREFUSED (never reached anybody), -EPROTO (refused whole) and others, with `why`.
 */
int publish_client_send(publish_client_t *c, confirm_t *ret, const refusal_t **ret_refusals, int *ret_n,
                        char *why);

#endif

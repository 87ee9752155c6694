/* The consumer's line for each message, with --log-messages. The only place that looks into a body. */
#ifndef MANDRILL_CONSUMER_SAY_H
#define MANDRILL_CONSUMER_SAY_H

#include "common/core/gather.h"

void say_consumed(message_id_t id, const void *body, uint32_t body_len);
void say_extended(message_id_t id, int64_t ms);
void say_settled(const gather_view_t *view, step_code_t code);

#endif

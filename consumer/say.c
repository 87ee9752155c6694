#include "consumer/say.h"
#include "common/runtime/log.h"
#include <stdio.h>

static const char *host_of(const void *body, uint32_t len, char text[static HOST_BYTES_MAX + 1])
{
    body_t b;
    if (body_parse(body, len, &b) != 0)
        return "(a body that says no host)";
    return text_escape(b.host, b.host_len, text, HOST_BYTES_MAX + 1);
}

void say_consumed(message_id_t id, const void *body, uint32_t body_len)
{
    char text[MESSAGE_ID_TEXT], host[HOST_BYTES_MAX + 1];
    message_id_format(id, text);
    log_info("Consumed %s %s", text, host_of(body, body_len, host));
}

void say_extended(message_id_t id, int64_t ms)
{
    char text[MESSAGE_ID_TEXT];
    message_id_format(id, text);
    log_info("Extended deadline by %g seconds for %s", (double)ms / 1000, text);
}

void say_settled(const gather_view_t *view, step_code_t code)
{
    char text[MESSAGE_ID_TEXT], buffer[HOST_BYTES_MAX + 1];
    const char *host = host_of(view->body, view->body_len, buffer);
    message_id_format(view->id, text);
    switch (code) {
    case STEP_DONE:
        log_info("Done. Acked %s %s extended_cnt=%u", text, host, view->extended);
        break;
    case STEP_DEAD:
        log_warn("Dead %s %s extended_cnt=%u", text, host, view->extended);
        break;
    case STEP_RETURNED:
        log_info("Released %s %s", text, host);
        break;
    case STEP_KEPT:
    case STEP_GRANTED:
    case STEP_STALE:
    case STEP_GONE:
    case STEP_CODES:
        log_info("Left %s %s to its publisher", text, host);
        break;
    }
}

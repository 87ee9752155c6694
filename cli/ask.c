#include "cli/ask.h"
#include "cli/report.h"
#include "common/core/proto.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <stdlib.h>

struct ask {
    wire_t *wire;
    buffer_t question;
};

int ask_open(ask_t **ret, const char *endpoint, char *why)
{
    char address[1][128];
    int n = endpoint_resolve(endpoint, address, 1, why);
    if (n < 0)
        return n;
    ask_t *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    buffer_init(&a->question);
    encode_status(&a->question);
    int r = a->question.failed ? -ENOMEM : wire_connect(&a->wire, address[0], why);
    if (r < 0) {
        ask_close(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void ask_close(ask_t **a)
{
    if (!*a)
        return;
    if ((*a)->wire)
        wire_close(&(*a)->wire, 0);
    buffer_done(&(*a)->question);
    free(*a);
    *a = NULL;
}

void *ask_socket(const ask_t *a)
{
    return wire_socket(a->wire);
}

int ask_send(ask_t *a)
{
    wire_reconnected(a->wire); /* of no interest: an answer is not waited for, it is asked again soon */
    return wire_send(a->wire, 0, &a->question);
}

json_t *ask_take(ask_t *a)
{
    json_t *latest = NULL;
    frame_t frame;
    text_t text;
    const char *why;
    while (wire_recv(a->wire, &frame) == 0) {
        if (proto_command(frame.data, frame.len, &why) != CMD_REPORT ||
            decode_report(frame.data, frame.len, &text) < 0)
            continue;
        json_t *report = report_parse(text.bytes, text.len);
        if (!report)
            continue;
        json_decref(latest);
        latest = report;
    }
    return latest;
}

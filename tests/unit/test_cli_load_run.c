/* `mandrill load` against a publisher that the test plays in a thread. */
#include "cli/command.h"
#include "common/core/proto.h"
#include "tests/unit/wire_server.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 2, UNTIL_ACKED = 3 };

/* The publisher: who asked before the confirm, and how often it was asked after it. */
static struct {
    bool confirmed;
    uint32_t asker;
    int asked_after;
} played;

static void send_status(uint32_t to, int backlog)
{
    char text[128];
    buffer_t b;
    int n = snprintf(text, sizeof text,
                     "{\"session\":\"000000000000004d\",\"epoch\":1,\"dead\":0,\"backlog\":%d,"
                     "\"oldest_epoch\":%d,\"oldest_seq\":%d}",
                     backlog, backlog > 0, backlog > 0 ? 5 : 0);
    buffer_init(&b);
    encode_report(&b, text, (size_t)n);
    wire_server_send(to, &b);
}

static void take_status(uint32_t from)
{
    if (!played.confirmed)
        played.asker = from;
    /* Who asked before may still be owed the answer of that time. */
    if (!played.confirmed || from == played.asker)
        send_status(from, 0);
    else
        send_status(from, ++played.asked_after < UNTIL_ACKED ? COUNT : 0);
}

static void take_publish(uint32_t from, const publish_t *p)
{
    buffer_t b;
    buffer_init(&b);
    const confirm_t c = {.session = p->session, .number = p->number, .first = {0x4d, 5}, .stored = COUNT};
    encode_confirm(&b, &c, NULL, 0);
    played.confirmed = true;
    wire_server_send(from, &b);
}

static void take(const frame_t *frame)
{
    const char *fault;
    publish_t p;
    text_t bodies[RECORDS_MAX];
    if (proto_command(frame->data, frame->len, &fault) == CMD_STATUS)
        take_status(frame->routing_id);
    else if (decode_publish(frame->data, frame->len, &p, bodies) >= 0)
        take_publish(frame->routing_id, &p);
}

static int close_server(void **state)
{
    (void)state;
    wire_server_close();
    return 0;
}

static void a_status_of_before_the_last_confirm_settles_nothing(void **state)
{
    (void)state;
    enum { WORDS = 6 };
    char words[WORDS][160] = {"load", "--count=2", "", "--timeout=20s", "--no-progress", "--json"};
    char *argv[WORDS + 1] = {NULL};
    snprintf(words[2], sizeof words[2], "--clients=%s", wire_server_start(take));
    for (int i = 0; i < WORDS; i++)
        argv[i] = words[i];
    assert_int_equal(command_load(WORDS, argv), 0);
    wire_server_over();
    assert_true(played.confirmed);
    assert_int_equal(played.asked_after, UNTIL_ACKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_status_of_before_the_last_confirm_settles_nothing, close_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The client's side of PUBLISH against a publisher that the test plays in a thread. */
#include "cli/client.h"
#include "cli/publish_client.h"
#include "common/runtime/clock.h"
#include "tests/unit/wire_server.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef enum {
    PLAY_END,     /* of the play */
    PLAY_SILENCE, /* no answer */
    PLAY_RENEW,   /* no answer: another publisher is there */
    PLAY_CONFIRM,
    PLAY_REFUSE_SECOND,
    PLAY_OLD_CONFIRM, /* of the number before, and of another session */
    PLAY_FULL,
    PLAY_GAP,
    PLAY_GARBAGE,
} play_t;

enum { PLAYS_MAX = 8, WAIT_MS = 20000 };

/* One PUBLISH that was seen. */
typedef struct {
    uint64_t session, number;
    int64_t at_ms;
    size_t len;
} seen_t;

static struct {
    play_t plays[PLAYS_MAX];
    seen_t seen[PLAYS_MAX];
    int count;
} server;

static publish_client_t *client;
static char why[WHY_BYTES];
static confirm_t confirm;
static const refusal_t *refusals;
static int refused;

static void send_confirm(uint32_t to, uint64_t session, uint64_t number, uint32_t stored, const refusal_t *r,
                         uint32_t n)
{
    buffer_t b;
    buffer_init(&b);
    const confirm_t c = {.session = session, .number = number, .first = {77, 5}, .stored = stored};
    encode_confirm(&b, &c, r, n);
    wire_server_send(to, &b);
}

static void send_error(uint32_t to, unsigned code)
{
    buffer_t b;
    buffer_init(&b);
    encode_error(&b, code, "says the test");
    wire_server_send(to, &b);
}

static void answer(play_t play, uint32_t to, const publish_t *p)
{
    static const refusal_t second = {.place = 1, .code = ERR_BODY, .text = {"no good", 7}};
    buffer_t b;
    switch (play) {
    case PLAY_CONFIRM:
        send_confirm(to, p->session, p->number, 2, NULL, 0);
        break;
    case PLAY_REFUSE_SECOND:
        send_confirm(to, p->session, p->number, 1, &second, 1);
        break;
    case PLAY_OLD_CONFIRM:
        send_confirm(to, p->session, p->number + 1, 9, NULL, 0);
        send_confirm(to, p->session + 1, p->number, 9, NULL, 0);
        send_confirm(to, p->session, p->number, 2, NULL, 0);
        break;
    case PLAY_FULL:
        send_error(to, ERR_FULL);
        break;
    case PLAY_GAP:
        send_error(to, ERR_GAP);
        break;
    case PLAY_GARBAGE:
        buffer_init(&b);
        buffer_append(&b, "\x93\x1f", 2);
        wire_server_send(to, &b);
        send_confirm(to, p->session, p->number, 2, NULL, 0);
        break;
    case PLAY_RENEW:
        wire_server_renew();
        break;
    case PLAY_SILENCE:
    case PLAY_END:
        break;
    }
}

static void take(const frame_t *frame)
{
    publish_t p;
    text_t bodies[RECORDS_MAX];
    if (server.plays[server.count] == PLAY_END || decode_publish(frame->data, frame->len, &p, bodies) < 0)
        return;
    server.seen[server.count] =
        (seen_t){.session = p.session, .number = p.number, .at_ms = clock_ms(), .len = frame->len};
    answer(server.plays[server.count++], frame->routing_id, &p);
}

/* Opens a client to a publisher that answers so. */
static void play(int64_t timeout_ms, const play_t *plays)
{
    memset(&server, 0, sizeof(server));
    memcpy(server.plays, plays, (PLAYS_MAX - 1) * sizeof(*plays));
    assert_int_equal(publish_client_open(&client, wire_server_start(take), timeout_ms, why), 0);
}
#define PLAY(timeout_ms, ...) play((timeout_ms), (const play_t[PLAYS_MAX]){__VA_ARGS__})

static int teardown(void **state)
{
    (void)state;
    publish_client_close(&client);
    wire_server_close();
    return 0;
}

static int publish_two(void)
{
    publish_client_begin(client);
    publish_client_add(client, "a", 1);
    publish_client_add(client, "b", 1);
    why[0] = '\0';
    return publish_client_send(client, &confirm, &refusals, &refused, why);
}

static void each_publish_has_the_next_number(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_CONFIRM, PLAY_CONFIRM);
    assert_int_equal(publish_two(), 0);
    assert_int_equal(confirm.stored, 2);
    assert_int_equal(confirm.first.stream, 77);
    assert_int_equal(confirm.first.seq, 5);
    assert_int_equal(refused, 0);
    assert_int_equal(publish_two(), 0);
    wire_server_over();
    assert_int_equal(server.seen[0].number, 1);
    assert_int_equal(server.seen[1].number, 2);
    assert_true(server.seen[0].session != 0 && server.seen[0].session == server.seen[1].session);
}

static void expect_the_second_to_be_confirmed(void)
{
    assert_int_equal(publish_two(), 0);
    wire_server_over();
    assert_int_equal(server.count, 2);
    assert_int_equal(server.seen[1].number, 1);
    assert_true(server.seen[1].session == server.seen[0].session);
    assert_int_equal(server.seen[1].len, server.seen[0].len);
}

static void what_is_not_answered_is_sent_again_as_it_was(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_SILENCE, PLAY_CONFIRM);
    expect_the_second_to_be_confirmed();
    assert_true(server.seen[1].at_ms - server.seen[0].at_ms >= 900);
}

/* Sooner than it is sent again by itself: there would be no time left for that. */
static void it_is_sent_again_over_a_new_connection_at_once(void **state)
{
    (void)state;
    PLAY(CLIENT_REPEAT_MS - 50, PLAY_RENEW, PLAY_CONFIRM);
    expect_the_second_to_be_confirmed();
}

static void refusals_are_handed_on(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_REFUSE_SECOND);
    assert_int_equal(publish_two(), 0);
    assert_int_equal(confirm.stored, 1);
    assert_int_equal(refused, 1);
    assert_int_equal(refusals[0].place, 1);
    assert_int_equal(refusals[0].text.len, 7);
}

static void confirms_of_others_are_not_ours(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_OLD_CONFIRM, PLAY_GARBAGE);
    assert_int_equal(publish_two(), 0);
    assert_int_equal(confirm.stored, 2);
    assert_int_equal(publish_two(), 0);
    wire_server_over();
    assert_int_equal(server.count, 2);
}

static void not_now_is_tried_again_soon(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_FULL, PLAY_FULL, PLAY_CONFIRM);
    assert_int_equal(publish_two(), 0);
    wire_server_over();
    assert_int_equal(server.count, 3);
    assert_int_equal(server.seen[2].number, 1);
    assert_true(server.seen[2].at_ms - server.seen[1].at_ms >= 150);
}

static void not_now_for_too_long_tells_the_reason(void **state)
{
    (void)state;
    PLAY(300, PLAY_FULL, PLAY_FULL, PLAY_SILENCE);
    assert_int_equal(publish_two(), -ETIMEDOUT);
    assert_non_null(strstr(why, "not confirmed within 0.3 s"));
    assert_non_null(strstr(why, "FULL: says the test"));
}

static void a_refused_publish_ends_it(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_GAP);
    assert_int_equal(publish_two(), -EPROTO);
    assert_non_null(strstr(why, "GAP: says the test"));
}

static void silence_is_told_from_nobody(void **state)
{
    (void)state;
    PLAY(200, PLAY_SILENCE);
    assert_int_equal(publish_two(), -ETIMEDOUT);
    assert_non_null(strstr(why, "no answer from tcp://127.0.0.1:"));
}

static void nobody_listens(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    assert_int_equal(publish_client_open(&client, "ipc:///tmp/mandrill-nobody.ipc", 100, why), 0);
    assert_int_equal(publish_two(), -ECONNREFUSED);
    assert_non_null(strstr(why, "nobody listens at ipc:///tmp/mandrill-nobody.ipc"));
}

#define with_client(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_client(each_publish_has_the_next_number),
        with_client(what_is_not_answered_is_sent_again_as_it_was),
        with_client(it_is_sent_again_over_a_new_connection_at_once),
        with_client(refusals_are_handed_on),
        with_client(confirms_of_others_are_not_ours),
        with_client(not_now_is_tried_again_soon),
        with_client(not_now_for_too_long_tells_the_reason),
        with_client(a_refused_publish_ends_it),
        with_client(silence_is_told_from_nobody),
        with_client(nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

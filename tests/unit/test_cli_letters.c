/* The client's side of DEAD against a publisher that the test plays. */
#include "cli/client.h"
#include "cli/letters.h"
#include "common/runtime/clock.h"
#include "tests/unit/wire_server.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef enum {
    PLAY_END,
    PLAY_SILENCE,
    PLAY_RENEW, /* no answer: another publisher is there */
    PLAY_ANSWER,
    PLAY_OTHERS, /* of numbers that nobody has, and garbage; then the answer */
    PLAY_HOLD,   /* answered behind the next one */
    PLAY_FULL,
    PLAY_UNKNOWN,
} play_t;

enum { PLAYS_MAX = 8, WAIT_MS = 20000 };

static struct {
    play_t plays[PLAYS_MAX];
    dead_t seen[PLAYS_MAX];
    int count;
    uint64_t held; /* number of a question that waits; 0: none */
} server;

static letters_t *letters;
static char why[WHY_BYTES];
static answer_t answer;

static void send_buried(uint32_t to, uint64_t number, uint32_t count)
{
    buffer_t b;
    batch_t batch;
    const buried_t rest = {.count = count, .looked_to = {1, count}};
    buffer_init(&b);
    buried_begin(&batch, &b, number);
    buried_end(&batch, &rest);
    wire_server_send(to, &b);
}

static void send_error(uint32_t to, unsigned code)
{
    buffer_t b;
    buffer_init(&b);
    encode_error(&b, code, "says the test");
    wire_server_send(to, &b);
}

static void perform(play_t play, uint32_t to, const dead_t *d)
{
    buffer_t b;
    uint32_t count = d->max; /* so that answers differ */
    switch (play) {
    case PLAY_OTHERS:
        send_buried(to, d->number + 1, 999);
        buffer_init(&b);
        buffer_append(&b, "\x98\x2b", 2);
        wire_server_send(to, &b);
        send_buried(to, d->number, count);
        break;
    case PLAY_ANSWER:
        send_buried(to, d->number, count);
        if (server.held)
            send_buried(to, server.held, 77);
        break;
    case PLAY_HOLD:
        server.held = d->number;
        break;
    case PLAY_FULL:
        send_error(to, ERR_FULL);
        break;
    case PLAY_UNKNOWN:
        send_error(to, ERR_UNKNOWN);
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
    dead_t d;
    if (server.plays[server.count] == PLAY_END || decode_dead(frame->data, frame->len, &d) < 0)
        return;
    server.seen[server.count] = d;
    perform(server.plays[server.count++], frame->routing_id, &d);
}

static void play(int64_t timeout_ms, const play_t *plays)
{
    memset(&server, 0, sizeof(server));
    memcpy(server.plays, plays, (PLAYS_MAX - 1) * sizeof(*plays));
    assert_int_equal(letters_open(&letters, wire_server_start(take), timeout_ms, why), 0);
}
#define PLAY(timeout_ms, ...) play((timeout_ms), (const play_t[PLAYS_MAX]){__VA_ARGS__})

static int teardown(void **state)
{
    (void)state;
    letters_close(&letters);
    wire_server_close();
    return 0;
}

static void put(uint32_t max)
{
    const dead_t question = {.act = ACT_COUNT, .max = max};
    letters_put(letters, &question);
}

static int wait_for_answer(void)
{
    why[0] = '\0';
    return letters_wait(letters, -1, INT64_MAX, &answer, why);
}

static void each_question_has_a_number(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_ANSWER, PLAY_ANSWER);
    put(5);
    assert_int_equal(wait_for_answer(), 1);
    assert_int_equal(answer.buried.count, 5);
    assert_int_equal(answer.question.max, 5);
    assert_false(answer.repeated);
    assert_int_equal(letters_out(letters), 0);
    put(6);
    assert_int_equal(wait_for_answer(), 1);
    assert_int_equal(answer.buried.count, 6);
    wire_server_over();
    assert_int_equal(server.seen[0].version, PROTO_VERSION);
    assert_true(server.seen[0].number != server.seen[1].number);
}

static void expect_two_with_one_number(void)
{
    assert_true(answer.repeated);
    wire_server_over();
    assert_int_equal(server.count, 2);
    assert_true(server.seen[0].number == server.seen[1].number);
}

static void what_is_not_answered_is_asked_again_with_its_number(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_SILENCE, PLAY_ANSWER);
    put(5);
    assert_int_equal(wait_for_answer(), 1);
    expect_two_with_one_number();
}

/* Sooner than it is asked again by itself: there would be no time left for that. Where the machine has no
 * time for this, another round has. */
static void it_is_asked_again_over_a_new_connection_at_once(void **state)
{
    enum { ROUNDS = 5 };
    int answered = 0;
    for (int round = 0; round < ROUNDS && answered != 1; round++) {
        teardown(state);
        PLAY(CLIENT_REPEAT_MS - 50, PLAY_RENEW, PLAY_ANSWER);
        put(5);
        answered = wait_for_answer();
    }
    assert_int_equal(answered, 1);
    expect_two_with_one_number();
}

static void answers_are_told_apart(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_HOLD, PLAY_ANSWER);
    put(5);
    put(6);
    assert_int_equal(letters_out(letters), 2);
    assert_int_equal(wait_for_answer(), 1);
    assert_int_equal(answer.question.max, 6);
    assert_int_equal(answer.buried.count, 6);
    assert_int_equal(wait_for_answer(), 1);
    assert_int_equal(answer.question.max, 5);
    assert_int_equal(answer.buried.count, 77);
}

static void what_nobody_asked_for_is_no_answer(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_OTHERS);
    put(5);
    assert_int_equal(wait_for_answer(), 1);
    assert_int_equal(answer.buried.count, 5);
    assert_false(answer.repeated);
}

static void not_now_is_asked_again_soon(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_FULL, PLAY_FULL, PLAY_ANSWER);
    put(5);
    assert_int_equal(wait_for_answer(), 1);
    wire_server_over();
    assert_int_equal(server.count, 3);
}

static void not_now_for_too_long_tells_the_reason(void **state)
{
    (void)state;
    PLAY(300, PLAY_FULL, PLAY_FULL, PLAY_SILENCE);
    put(5);
    assert_int_equal(wait_for_answer(), -ETIMEDOUT);
    assert_non_null(strstr(why, "FULL: says the test"));
}

static void a_publisher_that_does_not_know_it(void **state)
{
    (void)state;
    PLAY(WAIT_MS, PLAY_UNKNOWN);
    put(5);
    assert_int_equal(wait_for_answer(), -EPROTO);
    assert_non_null(strstr(why, "UNKNOWN: says the test"));
}

static void silence_is_told_from_nobody(void **state)
{
    (void)state;
    PLAY(200, PLAY_SILENCE);
    put(5);
    assert_int_equal(wait_for_answer(), -ETIMEDOUT);
    assert_non_null(strstr(why, "no answer from tcp://127.0.0.1:"));
    letters_close(&letters);
    assert_int_equal(letters_open(&letters, "ipc:///tmp/mandrill-nobody.ipc", 100, why), 0);
    put(5);
    assert_int_equal(wait_for_answer(), -ECONNREFUSED);
    assert_non_null(strstr(why, "nobody listens at ipc:///tmp/mandrill-nobody.ipc"));
}

static void a_wait_ends_in_time_or_for_a_file(void **state)
{
    (void)state;
    int pipe_ends[2];
    PLAY(WAIT_MS, PLAY_SILENCE);
    put(5);
    assert_int_equal(letters_wait(letters, -1, clock_ms() + 20, &answer, why), 0);
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    assert_int_equal(letters_wait(letters, pipe_ends[0], INT64_MAX, &answer, why), 0);
    assert_int_equal(letters_out(letters), 1);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

#define with_letters(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_letters(each_question_has_a_number),
        with_letters(what_is_not_answered_is_asked_again_with_its_number),
        with_letters(it_is_asked_again_over_a_new_connection_at_once),
        with_letters(answers_are_told_apart),
        with_letters(what_nobody_asked_for_is_no_answer),
        with_letters(not_now_is_asked_again_soon),
        with_letters(not_now_for_too_long_tells_the_reason),
        with_letters(a_publisher_that_does_not_know_it),
        with_letters(silence_is_told_from_nobody),
        with_letters(a_wait_ends_in_time_or_for_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

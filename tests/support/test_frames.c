/* The generator of bad frames: it repeats itself from a seed, makes every kind, and what it calls surely bad
 * is taken by no decoder. Run with sanitizers, it is a fuzzer of the decoders as well. */
#include "tests/support/frames.h"

#include "common/core/proto.h"
#include "tests/support/wait.h"
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 20000, PLACES = 3 };

/* Whether the decoder of the frame's command takes it. */
static bool taken(const void *frame, size_t len, void *room)
{
    const char *why;
    const uint8_t *codes;
    uint64_t number;
    uint32_t window;
    hello_t hello;
    welcome_t welcome;
    peer_error_t error;
    publish_t publish;
    confirm_t confirm;
    text_t text;
    tasks_t head;
    dead_t dead;
    buried_t buried;

    switch (proto_command(frame, len, &why)) {
    case CMD_HELLO:
        return decode_hello(frame, len, &hello) >= 0;
    case CMD_WELCOME:
        return decode_welcome(frame, len, &welcome) >= 0;
    case CMD_PING:
        return decode_ping(frame, len, &number) >= 0;
    case CMD_ERROR:
        return decode_error(frame, len, &error) >= 0;
    case CMD_WINDOW:
        return decode_window(frame, len, &window) >= 0;
    case CMD_DELIVER:
        return decode_deliver(frame, len, room) >= 0;
    case CMD_PROGRESS:
        return decode_progress(frame, len, &number, room) >= 0;
    case CMD_SETTLED:
        return decode_settled(frame, len, &number, &codes) >= 0;
    case CMD_TASKS:
        return decode_tasks(frame, len, &head, room) >= 0;
    case CMD_RESULTS:
        return decode_results(frame, len, &number, room) >= 0;
    case CMD_NOTES:
        return decode_notes(frame, len, room) >= 0;
    case CMD_GRANTS:
        return decode_grants(frame, len, room) >= 0;
    case CMD_PUBLISH:
        return decode_publish(frame, len, &publish, room) >= 0;
    case CMD_CONFIRM:
        return decode_confirm(frame, len, &confirm, room) >= 0;
    case CMD_STATUS:
        return decode_status(frame, len, &number) >= 0;
    case CMD_REPORT:
        return decode_report(frame, len, &text) >= 0;
    case CMD_DEAD:
        return decode_dead(frame, len, &dead) >= 0;
    case CMD_BURIED:
        return decode_buried(frame, len, &buried, room) >= 0;
    default:
        return false;
    }
}

static void test_surely_bad_frames_are_taken_by_nobody(void **state)
{
    unsigned kinds[BAD_KINDS] = {0}, taken_mutations = 0;
    uint64_t seed = frames_seed();
    /* The largest record of all decoders is a step. */
    void *room = malloc(RECORDS_MAX * (sizeof(step_t) + sizeof(delivery_record_t)));
    buffer_t b;

    (void)state;
    assert_non_null(room);
    buffer_init(&b);
    for (unsigned i = 0; i < FRAMES; i++) {
        bad_kind_t kind = frames_bad((frames_place_t)(i % PLACES), &seed, &b);
        /* A copy of just that size, so that a sanitizer sees who reads on. */
        uint8_t *frame = malloc(b.len > 0 ? b.len : 1);

        assert_non_null(frame);
        if (b.len > 0)
            memcpy(frame, b.data, b.len);
        bool was_taken = taken(frame, b.len, room);
        kinds[kind]++;
        if (frames_surely_bad(kind))
            assert_false(was_taken);
        taken_mutations += kind == BAD_MUTATED && was_taken;
        free(frame);
    }
    for (int i = 0; i < BAD_KINDS; i++)
        assert_true(kinds[i] > FRAMES / 100);
    /* Some mutations pass, or they would not reach far. */
    assert_true(taken_mutations > FRAMES / 1000);
    buffer_done(&b);
    free(room);
}

static void test_a_seed_tells_all(void **state)
{
    buffer_t a, b;
    uint64_t seed_a = 7, seed_b = 7;

    (void)state;
    buffer_init(&a);
    buffer_init(&b);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(frames_bad(FRAMES_LEASES, &seed_a, &a), frames_bad(FRAMES_LEASES, &seed_b, &b));
        assert_int_equal(a.len, b.len);
        if (a.len > 0)
            assert_memory_equal(a.data, b.data, a.len);
    }
    buffer_done(&a);
    buffer_done(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_surely_bad_frames_are_taken_by_nobody),
        cmocka_unit_test(test_a_seed_tells_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

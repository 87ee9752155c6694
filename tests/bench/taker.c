#include "tests/bench/taker.h"

#include "common/runtime/dialer.h"
#include "tests/bench/measure.h"
#include <errno.h>
#include <stdlib.h>

enum { SESSIONS_MAX_HERE = 32, FRAMES_A_TURN = 64, TICK_MS = 100 };

typedef struct {
    taker_t *taker;
    dialer_t *dialer;
    uint32_t window;
    bool up;
} session_t;

struct taker {
    loop_t loop;
    taker_events_t events;
    session_t sessions[SESSIONS_MAX_HERE];
    unsigned count;
    delivery_record_t *records;
};

static void on_hello(void *arg, uint32_t dial, hello_t *h, const uint64_t **ret_held)
{
    const session_t *s = arg;

    (void)dial;
    (void)ret_held;
    h->window = s->window;
}

static void on_up(void *arg, uint32_t dial, const welcome_t *w, bool other_server)
{
    session_t *s = arg;

    (void)dial;
    (void)w;
    (void)other_server;
    s->up = true;
}

static void on_down(void *arg, uint32_t dial)
{
    session_t *s = arg;

    (void)dial;
    s->up = false;
}

static void on_gone(void *arg, uint32_t dial)
{
    (void)arg;
    (void)dial;
}

static int on_frame(void *arg, uint32_t dial, int command, const frame_t *frame)
{
    session_t *s = arg;
    taker_t *t = s->taker;

    (void)dial;
    if (command == CMD_PING)
        return 0;
    if (command != CMD_DELIVER)
        return -ENOSYS;
    const int64_t now_us = measure_now_us();
    const int n = decode_deliver(frame->data, frame->len, t->records);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++)
        t->events.given(t->events.arg, &t->records[i], now_us);
    return 0;
}

void taker_open(taker_t **ret, const char *endpoint, unsigned sessions, uint32_t window,
                const taker_events_t *events)
{
    taker_t *t = calloc(1, sizeof *t);

    assert_non_null(t);
    assert_true(sessions <= SESSIONS_MAX_HERE);
    t->records = malloc(RECORDS_MAX * sizeof *t->records);
    assert_non_null(t->records);
    t->events = *events;
    loop_init(&t->loop);
    for (; t->count < sessions; t->count++) {
        session_t *s = &t->sessions[t->count];
        char why[WHY_BYTES];
        const dialer_options_t options = {.what = "publisher",
                                          .role = ROLE_CONSUMER,
                                          .kind = "",
                                          .leg = "",
                                          .label = "taker",
                                          .endpoints = &endpoint,
                                          .endpoints_count = 1};
        const dialer_events_t heard = {
            .arg = s, .hello = on_hello, .up = on_up, .down = on_down, .gone = on_gone, .frame = on_frame};
        *s = (session_t){.taker = t, .window = window};
        if (dialer_open(&s->dialer, &options, &heard, &t->loop, why) < 0)
            fail_msg("%s", why);
    }
    *ret = t;
}

void taker_close(taker_t **ref)
{
    taker_t *t = *ref;

    for (unsigned i = 0; i < t->count; i++)
        dialer_close(&t->sessions[i].dialer, 0);
    free(t->records);
    free(t);
    *ref = NULL;
}

void taker_window(taker_t *t, unsigned session, uint32_t window)
{
    session_t *s = &t->sessions[session];
    buffer_t b;

    s->window = window;
    if (!s->up)
        return;
    buffer_init(&b);
    encode_window(&b, window);
    dialer_send(s->dialer, 0, &b);
    buffer_done(&b);
}

bool taker_until(taker_t *t, bool (*done)(void *arg), int64_t until_us)
{
    while (!done(t->events.arg)) {
        const int64_t now_us = measure_now_us();
        if (now_us >= until_us)
            return false;
        int64_t wait_ms = t->events.tick != NULL ? t->events.tick(t->events.arg, t, now_us) : TICK_MS;
        if (wait_ms > (until_us - now_us) / 1000 + 1)
            wait_ms = (until_us - now_us) / 1000 + 1;
        if (loop_wait(&t->loop, now_us / 1000 + wait_ms) < 0)
            fail_msg("the loop cannot wait");
        for (unsigned i = 0; i < t->count; i++) {
            dialer_receive(t->sessions[i].dialer, FRAMES_A_TURN);
            dialer_tick(t->sessions[i].dialer);
        }
    }
    return true;
}

unsigned taker_up(const taker_t *t)
{
    unsigned up = 0;

    for (unsigned i = 0; i < t->count; i++)
        up += t->sessions[i].up;
    return up;
}

#include "common/core/link.h"

/* A peer without WELCOME says HELLO again after this time. */
enum { HELLO_MS = 1000, HELLOS_MAX = DEAD_MS / HELLO_MS };

void link_init(link_t *l, uint64_t session, int64_t now_ms)
{
    *l = (link_t){
        .session = session, .heard_ms = now_ms, .said_ms = now_ms, .hello_ms = now_ms, .refused_ms = now_ms};
}

static void greet(link_t *l, int64_t at_ms)
{
    l->state = LINK_GREETING;
    l->hello_ms = at_ms;
    l->hellos = 0;
}

link_action_t link_tick(link_t *l, int64_t now_ms)
{
    if (l->state == LINK_GREETING) {
        if (now_ms < l->hello_ms) {
            return LINK_NOTHING;
        }
        if (l->hellos == HELLOS_MAX) {
            greet(l, now_ms);
            return LINK_LOST;
        }
        l->hellos++;
        /* Noted here, not when it was sent: a send that fails is tried again after the same time. */
        l->hello_ms = now_ms + HELLO_MS;
        return LINK_SEND_HELLO;
    }
    if (now_ms - l->heard_ms >= DEAD_MS) {
        greet(l, now_ms);
        return LINK_LOST;
    }
    if (now_ms - l->said_ms >= PING_MS) {
        l->said_ms = now_ms;
        return LINK_SEND_PING;
    }
    return LINK_NOTHING;
}

void link_heard(link_t *l, int64_t now_ms)
{
    l->heard_ms = now_ms;
    l->hellos = 0;
}

void link_said(link_t *l, int64_t now_ms)
{
    l->said_ms = now_ms;
}

bool link_welcome(link_t *l, uint64_t server_session, int64_t now_ms)
{
    bool other = l->server_session != 0 && l->server_session != server_session;
    l->state = LINK_UP;
    l->server_session = server_session;
    l->refused_ms = now_ms;
    l->heard_ms = now_ms;
    l->said_ms = now_ms;
    return other;
}

void link_who(link_t *l, int64_t now_ms)
{
    l->heard_ms = now_ms;
    /* Every frame that was under way is answered WHO: one HELLO is enough for all of them, and a server that
     * refused us is not asked earlier. */
    if (l->state == LINK_UP) {
        greet(l, now_ms);
    }
}

void link_anew(link_t *l, int64_t now_ms)
{
    greet(l, now_ms > l->refused_ms ? now_ms : l->refused_ms);
}

void link_wait(link_t *l, int64_t now_ms, int64_t wait_ms)
{
    l->heard_ms = now_ms;
    greet(l, now_ms + wait_ms);
}

void link_refused(link_t *l, int64_t now_ms, int64_t wait_ms)
{
    l->refused_ms = now_ms + wait_ms;
    link_wait(l, now_ms, wait_ms);
}

int64_t link_next_ms(const link_t *l)
{
    if (l->state == LINK_GREETING) {
        return l->hello_ms;
    }
    int64_t lost_ms = l->heard_ms + DEAD_MS;
    int64_t ping_ms = l->said_ms + PING_MS;
    return lost_ms < ping_ms ? lost_ms : ping_ms;
}

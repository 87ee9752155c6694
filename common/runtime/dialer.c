#include "common/runtime/dialer.h"
#include "common/core/link.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/resolver.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIAL_NONE UINT32_MAX
static_assert(2 * DIALS_MAX + 16 <= LOOP_ITEMS_MAX, "two items for each dial, and what else a program has");
enum {
    BYE_WAIT_MS = 1000,   /* a server that says BYE again and again gets a HELLO each time after so long */
    CONNECT_WAIT_MS = 20, /* a connection that is not there yet is tried again so soon */
    LAST_FRAMES_MAX = 64, /* looked through for the answer to BYE when the time for it is over */
};

typedef struct {
    char address[ADDRESS_BYTES];
    bool used;
    bool up;
    bool listed;      /* a name has this address now */
    wire_t *wire;     /* NULL: closed, because of the twin or of a fault */
    int item;         /* of the loop, */
    int anew_item;    /* also: its connection may be a new one */
    uint32_t twin;    /* the dial that is connected to the same server, or DIAL_NONE */
    int64_t retry_ms; /* when to open it again after a fault */
    int64_t quiet_ms; /* not listed and not up since then */
    int64_t bye_ms;   /* when the server said BYE last */
    link_t link;
} dial_t;

struct dialer {
    dialer_options_t options;
    dialer_events_t events;
    loop_t *loop;
    resolver_t *resolver;
    int resolver_item;
    buffer_t frame;
    char label[LABEL_BYTES_MAX + 1];
    char (*found)[ADDRESS_BYTES];
    uint32_t end; /* no dial from here on is in use */
    uint64_t malformed, unknown;
    wire_counts_t closed; /* what the closed wires had counted */
    dial_t dials[DIALS_MAX];
};

static void add_counts(wire_counts_t *sum, const wire_t *w)
{
    wire_counts_t c;
    wire_counts(w, &c);
    sum->frames_in += c.frames_in;
    sum->frames_out += c.frames_out;
    sum->bytes_in += c.bytes_in;
    sum->bytes_out += c.bytes_out;
    sum->refused_parts += c.refused_parts;
    sum->refused_endless += c.refused_endless;
    sum->unsendable += c.unsendable;
}

static void dial_close(dialer_t *d, dial_t *dial, int linger_ms)
{
    if (dial->wire == NULL)
        return;
    loop_remove(d->loop, dial->item);
    loop_remove(d->loop, dial->anew_item);
    add_counts(&d->closed, dial->wire);
    wire_close(&dial->wire, linger_ms);
}

static void dial_open(dialer_t *d, dial_t *dial)
{
    char why[WHY_BYTES];
    dial->retry_ms = d->loop->now_ms + DIAL_RETRY_MS;
    if (wire_connect(&dial->wire, dial->address, why) != 0) {
        log_limited(LOG_WARN, "cannot connect to %s %s: %s", d->options.what, dial->address, why);
        return;
    }
    dial->item = loop_add_socket(d->loop, wire_socket(dial->wire));
    dial->anew_item = loop_add_fd(d->loop, wire_reconnected_fd(dial->wire));
    if (dial->item < 0 || dial->anew_item < 0) {
        log_limited(LOG_WARN, "too many connections, %s %s is left out", d->options.what, dial->address);
        dial_close(d, dial, 0);
    }
}

static void dial_down(dialer_t *d, uint32_t n)
{
    dial_t *dial = &d->dials[n];
    dial->quiet_ms = d->loop->now_ms;
    if (!dial->up)
        return;
    dial->up = false;
    d->events.down(d->events.arg, n);
}

static int dial_send(dial_t *dial, const buffer_t *frame, int64_t now_ms)
{
    if (dial->wire == NULL || frame->failed)
        return -ENOTCONN;
    int error = wire_send(dial->wire, 0, frame);
    if (error == 0)
        link_said(&dial->link, now_ms);
    return error;
}

static int say_bye(dialer_t *d, dial_t *dial)
{
    buffer_clear(&d->frame);
    encode_bye(&d->frame);
    return dial_send(dial, &d->frame, d->loop->now_ms);
}

static void say_hello(dialer_t *d, uint32_t n)
{
    dial_t *dial = &d->dials[n];
    hello_t hello = {.version_min = PROTO_VERSION,
                     .version_max = PROTO_VERSION,
                     .role = d->options.role,
                     .session = dial->link.session};
    const uint64_t *held = NULL;
    strncpy(hello.kind, d->options.kind, NAME_BYTES_MAX);
    strncpy(hello.leg, d->options.leg, NAME_BYTES_MAX);
    memcpy(hello.label, d->label, sizeof hello.label);
    d->events.hello(d->events.arg, n, &hello, &held);
    buffer_clear(&d->frame);
    encode_hello(&d->frame, &hello, held);
    if (dial_send(dial, &d->frame, d->loop->now_ms) != 0)
        link_wait(&dial->link, d->loop->now_ms, CONNECT_WAIT_MS);
}

/* --- what comes in --- */

static uint32_t find_server(const dialer_t *d, uint64_t session, uint32_t except)
{
    for (uint32_t n = 0; n < d->end; n++)
        if (n != except && d->dials[n].up && d->dials[n].link.server_session == session)
            return n;
    return DIAL_NONE;
}

static int take_welcome(dialer_t *d, uint32_t n, const frame_t *frame)
{
    dial_t *dial = &d->dials[n];
    welcome_t welcome;
    if (decode_welcome(frame->data, frame->len, &welcome) != 0)
        return -EPROTO;
    if (welcome.version != PROTO_VERSION)
        return -EPROTO;
    /* The answer to a HELLO that was repeated before the first answer came. */
    if (dial->up && dial->link.server_session == welcome.session) {
        if (d->events.again != NULL)
            d->events.again(d->events.arg, n);
        return 0;
    }
    dial_down(d, n);
    uint32_t twin = find_server(d, welcome.session, n);
    if (twin != DIAL_NONE) {
        log_debug("%s at %s is the one at %s", d->options.what, dial->address, d->dials[twin].address);
        say_bye(d, dial);
        dial_close(d, dial, BYE_WAIT_MS);
        dial->twin = twin;
        return 0;
    }
    bool other = link_welcome(&dial->link, welcome.session, d->loop->now_ms);
    dial->up = true;
    log_info("connected to %s %s", d->options.what, dial->address);
    d->events.up(d->events.arg, n, &welcome, other);
    return 0;
}

static int take_error(dialer_t *d, uint32_t n, const frame_t *frame)
{
    dial_t *dial = &d->dials[n];
    peer_error_t error;
    char text[WHY_BYTES];
    if (decode_error(frame->data, frame->len, &error) != 0)
        return -EPROTO;
    text_escape(error.text.bytes, error.text.len, text, sizeof text);
    log_limited(LOG_WARN, "%s %s answers %s: %s", d->options.what, dial->address, error_name(error.code),
                text);
    bool refuses = error.code == ERR_VERSION || error.code == ERR_ROLE || error.code == ERR_KIND ||
                   error.code == ERR_LIMIT;
    if (refuses && !dial->up)
        link_refused(&dial->link, d->loop->now_ms, DIAL_RETRY_MS);
    return 0;
}

/* The connection is ours to close: the server, which reads nothing more, sees by that that the answer came.
 */
static void take_bye(dialer_t *d, uint32_t n)
{
    dial_t *dial = &d->dials[n];
    const bool was_up = dial->up;
    if (was_up) {
        log_info("%s %s says goodbye", d->options.what, dial->address);
        say_bye(d, dial); /* the answer: all that came before it was taken */
    }
    dial_down(d, n);
    if (was_up && d->events.bye != NULL)
        d->events.bye(d->events.arg, n);
    link_wait(&dial->link, d->loop->now_ms, BYE_WAIT_MS);
    dial_close(d, dial, BYE_WAIT_MS);
    /* Another may be there the next moment. One that only says BYE is no reason to hurry. */
    const bool again = !was_up || d->loop->now_ms - dial->bye_ms < BYE_WAIT_MS;
    dial->retry_ms = d->loop->now_ms + (again ? BYE_WAIT_MS : 0);
    dial->bye_ms = d->loop->now_ms;
}

static int take_frame(dialer_t *d, uint32_t n, int command, const frame_t *frame)
{
    dial_t *dial = &d->dials[n];
    switch (command) {
    case CMD_WELCOME:
        return take_welcome(d, n, frame);
    case CMD_WHO:
        dial_down(d, n);
        link_who(&dial->link, d->loop->now_ms);
        return 0;
    case CMD_BYE:
        take_bye(d, n);
        return 0;
    case CMD_ERROR:
        return take_error(d, n, frame);
    default:
        /* What a server sends before WELCOME it gives again: HELLO tells it what is held. */
        return dial->up ? d->events.frame(d->events.arg, n, command, frame) : 0;
    }
}

static void refuse(dialer_t *d, dial_t *dial, unsigned code, const char *why)
{
    log_limited(LOG_WARN, "%s frame from %s %s: %s", error_name(code), d->options.what, dial->address, why);
    buffer_clear(&d->frame);
    encode_error(&d->frame, code, why);
    dial_send(dial, &d->frame, d->loop->now_ms);
}

static void receive_one(dialer_t *d, uint32_t n, const frame_t *frame)
{
    dial_t *dial = &d->dials[n];
    const char *why = "a field is not as the protocol has it";
    link_heard(&dial->link, d->loop->now_ms);
    int command = proto_command(frame->data, frame->len, &why);
    int error = command < 0 ? command : take_frame(d, n, command, frame);
    if (error == -EPROTO) {
        d->malformed++;
        refuse(d, dial, ERR_MALFORMED, why);
    } else if (error == -ENOSYS) {
        d->unknown++;
        refuse(d, dial, ERR_UNKNOWN, "no command of this hop");
    }
}

/* As on WHO, which is what a server would answer that does not know the connection. One that was up begins
 * over a connection of its own: had WELCOME come over this one already, and TASKS that are dropped now, the
 * server would take HELLO for one that was only repeated and believe that they are here. */
static void look_whether_anew(dialer_t *d, uint32_t n)
{
    dial_t *dial = &d->dials[n];
    if (!wire_reconnected(dial->wire))
        return;
    if (dial->up) {
        dial_down(d, n);
        dial_close(d, dial, 0);
        dial_open(d, dial);
    }
    link_anew(&dial->link, d->loop->now_ms);
}

void dialer_receive(dialer_t *d, uint32_t frames_max)
{
    for (uint32_t n = 0; n < d->end; n++) {
        dial_t *dial = &d->dials[n];
        if (dial->wire != NULL && loop_ready(d->loop, dial->anew_item))
            look_whether_anew(d, n);
        if (dial->wire == NULL || !loop_ready(d->loop, dial->item))
            continue;
        frame_t frame;
        for (uint32_t k = 0; k < frames_max && dial->wire != NULL && wire_recv(dial->wire, &frame) == 0; k++)
            receive_one(d, n, &frame);
    }
}

/* --- what is due --- */

static void dial_add(dialer_t *d, const char *address)
{
    dial_t *free_one = NULL;
    for (uint32_t n = d->end; n-- > 0;) {
        dial_t *dial = &d->dials[n];
        if (dial->used && strcmp(dial->address, address) == 0) {
            dial->listed = true;
            return;
        }
        if (!dial->used)
            free_one = dial;
    }
    if (free_one == NULL && d->end < DIALS_MAX)
        free_one = &d->dials[d->end++];
    if (free_one == NULL) {
        log_limited(LOG_WARN, "more than %d addresses: %s %s is left out", DIALS_MAX, d->options.what,
                    address);
        return;
    }
    memset(free_one, 0, sizeof *free_one);
    memcpy(free_one->address, address, ADDRESS_BYTES);
    free_one->used = true;
    free_one->listed = true;
    free_one->twin = DIAL_NONE;
    link_init(&free_one->link, clock_random_id(), d->loop->now_ms);
}

static void follow_names(dialer_t *d)
{
    int count = resolver_take(d->resolver, d->found);
    if (count < 0)
        return;
    for (uint32_t n = 0; n < d->end; n++)
        d->dials[n].listed = false;
    for (int i = 0; i < count; i++)
        dial_add(d, d->found[i]);
}

static void dial_forget(dialer_t *d, uint32_t n)
{
    log_info("%s %s is not there any more", d->options.what, d->dials[n].address);
    dial_close(d, &d->dials[n], 0);
    d->dials[n].used = false;
    d->events.gone(d->events.arg, n);
}

/* A twin is looked at again when the first connection to its server is not up any more. */
static bool twin_holds(const dialer_t *d, const dial_t *dial)
{
    return dial->twin != DIAL_NONE && d->dials[dial->twin].up;
}

static void dial_tick(dialer_t *d, uint32_t n)
{
    dial_t *dial = &d->dials[n];
    int64_t now_ms = d->loop->now_ms;
    if (!dial->listed && !dial->up && now_ms - dial->quiet_ms >= DIAL_FORGET_MS) {
        dial_forget(d, n);
        return;
    }
    if (dial->listed && !dial->up)
        dial->quiet_ms = now_ms;
    if (twin_holds(d, dial))
        return;
    if (dial->twin != DIAL_NONE) {
        dial->twin = DIAL_NONE;
        dial->retry_ms = now_ms;
        link_wait(&dial->link, now_ms, 0);
    }
    if (dial->wire == NULL && now_ms >= dial->retry_ms)
        dial_open(d, dial);
    if (dial->wire == NULL)
        return;
    switch (link_tick(&dial->link, now_ms)) {
    case LINK_NOTHING:
        break;
    case LINK_SEND_HELLO:
        say_hello(d, n);
        break;
    case LINK_SEND_PING:
        buffer_clear(&d->frame);
        encode_ping(&d->frame, d->events.count != NULL ? d->events.count(d->events.arg, n) : 0);
        /* Where the pipe is full the server has enough to hear. */
        if (dial_send(dial, &d->frame, now_ms) != 0)
            link_said(&dial->link, now_ms);
        break;
    case LINK_LOST:
        if (dial->up) {
            log_warn("%s %s has fallen silent", d->options.what, dial->address);
            dial_down(d, n);
        }
        /* A fresh connection: what is queued in the old one would arrive stale. */
        dial_close(d, dial, 0);
        dial_open(d, dial);
        break;
    }
}

void dialer_tick(dialer_t *d)
{
    if (d->resolver_item < 0 || loop_ready(d->loop, d->resolver_item))
        follow_names(d);
    for (uint32_t n = 0; n < d->end; n++) {
        if (!d->dials[n].used)
            continue;
        /* It was this process that stood still: what the servers said meanwhile may not be read yet. */
        if (d->loop->late_ms > PING_MS)
            link_heard(&d->dials[n].link, d->loop->now_ms);
        dial_tick(d, n);
    }
}

int64_t dialer_next_ms(const dialer_t *d)
{
    int64_t next_ms = INT64_MAX;
    for (uint32_t n = 0; n < d->end; n++) {
        const dial_t *dial = &d->dials[n];
        if (!dial->used || twin_holds(d, dial))
            continue;
        int64_t due_ms = dial->wire != NULL ? link_next_ms(&dial->link) : dial->retry_ms;
        if (!dial->listed && !dial->up && dial->quiet_ms + DIAL_FORGET_MS < due_ms)
            due_ms = dial->quiet_ms + DIAL_FORGET_MS;
        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}

/* --- the rest --- */

int dialer_send(dialer_t *d, uint32_t dial, const buffer_t *frame)
{
    return dialer_up(d, dial) ? dial_send(&d->dials[dial], frame, d->loop->now_ms) : -ENOTCONN;
}

bool dialer_up(const dialer_t *d, uint32_t dial)
{
    assert(dial < DIALS_MAX);
    return d->dials[dial].up;
}

const char *dialer_address(const dialer_t *d, uint32_t dial)
{
    assert(dial < DIALS_MAX);
    return d->dials[dial].used ? d->dials[dial].address : NULL;
}

void dialer_counts(const dialer_t *d, dialer_counts_t *ret)
{
    dialer_counts_t c = {.malformed = d->malformed, .unknown = d->unknown, .wires = d->closed};
    for (uint32_t n = 0; n < d->end; n++) {
        c.dials += d->dials[n].used;
        c.up += d->dials[n].up;
        if (d->dials[n].wire != NULL)
            add_counts(&c.wires, d->dials[n].wire);
    }
    *ret = c;
}

static void set_label(dialer_t *d, const char *label)
{
    char host[LABEL_BYTES_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    if (label != NULL)
        snprintf(d->label, sizeof d->label, "%s", label);
    else
        snprintf(d->label, sizeof d->label, "%.50s:%ld", host, (long)getpid());
}

int dialer_open(dialer_t **ret, const dialer_options_t *o, const dialer_events_t *events, loop_t *loop,
                char *why)
{
    snprintf(why, WHY_BYTES, "out of memory");
    dialer_t *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    d->options = *o;
    d->options.endpoints = NULL; /* the resolver has copied them */
    d->events = *events;
    d->loop = loop;
    d->resolver_item = -1;
    set_label(d, o->label);
    buffer_init(&d->frame);
    d->found = calloc(RESOLVED_MAX, sizeof *d->found);
    int error = d->found == NULL ? -ENOMEM : 0;
    if (error == 0)
        error = resolver_open(&d->resolver, o->endpoints, o->endpoints_count, why);
    if (error == 0 && resolver_fd(d->resolver) >= 0) {
        d->resolver_item = loop_add_fd(loop, resolver_fd(d->resolver));
        error = d->resolver_item < 0 ? d->resolver_item : 0;
        if (error != 0)
            snprintf(why, WHY_BYTES, "too many sockets");
    }
    if (error != 0) {
        dialer_close(&d, 0);
        return error;
    }
    follow_names(d);
    *ret = d;
    return 0;
}

/* Whether BYE is answered. Others may have answered while one did not: what is there already is taken even
 * when the time is over, but who sends without end does not keep us here. */
static bool await_bye(dialer_t *d, uint32_t n, int64_t until_ms)
{
    frame_t frame;
    const char *why;
    for (uint32_t late = 0; late < LAST_FRAMES_MAX;) {
        if (wire_recv(d->dials[n].wire, &frame) != 0) {
            if (!wire_wait(d->dials[n].wire, until_ms))
                return false;
            continue;
        }
        const int command = proto_command(frame.data, frame.len, &why);
        if (command == CMD_BYE)
            return true;
        /* What is wrong with it is of no account any more. */
        if (command >= 0)
            (void)d->events.frame(d->events.arg, n, command, &frame);
        late += clock_ms() >= until_ms;
    }
    return false;
}

/* As the server does (server.c): what was sent last is read before the connection goes. */
void dialer_bye(dialer_t *d, int linger_ms, bool ret_answered[static DIALS_MAX])
{
    const int64_t until_ms = clock_ms() + linger_ms;
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        ret_answered[n] = false;
    for (uint32_t n = 0; n < d->end; n++)
        if (d->dials[n].up && say_bye(d, &d->dials[n]) != 0)
            d->dials[n].up = false;
    for (uint32_t n = 0; n < d->end; n++) {
        dial_t *dial = &d->dials[n];
        if (!dial->up)
            continue;
        ret_answered[n] = await_bye(d, n, until_ms);
        dial->up = false;
    }
}

void dialer_close(dialer_t **ref, int linger_ms)
{
    dialer_t *d = *ref;
    bool answered[DIALS_MAX];
    if (d == NULL)
        return;
    dialer_bye(d, linger_ms, answered);
    for (uint32_t n = 0; n < d->end; n++)
        dial_close(d, &d->dials[n], linger_ms);
    if (d->resolver_item >= 0)
        loop_remove(d->loop, d->resolver_item);
    resolver_close(&d->resolver);
    buffer_done(&d->frame);
    free(d->found);
    free(d);
    *ref = NULL;
}

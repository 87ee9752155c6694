/* Sessions of both sides, over a wire without sockets: what comes in is the input's, in the order and at the
 * times that the input says.
 *
 * This file is the wire: frames wait in one queue for each of them, what is sent is checked and dropped. The
 * server and the dialer above it are those of the programs. */
#include "common/runtime/dialer.h"
#include "common/runtime/log.h"
#include "common/runtime/server.h"
#include "tests/fuzz/input.h"

#include <errno.h>
#include <unistd.h>

enum { PEERS_MAX = 4, CONNECTIONS = 8, FRAME_MAX = 512, STEPS_MAX = 400, ADDRESSES = 3 };

struct wire {
    frame_t frame; /* what wire_recv returns next, when `waits` */
    bool waits;
    bool anew;   /* what wire_reconnected tells next */
    void *bytes; /* of the frame that was received last */
    char endpoint[32];
    wire_counts_t counts;
};

static bool sends_fail;
static wire_t *wires[ADDRESSES + 1]; /* that are open */

static wire_t *wire_new(const char *endpoint)
{
    wire_t *w = calloc(1, sizeof *w);
    MUST(w != NULL);
    snprintf(w->endpoint, sizeof w->endpoint, "%s", endpoint);
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        if (wires[i] == NULL) {
            wires[i] = w;
            return w;
        }
    }
    MUST(!"more wires than servers and addresses");
    return NULL;
}

int wire_bind(wire_t **ret, const char *endpoint, char *why)
{
    (void)why;
    *ret = wire_new(endpoint);
    return 0;
}

int wire_bind_open(wire_t **ret, const char *endpoint, char *why)
{
    return wire_bind(ret, endpoint, why);
}

int wire_connect(wire_t **ret, const char *endpoint, char *why)
{
    return wire_bind(ret, endpoint, why);
}

void wire_close(wire_t **w, int linger_ms)
{
    (void)linger_ms;
    if (*w == NULL)
        return;
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        if (wires[i] == *w)
            wires[i] = NULL;
    free((*w)->bytes);
    free(*w);
    *w = NULL;
}

const char *wire_endpoint(const wire_t *w)
{
    return w->endpoint;
}

void *wire_socket(const wire_t *w)
{
    return (void *)(uintptr_t)w;
}

bool wire_reconnected(wire_t *w)
{
    bool anew = w->anew;
    w->anew = false;
    return anew;
}

int wire_reconnected_fd(const wire_t *w)
{
    (void)w;
    return 0; /* nobody polls it */
}

int wire_recv(wire_t *w, frame_t *ret)
{
    if (!w->waits)
        return -EAGAIN;
    w->waits = false;
    *ret = w->frame;
    return 0;
}

bool wire_wait(wire_t *w, int64_t until_ms)
{
    (void)w;
    (void)until_ms;
    return false;
}

int wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame)
{
    const char *why;
    (void)w;
    MUST(!frame->failed && frame->len <= FRAME_BYTES_MAX && routing_id <= CONNECTIONS);
    MUST(proto_command(frame->data, frame->len, &why) > 0);
    return sends_fail ? -EAGAIN : 0;
}

void wire_guard(wire_t *w, int64_t now_ms)
{
    (void)w;
    (void)now_ms;
}

void wire_counts(const wire_t *w, wire_counts_t *ret)
{
    *ret = w->counts;
}

/* --- what both sides are told --- */

static bool up[DIALS_MAX]; /* peers of the server, or dials */

static void drop(void *arg, const char *line, size_t len)
{
    (void)arg;
    (void)line;
    (void)len;
}

static unsigned on_server_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    const input_t *in = arg;
    MUST(peer < PEERS_MAX && known == up[peer] && (known || !moved));
    MUST(h->held_count <= HELD_MAX && h->window <= WINDOW_MAX);
    /* Now and then a session is refused. */
    bool refused = in->left % 7 == 3;
    up[peer] = !refused;
    snprintf(why, WHY_BYTES, "as it comes");
    return refused ? ERR_KIND : 0;
}

static void on_server_gone(void *arg, uint32_t peer, bool said_bye)
{
    (void)arg;
    (void)said_bye;
    MUST(peer < PEERS_MAX && up[peer]);
    up[peer] = false;
}

/* What a program says to a frame of its session. */
static int judge(int command, const frame_t *frame)
{
    static step_t steps[RECORDS_MAX];
    uint64_t number;
    uint32_t window;
    switch (command) {
    case CMD_PING:
        return decode_ping(frame->data, frame->len, &number);
    case CMD_WINDOW:
        return decode_window(frame->data, frame->len, &window);
    case CMD_PROGRESS:
        return decode_progress(frame->data, frame->len, &number, steps);
    default:
        return -ENOSYS;
    }
}

static int on_server_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    (void)arg;
    MUST(peer < PEERS_MAX && up[peer]);
    return judge(command, frame);
}

static void on_hello(void *arg, uint32_t dial, hello_t *h, const uint64_t **ret_held)
{
    static const uint64_t held[] = {1, 2, 3, 4};
    (void)arg;
    MUST(!up[dial]);
    h->window = 100;
    h->held_count = 4;
    *ret_held = held;
}

static void on_up(void *arg, uint32_t dial, const welcome_t *w, bool other_server)
{
    (void)arg;
    (void)other_server;
    MUST(!up[dial] && w->session > 0);
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        MUST(!up[n] || n != dial);
    up[dial] = true;
}

static void on_down(void *arg, uint32_t dial)
{
    (void)arg;
    MUST(up[dial]);
    up[dial] = false;
}

static void on_gone(void *arg, uint32_t dial)
{
    (void)arg;
    MUST(!up[dial]);
}

static int on_frame(void *arg, uint32_t dial, int command, const frame_t *frame)
{
    (void)arg;
    MUST(up[dial]);
    return judge(command, frame);
}

/* --- what comes in --- */

/* A whole frame of either side, so that sessions come about; or any bytes. */
static void make_frame(input_t *in, buffer_t *b)
{
    uint8_t kind = take_byte(in), value = take_byte(in);
    hello_t hello = {.version_min = 1, .version_max = PROTO_VERSION, .session = 1 + value % 6, .window = 10};
    welcome_t welcome = {.version = PROTO_VERSION, .session = 1 + value % 3, .ack_deadline_ms = 10000};
    size_t len;
    switch (kind % 9) {
    case 0:
        hello.role = value % 16 == 15 ? ROLE_WORKER : ROLE_CONSUMER;
        snprintf(hello.kind, sizeof hello.kind, "%s", hello.role == ROLE_WORKER ? "save" : "");
        snprintf(hello.leg, sizeof hello.leg, "%s", hello.role == ROLE_WORKER ? "save" : "");
        encode_hello(b, &hello, NULL);
        return;
    case 1:
        encode_welcome(b, &welcome);
        return;
    case 2:
        encode_who(b);
        return;
    case 3:
        encode_bye(b);
        return;
    case 4:
        encode_ping(b, value);
        return;
    case 5:
        encode_error(b, 1 + value % 11, "it is so");
        return;
    case 6:
        encode_window(b, value);
        return;
    default: {
        char *bytes = take_run(in, value, &len);
        buffer_append(b, bytes, len);
        free(bytes);
        return;
    }
    }
}

static void give(input_t *in, uint8_t to)
{
    wire_t *w = wires[to % (ADDRESSES + 1)];
    buffer_t b;
    if (w == NULL)
        return;
    buffer_init(&b);
    make_frame(in, &b);
    free(w->bytes);
    w->bytes = exact_copy(b.data, b.len);
    w->frame = (frame_t){.routing_id = to / 16 % CONNECTIONS, .data = w->bytes, .len = b.len};
    w->waits = true;
    buffer_done(&b);
}

static void renew(uint8_t connection_of)
{
    wire_t *w = wires[connection_of % (ADDRESSES + 1)];
    if (w != NULL)
        w->anew = true;
}

static void pass_time(loop_t *loop, uint8_t how)
{
    static const int64_t steps_ms[] = {1, 100, 500, 1000, 1500, 3000, 5000, 31000};
    loop->now_ms += steps_ms[how % 8];
    loop->late_ms = how & 8 ? 2000 : 0;
    for (int i = 0; i < loop->count; i++)
        loop->items[i].revents = loop->items[i].socket != NULL || loop->items[i].fd >= 0 ? ZMQ_POLLIN : 0;
}

static void drive_server(input_t *in, loop_t *loop)
{
    server_t *s = NULL;
    char why[WHY_BYTES];
    const server_options_t options = {
        .what = "consumer",
        .endpoint = "x",
        .sessions = true,
        .role = ROLE_CONSUMER,
        .peers_max = PEERS_MAX,
        .welcome = {.session = 9, .ack_deadline_ms = 10000, .legs_count = 1, .legs = {"save"}, .asked = 1}};
    const server_events_t events = {
        .arg = in, .hello = on_server_hello, .gone = on_server_gone, .frame = on_server_frame};
    MUST(server_open(&s, &options, &events, loop, why) == 0);
    for (int i = 0; i < STEPS_MAX && in->left > 0; i++) {
        uint8_t what = take_byte(in);
        sends_fail = what & 0x80;
        if (what & 1)
            pass_time(loop, what >> 1);
        else
            give(in, what & 0x70);
        server_receive(s, 8);
        server_tick(s);
        MUST(server_next_ms(s) > 0);
        for (uint32_t p = PEER_NONE; (p = server_next_peer(s, p)) != PEER_NONE;)
            MUST(up[p]);
    }
    server_close(&s, 0);
}

static void drive_dialer(input_t *in, loop_t *loop)
{
    static const char *const endpoints[ADDRESSES] = {"ipc://a", "ipc://b", "ipc://c"};
    dialer_t *d = NULL;
    char why[WHY_BYTES];
    const dialer_options_t options = {.what = "publisher",
                                      .role = ROLE_CONSUMER,
                                      .kind = "",
                                      .leg = "",
                                      .endpoints = endpoints,
                                      .endpoints_count = ADDRESSES};
    const dialer_events_t events = {
        .arg = in, .hello = on_hello, .up = on_up, .down = on_down, .gone = on_gone, .frame = on_frame};
    MUST(dialer_open(&d, &options, &events, loop, why) == 0);
    for (int i = 0; i < STEPS_MAX && in->left > 0; i++) {
        uint8_t what = take_byte(in);
        sends_fail = what & 0x80;
        if (what & 1)
            pass_time(loop, what >> 1);
        else if (what & 8)
            renew(what >> 1 & 3);
        else
            give(in, what >> 1 & 3);
        dialer_receive(d, 8);
        dialer_tick(d);
        for (uint32_t n = 0; n < DIALS_MAX; n++)
            MUST(up[n] == dialer_up(d, n));
    }
    dialer_close(&d, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_open("fuzz", LOG_ERROR);
    log_divert(drop, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static loop_t loop;
    input_t in = {bytes, len};
    loop_init(&loop);
    loop.now_ms = 1000000;
    memset(up, 0, sizeof up);
    if (take_byte(&in) % 2 == 0)
        drive_server(&in, &loop);
    else
        drive_dialer(&in, &loop);
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        MUST(wires[i] == NULL);
    return 0;
}

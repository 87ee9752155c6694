/* Many workers in one process: as many sessions of the restart leg with a consumer as are asked for, each
 * over a connection of its own, that answer each task at once. What a thousand workers cost their consumer is
 * to be seen, and not what a thousand processes cost two processors.
 *
 *   bench_crowd --consumer EP --sessions N --announce FILE
 *
 * It does what docs/PROTOCOL.md asks of a worker, but keeps no RESULTS: a session that is lost ends it, exit
 * 1, and the bench with it. */
#include "common/core/proto.h"
#include "common/runtime/announce.h"
#include "common/runtime/clock.h"
#include "tests/bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    SESSIONS_MAX_HERE = 4096,
    WINDOW = 2048, /* as restart-simulate has by default */
    PING_MS = 1000,
    IDLE_MS = 100,
    FRAMES_A_LOOK = 8,
    GREET_MS = 60000,
};

typedef struct {
    void *socket;
    uint64_t session;
    uint64_t results; /* frames */
    uint64_t tasks;
    int64_t said_ms;
    bool up;
} member_t;

typedef struct {
    member_t *members;
    zmq_pollitem_t *items;
    unsigned count, up;
    task_record_t *tasks;
    buffer_t frame;
    bool lost;
} crowd_t;

static void say(crowd_t *c, member_t *m)
{
    assert_false(c->frame.failed);
    assert_int_equal(zmq_send(m->socket, c->frame.data, c->frame.len, 0), (int)c->frame.len);
    buffer_clear(&c->frame);
    m->said_ms = test_now_ms();
}

static void greet(crowd_t *c, member_t *m)
{
    hello_t hello = {
        .version_min = PROTO_VERSION,
        .version_max = PROTO_VERSION,
        .role = ROLE_WORKER,
        .session = m->session,
        .window = WINDOW,
        .kind = "restart-crowd",
        .leg = "restart",
        .label = "crowd",
    };

    encode_hello(&c->frame, &hello, NULL);
    say(c, m);
}

static void work(crowd_t *c, member_t *m, const void *frame, size_t len)
{
    tasks_t head;
    batch_t batch;
    const int n = decode_tasks(frame, len, &head, c->tasks);

    assert_true(n > 0);
    results_begin(&batch, &c->frame, ++m->results);
    for (int i = 0; i < n; i++)
        results_add(&batch, &(result_record_t){.ref = c->tasks[i].ref, .try_no = c->tasks[i].try_no});
    batch_end(&batch);
    m->tasks += (uint64_t)n;
    say(c, m);
}

/* False when it said goodbye, or knows this session no more. */
static bool take(crowd_t *c, member_t *m, const void *frame, size_t len)
{
    const char *why = "";

    switch (proto_command(frame, len, &why)) {
    case CMD_WELCOME:
        c->up += !m->up;
        m->up = true;
        return true;
    case CMD_WHO:
        /* Before it has heard of us; later it has lost us. */
        return !m->up;
    case CMD_TASKS:
        work(c, m, frame, len);
        return true;
    case CMD_PING:
        return true;
    default:
        return false;
    }
}

/* Whether any had something. */
static bool look(crowd_t *c)
{
    bool any = false;
    zmq_msg_t msg;

    zmq_msg_init(&msg);
    for (unsigned i = 0; i < c->count && !c->lost; i++)
        for (unsigned n = 0; n < FRAMES_A_LOOK && !c->lost; n++) {
            if (zmq_msg_recv(&msg, c->members[i].socket, ZMQ_DONTWAIT) < 0)
                break;
            any = true;
            c->lost = !take(c, &c->members[i], zmq_msg_data(&msg), zmq_msg_size(&msg));
        }
    zmq_msg_close(&msg);
    return any;
}

/* A PING of those that were silent, or HELLO until there is a session. */
static void speak(crowd_t *c)
{
    const int64_t now_ms = test_now_ms();

    for (unsigned i = 0; i < c->count; i++) {
        member_t *m = &c->members[i];
        if (now_ms - m->said_ms < PING_MS)
            continue;
        if (!m->up) {
            greet(c, m);
            continue;
        }
        encode_ping(&c->frame, m->tasks);
        say(c, m);
    }
}

static void turn(crowd_t *c)
{
    speak(c);
    /* A look at each costs less than a poll of all, so only who has nothing to do polls. */
    if (!look(c))
        zmq_poll(c->items, (int)c->count, IDLE_MS);
}

static void join(crowd_t *c, const char *endpoint, unsigned count)
{
    void *zmq = zmq_ctx_new();
    const int none = 0;

    assert_int_equal(zmq_ctx_set(zmq, ZMQ_MAX_SOCKETS, (int)count + 8), 0);
    c->members = calloc(count, sizeof *c->members);
    c->items = calloc(count, sizeof *c->items);
    c->tasks = malloc(RECORDS_MAX * sizeof *c->tasks);
    assert_true(c->members != NULL && c->items != NULL && c->tasks != NULL);
    buffer_init(&c->frame);
    for (; c->count < count; c->count++) {
        member_t *m = &c->members[c->count];
        m->session = clock_random_id();
        m->socket = zmq_socket(zmq, ZMQ_DEALER);
        if (m->socket == NULL)
            fail_msg("session %u: %s", c->count, zmq_strerror(zmq_errno()));
        zmq_setsockopt(m->socket, ZMQ_LINGER, &none, sizeof none);
        assert_int_equal(zmq_connect(m->socket, endpoint), 0);
        c->items[c->count] = (zmq_pollitem_t){.socket = m->socket, .events = ZMQ_POLLIN};
        greet(c, m);
    }
}

static void raise_files(void)
{
    struct rlimit files;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

int main(int argc, char **argv)
{
    const char *endpoint = NULL, *announce = NULL;
    unsigned count = 1;
    crowd_t crowd = {0};

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--consumer") == 0)
            endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--announce") == 0)
            announce = argv[i + 1];
        else if (strcmp(argv[i], "--sessions") == 0)
            count = (unsigned)measure_number(argv[i], argv[i + 1], 1, SESSIONS_MAX_HERE);
        else
            argc = 0;
    }
    if (argc < 3 || endpoint == NULL) {
        fprintf(stderr, "usage: %s --consumer EP --sessions N --announce FILE\n", argv[0]);
        return 2;
    }
    raise_files();
    join(&crowd, endpoint, count);
    const int64_t until_ms = test_now_ms() + GREET_MS;
    while (!crowd.lost && crowd.up < count && test_now_ms() < until_ms)
        turn(&crowd);
    if (crowd.up == count)
        announce_write(announce, (const char *const[]){"ready", "1", NULL});
    while (!crowd.lost && crowd.up == count)
        turn(&crowd);
    fprintf(stderr, "%u of %u sessions were up when one was lost\n", crowd.up, count);
    return 1;
}

#include "tests/support/rig.h"

#include "tests/support/guard.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOG_TAIL_BYTES = 3000, PORT_FIRST = 12000, PORT_COUNT = 20000 };

int rig_setup(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);

    if (rig == NULL)
        return -1;
    rig->transport = *state;
    snprintf(rig->dir, sizeof rig->dir, "/tmp/mandrill-test-XXXXXX");
    if (mkdtemp(rig->dir) == NULL) {
        free(rig);
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    rig->guard = guard_open(rig->dir, &rig->guard_pid);
    *state = rig;
    return rig->guard >= 0 ? 0 : -1;
}

static void show_tail(const char *name, const char *what, const char *path)
{
    char *text = test_read_file(path);
    size_t len = strlen(text);

    if (len > 0)
        fprintf(stderr, "--- %s, %s%s\n%s", name, what, len > LOG_TAIL_BYTES ? ", its end" : "",
                len > LOG_TAIL_BYTES ? text + len - LOG_TAIL_BYTES : text);
    free(text);
}

int rig_teardown(void **state)
{
    rig_t *rig = *state;

    for (size_t i = 0; i < rig->processes_count; i++)
        process_done(rig->processes[i]);
    for (size_t i = 0; i < rig->processes_count; i++) {
        if (!rig->passed) {
            show_tail(rig->processes[i]->name, "stdout", rig->processes[i]->out);
            show_tail(rig->processes[i]->name, "log", rig->processes[i]->log);
        }
        free(rig->processes[i]);
    }
    for (size_t i = rig->deferred_count; i-- > 0;)
        rig->deferred[i].run(rig->deferred[i].arg);
    for (size_t i = 0; i < RIG_SOCKETS_MAX; i++)
        if (rig->sockets[i] != NULL)
            zmq_close(rig->sockets[i]);
    for (size_t i = 0; i < RIG_SOCKETS_MAX; i++)
        free(rig->memory[i]);
    if (rig->zmq != NULL)
        zmq_ctx_term(rig->zmq);
    guard_close(rig->guard, rig->guard_pid);
    if (!rig->passed && getenv("MANDRILL_TEST_KEEP") != NULL)
        fprintf(stderr, "kept: %s\n", rig->dir);
    else
        remove_tree(rig->dir);
    free(rig);
    return 0;
}

void rig_passed(rig_t *rig)
{
    for (size_t i = 0; i < rig->processes_count; i++) {
        const process_t *p = rig->processes[i];

        if (process_log_count(p, "ERROR: AddressSanitizer") > 0 ||
            process_log_count(p, "runtime error:") > 0 || process_log_count(p, "ERROR: LeakSanitizer") > 0 ||
            process_log_count(p, "ThreadSanitizer:") > 0)
            fail_msg("a sanitizer complains in the log of %s", p->name);
    }
    rig->passed = true;
}

/* A port that nobody uses, below those that the kernel gives out by itself: so no connection of somebody else
 * takes it while a program that was killed is on its way back. */
static unsigned free_port(void)
{
    static unsigned next;

    if (next == 0)
        next = (unsigned)getpid() * 37 + (unsigned)test_now_ms();
    for (unsigned i = 0; i < PORT_COUNT; i++) {
        unsigned port = PORT_FIRST + next++ % PORT_COUNT;
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int rc = bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (rc == 0)
            return port;
    }
    fail_msg("no free port");
    return 0;
}

/* Without an endpoint ("") when nobody has asked for it yet. */
static rig_endpoint_t *entry(rig_t *rig, const char *name)
{
    for (size_t i = 0; i < rig->endpoints_count; i++)
        if (strcmp(rig->endpoints[i].name, name) == 0)
            return &rig->endpoints[i];
    assert_true(rig->endpoints_count < RIG_ENDPOINTS_MAX);
    rig_endpoint_t *e = &rig->endpoints[rig->endpoints_count++];
    snprintf(e->name, sizeof e->name, "%s", name);
    return e;
}

static rig_endpoint_t *endpoint(rig_t *rig, const char *name)
{
    rig_endpoint_t *e = entry(rig, name);

    if (e->endpoint[0] != '\0')
        return e;
    if (strcmp(rig->transport, "tcp") == 0)
        snprintf(e->endpoint, sizeof e->endpoint, "tcp://127.0.0.1:%u", free_port());
    else
        snprintf(e->endpoint, sizeof e->endpoint, "ipc://%s/%s", rig->dir, name);
    return e;
}

const char *rig_endpoint(rig_t *rig, const char *name)
{
    return endpoint(rig, name)->endpoint;
}

void rig_place(rig_t *rig, const char *name, const char *text)
{
    snprintf(entry(rig, name)->endpoint, RIG_ENDPOINT_MAX, "%s", text);
}

void rig_detour(rig_t *rig, const char *name, const char *by)
{
    snprintf(entry(rig, name)->detour, RIG_ENDPOINT_MAX, "%s", by);
}

const char *rig_way_to(rig_t *rig, const char *name)
{
    const rig_endpoint_t *e = endpoint(rig, name);

    return e->detour[0] != '\0' ? e->detour : e->endpoint;
}

void rig_defer(rig_t *rig, void (*run)(void *arg), void *arg)
{
    assert_true(rig->deferred_count < RIG_DEFERRED_MAX);
    rig->deferred[rig->deferred_count].run = run;
    rig->deferred[rig->deferred_count++].arg = arg;
}

char *rig_path(const rig_t *rig, const char *name, char *path)
{
    int n = snprintf(path, TEST_PATH_MAX, "%s/%s", rig->dir, name);

    assert_true(n < TEST_PATH_MAX);
    return path;
}

/* A free place in a table of the rig. */
static void **vacancy(void **table)
{
    for (size_t i = 0; i < RIG_SOCKETS_MAX; i++)
        if (table[i] == NULL)
            return &table[i];
    fail_msg("more than %d peers in one test", RIG_SOCKETS_MAX);
    return NULL;
}

static void vacate(void **table, const void *what)
{
    for (size_t i = 0; i < RIG_SOCKETS_MAX; i++)
        if (table[i] == what)
            table[i] = NULL;
}

void *rig_alloc(rig_t *rig, size_t size)
{
    void **place = vacancy(rig->memory);

    *place = malloc(size);
    assert_non_null(*place);
    return *place;
}

void rig_free(rig_t *rig, void *memory)
{
    vacate(rig->memory, memory);
    free(memory);
}

void *rig_dealer(rig_t *rig, const char *endpoint)
{
    const int none = 0;
    void **place = vacancy(rig->sockets);

    if (rig->zmq == NULL)
        rig->zmq = zmq_ctx_new();
    assert_non_null(rig->zmq);
    *place = zmq_socket(rig->zmq, ZMQ_DEALER);
    assert_non_null(*place);
    zmq_setsockopt(*place, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal(zmq_connect(*place, endpoint), 0);
    return *place;
}

void rig_close(rig_t *rig, void *socket)
{
    if (socket == NULL)
        return;
    vacate(rig->sockets, socket);
    zmq_close(socket);
}

process_t *rig_program(rig_t *rig, const char *name, const char *program, const char *const *arguments)
{
    char path[TEST_PATH_MAX];
    process_t *p = malloc(sizeof *p);

    assert_non_null(p);
    assert_true(rig->processes_count < RIG_PROCESSES_MAX);
    rig->processes[rig->processes_count++] = p;
    snprintf(path, sizeof path, "%s%s", program[0] == '/' ? "" : TEST_PROGRAMS_DIR "/", program);
    process_init(p, rig->dir, name, path, arguments, rig->guard);
    if (rig->stdin_file != NULL)
        snprintf(p->in, sizeof p->in, "%s", rig->stdin_file);
    rig->stdin_file = NULL;
    return p;
}

process_t *rig_spawn(rig_t *rig, const char *name, const char *program, const char *const *arguments)
{
    process_t *p = rig_program(rig, name, program, arguments);

    process_start(p);
    return p;
}

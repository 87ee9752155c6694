/* The floor's four processes: sockets, frames of raw structs, commits. */
#include "tests/bench/floor.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { BATCH = 1024, WINDOW = 32 * BATCH, NAME_BYTES = 16, HOST_BYTES = 32 };

/* A record is this and `--size` bytes of body; a frame is a time and records. */
typedef struct {
    uint64_t seq;
    int64_t published_ms;
    char instance[NAME_BYTES], host[HOST_BYTES];
} record_t;

typedef struct {
    int64_t sent_us;
    uint64_t first;
    uint32_t count;
    uint32_t unused;
} head_t;

static void *context;

static void took(int part, int64_t since_us)
{
    if (floor_options.rate > 0)
        histogram_add(&floor_shared->parts[part], floor_now_us() - since_us);
}

/* --- sockets --- */

static void *new_pair(void)
{
    const int none = 0;
    void *socket = zmq_socket(context, ZMQ_PAIR);
    if (socket == NULL || zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) != 0)
        floor_die("a socket");
    return socket;
}

static void *bind_hop(int hop)
{
    char *endpoint = floor_shared->endpoints[hop];
    size_t len = ENDPOINT_BYTES;
    void *socket = new_pair();
    if (strcmp(floor_options.transport, "tcp") == 0)
        snprintf(endpoint, len, "tcp://127.0.0.1:*");
    else
        snprintf(endpoint, len, "ipc://%s/hop-%d", floor_directory, hop);
    if (zmq_bind(socket, endpoint) != 0 || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) != 0)
        floor_die(endpoint);
    floor_shared->bound[hop] = true;
    return socket;
}

static void *connect_hop(int hop)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    void *socket = new_pair();
    while (!floor_shared->bound[hop])
        nanosleep(&moment, NULL);
    if (zmq_connect(socket, floor_shared->endpoints[hop]) != 0)
        floor_die(floor_shared->endpoints[hop]);
    return socket;
}

/* Waits when there is nothing; with `wait` 0 false then. */
static bool take(void *socket, zmq_msg_t *frame, int wait)
{
    zmq_msg_init(frame);
    while (zmq_msg_recv(frame, socket, wait ? 0 : ZMQ_DONTWAIT) < 0) {
        if (errno == EAGAIN)
            return false;
        if (errno != EINTR)
            floor_die("receiving");
    }
    return true;
}

static void say(void *socket, uint64_t first, uint32_t count)
{
    const head_t head = {.sent_us = floor_now_us(), .first = first, .count = count};
    if (zmq_send(socket, &head, sizeof head, 0) < 0)
        floor_die("sending");
}

static head_t head_of(zmq_msg_t *frame, int part)
{
    head_t head;
    memcpy(&head, zmq_msg_data(frame), sizeof head);
    took(part, head.sent_us);
    return head;
}

/* --- SQLite --- */

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *remove;
} store_t;

static sqlite3_stmt *statement(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    if (sql != NULL && sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        floor_die(sqlite3_errmsg(db));
    return st;
}

static store_t store_open(const char *name, const char *table, const char *insert, const char *remove)
{
    static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                                  "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;";
    char path[256];
    store_t s = {.db = NULL};
    snprintf(path, sizeof path, "%s/%s", floor_directory, name);
    errno = 0;
    if (sqlite3_open(path, &s.db) != SQLITE_OK ||
        sqlite3_exec(s.db, pragmas, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s.db, table, NULL, NULL, NULL) != SQLITE_OK)
        floor_die(sqlite3_errmsg(s.db));
    s.begin = statement(s.db, "BEGIN");
    s.commit = statement(s.db, "COMMIT");
    s.insert = statement(s.db, insert);
    s.remove = statement(s.db, remove);
    return s;
}

static void run(const store_t *s, sqlite3_stmt *st)
{
    if (sqlite3_step(st) != SQLITE_DONE)
        floor_die(sqlite3_errmsg(s->db));
    sqlite3_reset(st);
}

/* --- the roles --- */

typedef struct {
    store_t store;
    void *consumer;
    uint64_t given, done;
    int64_t start_us;
    int64_t *handed_us; /* by seq, as many as may be out */
    uint8_t *bytes;     /* of a frame */
    head_t acks[WINDOW];
    uint32_t acks_count;
} publisher_t;

/* How many are published in this turn. */
static uint32_t due_now(const publisher_t *p)
{
    uint64_t due = floor_options.count;
    uint32_t n = 0;
    if (floor_options.rate > 0) {
        const double expected = (double)(floor_now_us() - p->start_us) * floor_options.rate / 1e6;
        due = expected < (double)floor_options.count ? (uint64_t)expected : floor_options.count;
    }
    while (p->given + n < due && n < BATCH && p->given + n - p->done < WINDOW)
        n++;
    return n;
}

static void take_acks(publisher_t *p, bool wait)
{
    zmq_pollitem_t item = {.socket = p->consumer, .events = ZMQ_POLLIN};
    zmq_msg_t frame;
    p->acks_count = 0;
    if (wait)
        zmq_poll(&item, 1, floor_options.rate > 0 && p->given < floor_options.count ? 1 : -1);
    while (p->acks_count < WINDOW && take(p->consumer, &frame, 0)) {
        p->acks[p->acks_count++] = head_of(&frame, ACK);
        zmq_msg_close(&frame);
    }
}

static void remove_acked(publisher_t *p)
{
    for (uint32_t i = 0; i < p->acks_count; i++) {
        sqlite3_bind_int64(p->store.remove, 1, (sqlite3_int64)p->acks[i].first);
        sqlite3_bind_int64(p->store.remove, 2, (sqlite3_int64)(p->acks[i].first + p->acks[i].count - 1));
        run(&p->store, p->store.remove);
    }
}

static void insert_new(publisher_t *p, uint32_t n, int64_t turn_us)
{
    uint8_t *to = p->bytes + sizeof(head_t);
    for (uint32_t i = 0; i < n; i++, to += sizeof(record_t) + floor_options.size) {
        record_t r = {.seq = ++p->given, .published_ms = turn_us / 1000};
        snprintf(r.instance, sizeof r.instance, "cattle-%07" PRIu64, r.seq % 10000000);
        memcpy(r.host, r.instance, sizeof r.instance);
        memcpy(to, &r, sizeof r);
        memset(to + sizeof r, 'x', floor_options.size);
        p->handed_us[p->given % WINDOW] = turn_us;
        sqlite3_bind_int64(p->store.insert, 1, (sqlite3_int64)r.seq);
        sqlite3_bind_blob(p->store.insert, 2, to + sizeof r, (int)floor_options.size, SQLITE_STATIC);
        run(&p->store, p->store.insert);
    }
}

/* One commit, as a round of the real one; then the new ones go out. */
static void round_of(publisher_t *p, uint32_t n)
{
    const int64_t begin_us = floor_now_us();
    head_t head = {.first = p->given + 1, .count = n};
    run(&p->store, p->store.begin);
    remove_acked(p);
    insert_new(p, n, begin_us);
    run(&p->store, p->store.commit);
    took(n > 0 ? INSERT : DELETE, begin_us);
    head.sent_us = floor_now_us();
    memcpy(p->bytes, &head, sizeof head);
    if (n > 0 &&
        zmq_send(p->consumer, p->bytes, sizeof head + n * (sizeof(record_t) + floor_options.size), 0) < 0)
        floor_die("sending");
    for (uint32_t i = 0; i < p->acks_count; i++)
        for (uint32_t k = 0; k < p->acks[i].count; k++, p->done++)
            histogram_add(&floor_shared->latency,
                          head.sent_us - p->handed_us[(p->acks[i].first + k) % WINDOW]);
}

static void publisher(void)
{
    static publisher_t p;
    zmq_msg_t frame;
    p.store = store_open("outbox.db", "CREATE TABLE messages(id INTEGER PRIMARY KEY, legs, body BLOB)",
                         "INSERT INTO messages VALUES(?1, 3, ?2)",
                         "DELETE FROM messages WHERE id BETWEEN ?1 AND ?2");
    p.consumer = bind_hop(LEASES);
    p.handed_us = calloc(WINDOW, sizeof *p.handed_us);
    p.bytes = malloc(sizeof(head_t) + BATCH * (sizeof(record_t) + floor_options.size));
    if (p.handed_us == NULL || p.bytes == NULL)
        floor_die("memory");
    take(p.consumer, &frame, 1); /* everybody is there */
    zmq_msg_close(&frame);
    p.start_us = floor_now_us();
    while (p.done < floor_options.count) {
        const uint32_t n = due_now(&p);
        take_acks(&p, n == 0);
        if (n > 0 || p.acks_count > 0)
            round_of(&p, n);
    }
    floor_shared->seconds = (double)(floor_now_us() - p.start_us) / 1e6;
    say(p.consumer, 0, 0);
    free(p.handed_us);
    free(p.bytes);
    zmq_close(p.consumer);
    sqlite3_close_v2(p.store.db);
}

/* Counts the legs of each message, as a gather does. */
static void take_result(void *worker, void *leases, uint8_t *legs)
{
    zmq_msg_t frame;
    uint32_t run_count = 0;
    if (!take(worker, &frame, 0))
        return;
    const head_t head = head_of(&frame, RESULT);
    zmq_msg_close(&frame);
    for (uint32_t i = 0; i < head.count; i++) {
        uint8_t *had = &legs[(head.first + i) % WINDOW];
        const bool both = ++*had == 2;
        if (both) {
            *had = 0;
            run_count++;
        }
        if (run_count > 0 && (!both || i + 1 == head.count)) {
            say(leases, head.first + i + both - run_count, run_count);
            run_count = 0;
        }
    }
}

static void consumer(void)
{
    static uint8_t legs[WINDOW];
    void *leases = connect_hop(LEASES), *workers[2] = {bind_hop(SAVES), bind_hop(RESTARTS)};
    zmq_msg_t frame, second;
    for (int i = 0; i < 2; i++) {
        take(workers[i], &frame, 1);
        zmq_msg_close(&frame);
    }
    say(leases, 0, 0);
    for (;;) {
        zmq_pollitem_t items[3] = {{.socket = leases, .events = ZMQ_POLLIN},
                                   {.socket = workers[0], .events = ZMQ_POLLIN},
                                   {.socket = workers[1], .events = ZMQ_POLLIN}};
        if (zmq_poll(items, 3, -1) < 0 && errno != EINTR)
            floor_die("waiting");
        for (int i = 0; i < 2; i++)
            if (items[1 + i].revents != 0)
                take_result(workers[i], leases, legs);
        if (items[0].revents == 0 || !take(leases, &frame, 0))
            continue;
        head_t head = head_of(&frame, OUT);
        head.sent_us = floor_now_us();
        memcpy(zmq_msg_data(&frame), &head, sizeof head);
        zmq_msg_init(&second);
        zmq_msg_copy(&second, &frame);
        if (zmq_msg_send(&frame, workers[0], 0) < 0 || zmq_msg_send(&second, workers[1], 0) < 0)
            floor_die("sending");
        if (head.count == 0)
            break;
    }
    zmq_close(leases);
    zmq_close(workers[0]);
    zmq_close(workers[1]);
}

static void restart(void)
{
    void *tasks = connect_hop(RESTARTS);
    zmq_msg_t frame;
    for (say(tasks, 0, 0);;) {
        take(tasks, &frame, 1);
        head_t head;
        memcpy(&head, zmq_msg_data(&frame), sizeof head);
        zmq_msg_close(&frame);
        if (head.count == 0)
            break;
        say(tasks, head.first, head.count);
    }
    zmq_close(tasks);
}

static void save_rows(const store_t *s, zmq_msg_t *frame, uint32_t count)
{
    const uint8_t *at = (const uint8_t *)zmq_msg_data(frame) + sizeof(head_t);
    for (uint32_t i = 0; i < count; i++, at += sizeof(record_t) + floor_options.size) {
        record_t r;
        memcpy(&r, at, sizeof r);
        sqlite3_bind_int64(s->insert, 1, 77);
        sqlite3_bind_int64(s->insert, 2, (sqlite3_int64)r.seq);
        sqlite3_bind_text(s->insert, 3, r.instance, (int)strlen(r.instance), SQLITE_STATIC);
        sqlite3_bind_text(s->insert, 4, r.host, (int)strlen(r.host), SQLITE_STATIC);
        sqlite3_bind_int64(s->insert, 5, r.published_ms);
        sqlite3_bind_int64(s->insert, 6, r.published_ms);
        run(s, s->insert);
    }
}

static void save(void)
{
    store_t s = store_open("saved.db",
                           "CREATE TABLE messages(stream, seq, instance, host, published_at, saved_at,"
                           " attributes, PRIMARY KEY(stream, seq)) WITHOUT ROWID",
                           "INSERT INTO messages VALUES(?1, ?2, ?3, ?4, ?5, ?6, NULL)"
                           " ON CONFLICT(stream, seq) DO NOTHING",
                           NULL);
    void *tasks = connect_hop(SAVES);
    bool over = false;
    for (say(tasks, 0, 0); !over;) {
        head_t heads[BATCH];
        uint32_t frames = 0, rows = 0;
        int64_t begin_us = 0;
        zmq_msg_t frame;
        for (bool more = take(tasks, &frame, 1); more; more = rows < BATCH && take(tasks, &frame, 0)) {
            const head_t head = head_of(&frame, TASK);
            over = head.count == 0;
            if (frames == 0) {
                begin_us = floor_now_us();
                run(&s, s.begin);
            }
            save_rows(&s, &frame, head.count);
            zmq_msg_close(&frame);
            heads[frames++] = head;
            rows += head.count;
        }
        run(&s, s.commit);
        if (rows > 0)
            took(SAVING, begin_us);
        for (uint32_t i = 0; i < frames && heads[i].count > 0; i++)
            say(tasks, heads[i].first, heads[i].count);
    }
    zmq_close(tasks);
    sqlite3_close_v2(s.db);
}
void floor_role(int role)
{
    static void (*const roles[ROLES])(void) = {publisher, consumer, save, restart};
    context = zmq_ctx_new();
    roles[role]();
    zmq_ctx_term(context);
}

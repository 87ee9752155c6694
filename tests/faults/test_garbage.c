/* Bad frames of every kind against each server endpoint while messages go through: the pipeline goes on,
 * nothing is lost, and what was refused is counted. */
#include "tests/support/fake.h"
#include "tests/support/frames.h"
#include "tests/support/load.h"
#include "tests/support/pipeline.h"
#include "tests/support/zmtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CASES = 1200,
    LONG_CASES = 60000,
    CASES_A_CONNECTION = 20,
    LOAD_BATCH = 20,
    LEASE_MS = 2000,
    ENDLESS_PART = 65536,
    ENDLESS_BYTES_MAX = 256 * 1024 * 1024,
};

typedef struct {
    frames_place_t place;
    const char *name;   /* the endpoint */
    const char *status; /* where its refusals are counted */
} place_t;

static const place_t PLACES[] = {
    {FRAMES_LEASES, "leases-0", "clients-0"},
    {FRAMES_CLIENTS, "clients-0", "clients-0"},
    {FRAMES_TASKS, "tasks-0", "control-0"},
};
enum { PLACES_COUNT = sizeof PLACES / sizeof *PLACES };

typedef struct {
    process_t *programs[PIPELINE_PROGRAMS];
    load_t load;
} pipeline_t;

static void start_all(pipeline_t *p, rig_t *rig)
{
    start_sturdy(rig, p->programs, LEASE_MS, 1);
    load_init(&p->load, rig, "load", 0, LOAD_BATCH);
    load_tick(&p->load);
}

static void settle(pipeline_t *p, rig_t *rig, bool all_rows_asked_for)
{
    unsigned before = p->load.confirmed;

    /* It still takes new ones. */
    LOAD_UNTIL(&p->load, p->load.confirmed >= before + 2 * LOAD_BATCH);
    load_finish(&p->load);
    assert_int_equal(p->load.failed, 0);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    checked_t v = check_saved(rig, 0, p->load.journal, all_rows_asked_for ? p->load.requests : NULL);
    assert_int_equal(v.code, 0);
    for (int i = 0; i < PIPELINE_PROGRAMS; i++) {
        assert_int_equal(p->programs[i]->starts, 1);
        assert_int_equal(process_stop(p->programs[i]), 0);
    }
    rig_passed(rig);
}

/* Garbage of somebody who has greeted properly goes deeper. */
static void say_hello(fake_t *f, const place_t *place)
{
    f->hello = (hello_t){.version_min = 1, .version_max = 1, .session = f->rig->processes_count + 1};
    f->hello.session += (uint64_t)test_now_ms() << 16;
    if (place->place == FRAMES_TASKS) {
        f->hello.role = ROLE_WORKER;
        snprintf(f->hello.kind, sizeof f->hello.kind, "restart-simulate");
        snprintf(f->hello.leg, sizeof f->hello.leg, "restart");
    }
    fake_recv(f, CMD_WELCOME);
}

static void throw_garbage(rig_t *rig, const place_t *place, unsigned cases)
{
    uint64_t seed = frames_seed();
    unsigned kinds[BAD_KINDS] = {0};
    int64_t surely = 0;
    pipeline_t p;
    fake_t f;
    buffer_t b;

    start_all(&p, rig);
    int64_t before = status_refused(rig, place->status);
    assert_true(before >= 0);
    buffer_init(&b);
    for (unsigned i = 0; i < cases; i++) {
        if (i % CASES_A_CONNECTION == 0) {
            fake_raw(&f, rig, rig_endpoint(rig, place->name));
            if (place->place != FRAMES_CLIENTS && i / CASES_A_CONNECTION % 2 == 0)
                say_hello(&f, place);
        }
        bad_kind_t kind = frames_bad(place->place, &seed, &b);
        kinds[kind]++;
        surely += frames_surely_bad(kind);
        fake_send(&f, b.data, b.len);
        if ((i + 1) % CASES_A_CONNECTION == 0) {
            /* All of this connection's frames have been taken before it goes. */
            WAIT(status_refused(rig, place->status) >= before + surely);
            fake_close(&f);
        }
        load_tick(&p.load);
    }
    buffer_done(&b);
    for (int i = 0; i < BAD_KINDS; i++)
        assert_true(kinds[i] > 0);
    settle(&p, rig, place->place != FRAMES_CLIENTS);
}

static void test_garbage_for_the_lease_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[0], CASES);
}

static void test_garbage_for_the_client_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[1], CASES);
}

static void test_garbage_for_the_task_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[2], CASES);
}

static void test_much_garbage_for_the_lease_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[0], LONG_CASES);
}

static void test_much_garbage_for_the_client_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[1], LONG_CASES);
}

static void test_much_garbage_for_the_task_endpoint(void **state)
{
    throw_garbage(*state, &PLACES[2], LONG_CASES);
}

/* Messages of several frames, each of which alone would be good. */
static void test_messages_of_many_parts(void **state)
{
    rig_t *rig = *state;
    pipeline_t p;
    fake_t f;
    static const uint8_t STATUS[] = {0x92, CMD_STATUS, 1};

    start_all(&p, rig);
    for (size_t i = 0; i < PLACES_COUNT; i++) {
        int64_t before = status_refused(rig, PLACES[i].status);

        fake_raw(&f, rig, rig_endpoint(rig, PLACES[i].name));
        for (unsigned parts = 2; parts < 52; parts++)
            for (unsigned part = 1; part <= parts; part++)
                assert_int_equal(zmq_send(f.socket, STATUS, sizeof STATUS, part < parts ? ZMQ_SNDMORE : 0),
                                 (int)sizeof STATUS);
        WAIT(status_refused(rig, PLACES[i].status) >= before + 50);
        /* And the same connection is still served. */
        fake_send(&f, STATUS, sizeof STATUS);
        assert_true(fake_recv_any(&f, WAIT_MS) >= 0);
        fake_close(&f);
        load_tick(&p.load);
    }
    settle(&p, rig, true);
}

/* One byte more than the limit: the transport cuts the connection before it takes any of it. */
static void test_frames_that_are_too_large(void **state)
{
    rig_t *rig = *state;
    pipeline_t p;
    static const uint64_t SIZES[] = {FRAME_BYTES_MAX + 1, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX};

    start_all(&p, rig);
    for (size_t i = 0; i < PLACES_COUNT; i++)
        for (size_t s = 0; s < sizeof SIZES / sizeof *SIZES; s++) {
            int fd = zmtp_open(rig_endpoint(rig, PLACES[i].name));

            zmtp_header(fd, false, SIZES[s]);
            assert_true(stream_is_cut(fd, WAIT_MS));
            close(fd);
            load_tick(&p.load);
        }
    settle(&p, rig, true);
}

/* The largest that may come, of nonsense: refused like any other. */
static void test_a_large_frame_of_nonsense(void **state)
{
    rig_t *rig = *state;
    pipeline_t p;
    fake_t f;
    uint8_t *zeros = calloc(1, FRAME_BYTES_MAX);

    assert_non_null(zeros);
    start_all(&p, rig);
    for (size_t i = 0; i < PLACES_COUNT; i++) {
        int64_t before = status_refused(rig, PLACES[i].status);

        fake_raw(&f, rig, rig_endpoint(rig, PLACES[i].name));
        fake_send(&f, zeros, FRAME_BYTES_MAX);
        WAIT(status_refused(rig, PLACES[i].status) > before);
        fake_close(&f);
        load_tick(&p.load);
    }
    free(zeros);
    settle(&p, rig, true);
}

static void test_a_message_that_never_ends(void **state)
{
    rig_t *rig = *state;
    pipeline_t p;
    uint8_t *part = calloc(1, ENDLESS_PART);

    assert_non_null(part);
    start_all(&p, rig);
    for (size_t i = 0; i < PLACES_COUNT; i++) {
        int fd = zmtp_open(rig_endpoint(rig, PLACES[i].name));
        size_t sent = 0;

        while (sent < ENDLESS_BYTES_MAX && zmtp_frame(fd, true, part, ENDLESS_PART)) {
            sent += ENDLESS_PART;
            load_tick(&p.load);
        }
        assert_true(sent < ENDLESS_BYTES_MAX);
        assert_true(stream_is_cut(fd, WAIT_MS));
        close(fd);
    }
    free(part);
    settle(&p, rig, true);
}

/* What does not speak ZMTP at all, or stops in the middle of it. */
static void test_strangers_to_the_transport(void **state)
{
    static const char HTTP[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    rig_t *rig = *state;
    pipeline_t p;
    int half_open[PLACES_COUNT];
    uint64_t seed = frames_seed();
    buffer_t b;

    start_all(&p, rig);
    buffer_init(&b);
    for (size_t i = 0; i < PLACES_COUNT; i++) {
        const char *endpoint = rig_endpoint(rig, PLACES[i].name);

        half_open[i] = stream_open(endpoint);
        stream_send(half_open[i], "\xff\0\0\0", 4);
        int fd = stream_open(endpoint);
        stream_send(fd, HTTP, strlen(HTTP));
        close(fd);
        for (int n = 0; n < 20; n++) {
            fd = n % 2 == 0 ? stream_open(endpoint) : zmtp_open(endpoint);
            frames_bad(PLACES[i].place, &seed, &b);
            stream_send(fd, b.data, b.len);
            close(fd);
            load_tick(&p.load);
        }
        /* Half a frame. */
        fd = zmtp_open(endpoint);
        zmtp_header(fd, false, 1000);
        stream_send(fd, HTTP, strlen(HTTP));
        close(fd);
    }
    buffer_done(&b);
    settle(&p, rig, true);
    for (size_t i = 0; i < PLACES_COUNT; i++)
        close(half_open[i]);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_garbage_for_the_lease_endpoint),  RIG_TESTS(test_garbage_for_the_client_endpoint),
        RIG_TESTS(test_garbage_for_the_task_endpoint),   RIG_TESTS(test_messages_of_many_parts),
        RIG_TESTS(test_frames_that_are_too_large),       RIG_TESTS(test_a_large_frame_of_nonsense),
        RIG_TEST(test_a_message_that_never_ends, "tcp"), RIG_TESTS(test_strangers_to_the_transport),
    };

    static const struct CMUnitTest long_tests[] = {
        RIG_TEST(test_much_garbage_for_the_lease_endpoint, "tcp"),
        RIG_TEST(test_much_garbage_for_the_client_endpoint, "tcp"),
        RIG_TEST(test_much_garbage_for_the_task_endpoint, "tcp"),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        return cmocka_run_group_tests(long_tests, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

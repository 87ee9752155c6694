/* The client endpoint as docs/PROTOCOL.md section 6 has it: numbers, repeats after a lost confirm, refusals.
 */
#include "common/runtime/clock.h"
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"

#include <stdlib.h>
#include <string.h>

static uint64_t session;

static process_t *publisher_and_client(rig_t *rig, fake_t *f)
{
    process_t *publisher = start_publisher(rig, 0, NO_ARGS);

    session = clock_random_id();
    fake_raw(f, rig, rig_endpoint(rig, "clients-0"));
    return publisher;
}

static confirm_t publish(fake_t *f, uint64_t number, const char *prefix, unsigned n)
{
    confirm_t c;

    fake_publish(f, session, number, prefix, n);
    fake_confirm(f, &c);
    assert_true(c.session == session);
    assert_int_equal(c.number, number);
    return c;
}

static void assert_same(confirm_t a, confirm_t b)
{
    assert_true(a.first.stream == b.first.stream);
    assert_int_equal(a.first.seq, b.first.seq);
    assert_int_equal(a.stored, b.stored);
}

static int64_t backlog(rig_t *rig)
{
    return status_number(rig, "clients-0", STATUS_BACKLOG);
}

static void test_ids_count_up_and_a_repeat_stores_nothing(void **state)
{
    rig_t *rig = *state;
    fake_t f;

    publisher_and_client(rig, &f);
    confirm_t first = publish(&f, 1, "web", 3);
    assert_int_equal(first.stored, 3);
    assert_same(publish(&f, 1, "web", 3), first);
    confirm_t second = publish(&f, 2, "db", 2);
    assert_true(second.first.stream == first.first.stream);
    assert_int_equal(second.first.seq, first.first.seq + 3);
    /* Confirmed before the last: its ids are forgotten, and nothing is stored. */
    confirm_t old = publish(&f, 1, "web", 3);
    assert_int_equal(old.stored, 0);
    assert_int_equal(old.first.stream, 0);
    assert_int_equal(old.first.seq, 0);
    assert_int_equal(backlog(rig), 5);
    rig_passed(rig);
}

/* The confirm is lost with the publisher: the client says it again to the next one, and gets the same answer.
 */
static void test_a_repeat_after_a_kill_stores_nothing(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    process_t *publisher = publisher_and_client(rig, &f);

    confirm_t first = publish(&f, 1, "web", 3);
    process_kill(publisher);
    process_start(publisher);
    assert_same(publish(&f, 1, "web", 3), first);
    confirm_t second = publish(&f, 2, "web", 1);
    assert_int_equal(second.stored, 1);
    assert_true(second.first.stream != first.first.stream);
    assert_int_equal(backlog(rig), 4);
    rig_passed(rig);
}

/* Many frames under way at once, each twice: every number is stored once. */
static void test_doubled_frames_store_each_number_once(void **state)
{
    rig_t *rig = *state;
    fake_t f;
    confirm_t c;
    uint64_t next_seq = 0;

    publisher_and_client(rig, &f);
    for (uint64_t number = 1; number <= 50; number++) {
        fake_publish(&f, session, number, "web", 10);
        fake_publish(&f, session, number, "web", 10);
    }
    for (unsigned i = 0; i < 100; i++) {
        fake_confirm(&f, &c);
        assert_int_equal(c.number, i / 2 + 1);
        if (i % 2 == 0) {
            assert_int_equal(c.stored, 10);
            assert_true(next_seq == 0 || c.first.seq == next_seq);
            next_seq = c.first.seq + 10;
        }
    }
    assert_int_equal(backlog(rig), 500);
    rig_passed(rig);
}

static void test_a_gap_is_refused_whole(void **state)
{
    rig_t *rig = *state;
    fake_t f;

    publisher_and_client(rig, &f);
    fake_publish(&f, session, 2, "web", 3);
    assert_int_equal(fake_recv_error(&f), ERR_GAP);
    publish(&f, 1, "web", 1);
    fake_publish(&f, session, 3, "web", 3);
    assert_int_equal(fake_recv_error(&f), ERR_GAP);
    assert_int_equal(backlog(rig), 1);
    rig_passed(rig);
}

static void test_bad_bodies_are_refused_and_good_ones_stored(void **state)
{
    static const char *const NAMES[] = {"web-1", "; rm -rf /", "",         "web-2", "-web",
                                        "WEB",   "web_3",      "\xff\xfe", "web-3"};
    enum { NAMES_COUNT = sizeof NAMES / sizeof *NAMES };
    const publish_t header = {.version = PROTO_VERSION, .session = 7, .number = 1};
    rig_t *rig = *state;
    fake_t f;
    buffer_t b, body;
    batch_t batch;
    confirm_t c;
    refusal_t *refusals = malloc(RECORDS_MAX * sizeof *refusals);

    assert_non_null(refusals);
    publisher_and_client(rig, &f);
    buffer_init(&b);
    buffer_init(&body);
    publish_begin(&batch, &b, &header);
    for (unsigned i = 0; i < NAMES_COUNT; i++) {
        buffer_clear(&body);
        fake_body(&body, NAMES[i]);
        publish_add(&batch, body.data, body.len);
    }
    publish_add(&batch, "no map", 6);
    batch_end(&batch);
    fake_send_buffer(&f, &b);
    fake_recv(&f, CMD_CONFIRM);
    assert_int_equal(decode_confirm(f.room->frame, f.len, &c, refusals), NAMES_COUNT + 1 - 3);
    assert_int_equal(c.stored, 3);
    static const unsigned REFUSED[] = {1, 2, 4, 5, 6, 7, 9};
    for (unsigned i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        assert_int_equal(refusals[i].place, REFUSED[i]);
        assert_int_equal(refusals[i].code, ERR_BODY);
        assert_true(refusals[i].text.len > 0);
    }
    assert_int_equal(backlog(rig), 3);
    buffer_done(&body);
    buffer_done(&b);
    free(refusals);
    rig_passed(rig);
}

/* Every server says which version it does not speak. */
static void test_other_versions_are_refused(void **state)
{
    static const uint8_t STATUS_99[] = {0x92, 40, 99};
    const publish_t publish_99 = {.version = 99, .session = 7, .number = 1};
    const hello_t hello_99 = {
        .version_min = 98, .version_max = 99, .role = ROLE_CONSUMER, .session = 7, .window = 5};
    const hello_t worker_99 = {.version_min = 98,
                               .version_max = 99,
                               .role = ROLE_WORKER,
                               .session = 7,
                               .window = 5,
                               .kind = "restart-simulate",
                               .leg = "restart"};
    rig_t *rig = *state;
    fake_t client, consumer, worker;
    buffer_t b;
    batch_t batch;

    publisher_and_client(rig, &client);
    start_consumer(rig, 0, 1, NO_ARGS);
    fake_send(&client, STATUS_99, sizeof STATUS_99);
    assert_int_equal(fake_recv_error(&client), ERR_VERSION);
    buffer_init(&b);
    publish_begin(&batch, &b, &publish_99);
    publish_add(&batch, "\x81\xa8instance\xa5web-1", 16);
    batch_end(&batch);
    fake_send_buffer(&client, &b);
    assert_int_equal(fake_recv_error(&client), ERR_VERSION);
    fake_raw(&consumer, rig, rig_endpoint(rig, "leases-0"));
    encode_hello(&b, &hello_99, NULL);
    fake_send_buffer(&consumer, &b);
    assert_int_equal(fake_recv_error(&consumer), ERR_VERSION);
    fake_raw(&worker, rig, rig_endpoint(rig, "tasks-0"));
    encode_hello(&b, &worker_99, NULL);
    fake_send_buffer(&worker, &b);
    assert_int_equal(fake_recv_error(&worker), ERR_VERSION);
    buffer_done(&b);
    assert_int_equal(backlog(rig), 0);
    rig_passed(rig);
}

static void assert_hello_refused(rig_t *rig, const char *endpoint, const hello_t *hello, unsigned code)
{
    fake_t f;
    buffer_t b;

    fake_raw(&f, rig, rig_endpoint(rig, endpoint));
    buffer_init(&b);
    encode_hello(&b, hello, NULL);
    fake_send_buffer(&f, &b);
    buffer_done(&b);
    assert_int_equal(fake_recv_error(&f), code);
    fake_close(&f);
}

static void test_wrong_roles_and_kinds_are_refused(void **state)
{
    const hello_t consumer = {
        .version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = 7, .window = 5};
    const hello_t worker = {.version_min = 1,
                            .version_max = 1,
                            .role = ROLE_WORKER,
                            .session = 8,
                            .window = 5,
                            .kind = "restart-other",
                            .leg = "restart"};
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, NO_ARGS);
    assert_hello_refused(rig, "leases-0", &worker, ERR_ROLE);
    assert_hello_refused(rig, "tasks-0", &consumer, ERR_ROLE);
    assert_hello_refused(rig, "tasks-0", &worker, ERR_KIND);
    rig_passed(rig);
}

static void test_strangers_are_asked_who_they_are(void **state)
{
    static const uint8_t PING[] = {0x92, CMD_PING, 0};
    static const uint8_t NONSENSE[] = {0x92, 99, 0};
    rig_t *rig = *state;
    fake_t f;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    fake_raw(&f, rig, rig_endpoint(rig, "leases-0"));
    fake_send(&f, PING, sizeof PING);
    fake_recv(&f, CMD_WHO);
    fake_close(&f);
    fake_raw(&f, rig, rig_endpoint(rig, "tasks-0"));
    fake_send(&f, PING, sizeof PING);
    fake_recv(&f, CMD_WHO);
    fake_close(&f);
    fake_raw(&f, rig, rig_endpoint(rig, "clients-0"));
    fake_send(&f, NONSENSE, sizeof NONSENSE);
    assert_int_equal(fake_recv_error(&f), ERR_UNKNOWN);
    fake_send(&f, PING, sizeof PING);
    assert_int_equal(fake_recv_error(&f), ERR_UNKNOWN);
    rig_passed(rig);
}

/* One connection that begins session after session: its answers come, and the log stays short. */
static void test_sessions_without_end_do_not_fill_the_log(void **state)
{
    enum { SESSIONS = 500, LINES_MAX = 100 };
    rig_t *rig = *state;
    fake_t f;
    buffer_t hello;

    process_t *publisher = start_publisher(rig, 0, NO_ARGS);
    process_t *consumer = start_consumer(rig, 0, 1, NO_ARGS);
    hello_t h = {.version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .window = 1};
    buffer_init(&hello);
    fake_raw(&f, rig, rig_endpoint(rig, "leases-0"));
    for (h.session = 1; h.session <= SESSIONS; h.session++) {
        encode_hello(&hello, &h, NULL);
        fake_send_buffer(&f, &hello);
        fake_recv(&f, CMD_WELCOME);
    }
    fake_close(&f);
    h = (hello_t){.version_min = 1, .version_max = 1, .role = ROLE_WORKER, .kind = "k", .leg = "save"};
    fake_raw(&f, rig, rig_endpoint(rig, "tasks-0"));
    for (h.session = 1; h.session <= SESSIONS; h.session++) {
        encode_hello(&hello, &h, NULL);
        fake_send_buffer(&f, &hello);
        fake_recv(&f, CMD_WELCOME);
    }
    assert_in_range(process_log_count(publisher, "\n"), 1, LINES_MAX);
    assert_in_range(process_log_count(consumer, "\n"), 1, LINES_MAX);
    buffer_done(&hello);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_ids_count_up_and_a_repeat_stores_nothing),
        RIG_TESTS(test_a_repeat_after_a_kill_stores_nothing),
        RIG_TESTS(test_doubled_frames_store_each_number_once),
        RIG_TESTS(test_a_gap_is_refused_whole),
        RIG_TESTS(test_bad_bodies_are_refused_and_good_ones_stored),
        RIG_TESTS(test_other_versions_are_refused),
        RIG_TESTS(test_wrong_roles_and_kinds_are_refused),
        RIG_TESTS(test_strangers_are_asked_who_they_are),
        RIG_TESTS(test_sessions_without_end_do_not_fill_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

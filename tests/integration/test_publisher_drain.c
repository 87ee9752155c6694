/* SIGTERM for a publisher whose consumer and clients the test plays: nothing new comes in or goes out, what
 * is out is settled. */
#include "common/runtime/clock.h"
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"

#include <signal.h>

enum { SAVE = 1, RESTART = 2, COUNT = 4 };

typedef struct {
    process_t *publisher;
    fake_t consumer, client;
    delivery_record_t out[COUNT];
    uint64_t session;
} drained_t;

/* `COUNT` messages are out, one waits for credit, and SIGTERM has been heard. */
static void begin_drain(rig_t *rig, drained_t *d, const char *const *args)
{
    confirm_t c;

    d->publisher = start_publisher(rig, 0, args);
    d->session = clock_random_id();
    fake_consumer(&d->consumer, rig, rig_endpoint(rig, "leases-0"), COUNT);
    fake_raw(&d->client, rig, rig_endpoint(rig, "clients-0"));
    fake_publish(&d->client, d->session, 1, "web", COUNT + 1);
    fake_confirm(&d->client, &c);
    assert_int_equal(c.stored, COUNT + 1);
    fake_take(&d->consumer, d->out, COUNT);
    process_signal(d->publisher, SIGTERM);
    WAIT(status_number(rig, "clients-0", "draining") == 1);
}

static void settle(drained_t *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(fake_step(&d->consumer, &d->out[i], SAVE | RESTART, 0, OP_NONE, 0), STEP_DONE);
}

static void test_what_is_out_is_settled(void **state)
{
    rig_t *rig = *state;
    drained_t d;
    confirm_t c;

    begin_drain(rig, &d, NO_ARGS);
    fake_publish(&d.client, d.session, 2, "late", 1);
    assert_int_equal(fake_recv_error(&d.client), ERR_DRAINING);
    /* What was confirmed before is confirmed again. */
    fake_publish(&d.client, d.session, 1, "web", COUNT + 1);
    fake_confirm(&d.client, &c);
    assert_int_equal(c.stored, COUNT + 1);
    settle(&d, COUNT - 1);
    assert_int_equal(fake_step(&d.consumer, &d.out[COUNT - 1], 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    /* There is credit again, and nothing comes; a server that goes says so. */
    fake_recv(&d.consumer, CMD_BYE);
    assert_false(fake_given(&d.consumer, 0));
    assert_int_equal(process_wait(d.publisher, WAIT_MS), 0);
    assert_int_equal(report_number(d.publisher, "acked"), COUNT - 1);
    assert_int_equal(report_number(d.publisher, "backlog"), 2);
    /* It was clean: what is left goes out at once, though it had been out. */
    process_start(d.publisher);
    fake_close(&d.consumer);
    fake_consumer(&d.consumer, rig, rig_endpoint(rig, "leases-0"), COUNT);
    fake_take(&d.consumer, d.out, 2);
    settle(&d, 2);
    rig_passed(rig);
}

static void test_it_waits_no_longer_than_it_may(void **state)
{
    rig_t *rig = *state;
    drained_t d;

    begin_drain(rig, &d, ARGS("--drain-timeout", "300ms", "--ack-deadline", "2s"));
    assert_int_equal(process_wait(d.publisher, WAIT_MS), 0);
    assert_int_equal(report_number(d.publisher, "backlog"), COUNT + 1);
    /* What is still out waits for its deadline, and its consumer may still report. */
    process_start(d.publisher);
    fake_close(&d.consumer);
    fake_consumer(&d.consumer, rig, rig_endpoint(rig, "leases-0"), 2 * COUNT);
    settle(&d, COUNT);
    fake_take(&d.consumer, d.out, 1);
    settle(&d, 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

static void test_a_second_signal(void **state)
{
    rig_t *rig = *state;
    drained_t d;

    begin_drain(rig, &d, ARGS("--drain-timeout", "1h"));
    process_signal(d.publisher, SIGTERM);
    assert_int_equal(process_wait(d.publisher, WAIT_MS), 1);
    rig_passed(rig);
}

/* SIGUSR1 lists what is out, SIGHUP without a file is heard and changes nothing. */
static void test_signals_that_do_not_stop_it(void **state)
{
    rig_t *rig = *state;
    fake_t consumer;
    delivery_record_t out[COUNT];
    process_t *publisher = start_publisher(rig, 0, NO_ARGS);

    publish_hosts(rig, 0, "web", COUNT);
    fake_consumer(&consumer, rig, rig_endpoint(rig, "leases-0"), COUNT);
    fake_take(&consumer, out, COUNT);
    process_signal(publisher, SIGUSR1);
    WAIT(process_log_count(publisher, " to consumer 0, ") == COUNT);
    process_signal(publisher, SIGHUP);
    WAIT(process_log_count(publisher, "there is no file") == 1);
    assert_int_equal(status_number(rig, "clients-0", "leased"), COUNT);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_what_is_out_is_settled),
        RIG_TESTS(test_it_waits_no_longer_than_it_may),
        RIG_TESTS(test_a_second_signal),
        RIG_TEST(test_signals_that_do_not_stop_it, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

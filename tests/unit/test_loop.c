#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/loop.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

static void make_pipe(int ends[2])
{
    assert_int_equal(pipe(ends), 0);
}

static void test_ready_descriptor_ends_the_wait(void **state)
{
    (void)state;
    int ends[2];
    loop_t l;
    make_pipe(ends);
    loop_init(&l);
    int item = loop_add_fd(&l, ends[0]);
    assert_true(item >= 0);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_false(loop_ready(&l, item));
    assert_int_equal(write(ends[1], "x", 1), 1);
    int64_t before = clock_ms();
    assert_int_equal(loop_wait(&l, before + 20000), 0);
    assert_true(loop_ready(&l, item));
    assert_true(clock_ms() - before < 5000);
    assert_true(l.now_ms >= before && l.now_ms <= clock_ms());
    close(ends[0]);
    close(ends[1]);
}

static void test_ready_socket_ends_the_wait(void **state)
{
    (void)state;
    loop_t l;
    void *context = zmq_ctx_new();
    void *a = zmq_socket(context, ZMQ_PAIR);
    void *b = zmq_socket(context, ZMQ_PAIR);
    assert_int_equal(zmq_bind(a, "inproc://loop"), 0);
    assert_int_equal(zmq_connect(b, "inproc://loop"), 0);
    loop_init(&l);
    int item = loop_add_socket(&l, a);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_false(loop_ready(&l, item));
    assert_int_equal(zmq_send(b, "x", 1, 0), 1);
    assert_int_equal(loop_wait(&l, clock_ms() + 20000), 0);
    assert_true(loop_ready(&l, item));
    zmq_close(a);
    zmq_close(b);
    zmq_ctx_term(context);
}

static void test_waits_until_due_and_not_longer_than_a_second(void **state)
{
    (void)state;
    loop_t l;
    loop_init(&l);
    int64_t before = clock_ms();
    assert_int_equal(loop_wait(&l, before + 30), 0);
    assert_true(l.now_ms >= before + 30);
    before = clock_ms();
    assert_int_equal(loop_wait(&l, before - 1000), 0); /* past: at once */
    before = clock_ms();
    assert_int_equal(loop_wait(&l, INT64_MAX), 0);
    assert_in_range(l.now_ms - before, 1000, 30000);
}

static void test_removed_items_leave_the_others_alone(void **state)
{
    (void)state;
    int a[2], b[2];
    loop_t l;
    make_pipe(a);
    make_pipe(b);
    loop_init(&l);
    int first = loop_add_fd(&l, a[0]);
    int second = loop_add_fd(&l, b[0]);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    loop_remove(&l, first);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_false(loop_ready(&l, first));
    assert_true(loop_ready(&l, second));
    assert_int_equal(loop_add_fd(&l, a[0]), first); /* the number is free again */
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_true(loop_ready(&l, first));
    loop_remove(&l, second);
    loop_remove(&l, first);
    loop_remove(&l, first);
    loop_remove(&l, -1);
    assert_int_equal(l.count, 0);
    assert_false(loop_ready(&l, first));
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void test_a_full_loop_refuses(void **state)
{
    (void)state;
    loop_t l;
    loop_init(&l);
    for (int i = 0; i < LOOP_ITEMS_MAX; i++)
        assert_int_equal(loop_add_fd(&l, 0), i);
    assert_int_equal(loop_add_fd(&l, 0), -ENOSPC);
    loop_remove(&l, 7);
    assert_int_equal(loop_add_fd(&l, 0), 7);
}

static void busy_for(int64_t ms)
{
    int64_t end = clock_ms() + ms;
    while (clock_ms() < end)
        continue;
}

static void test_a_stall_is_counted_told_and_late(void **state)
{
    (void)state;
    loop_t l;
    log_open("test", LOG_INFO);
    loop_init(&l);
    capture_begin(STDERR_FILENO);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_int_equal(l.stalls, 0);
    busy_for(LOOP_STALL_MS + 10);
    assert_int_equal(loop_wait(&l, 0), 0);
    const char *told = capture_end();
    assert_int_equal(l.stalls, 1);
    assert_non_null(strstr(told, "a turn of the loop took"));
    assert_true(l.late_ms >= LOOP_STALL_MS + 10);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_true(l.late_ms < LOOP_STALL_MS + 10);
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_an_interrupted_wait_is_no_error(void **state)
{
    (void)state;
    int ends[2];
    loop_t l;
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    make_pipe(ends);
    loop_init(&l);
    int item = loop_add_fd(&l, ends[0]);
    /* What was ready before must not be taken for ready after. */
    char byte;
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(loop_wait(&l, 0), 0);
    assert_true(loop_ready(&l, item));
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    int64_t before = clock_ms();
    assert_int_equal(loop_wait(&l, before + 20000), 0);
    assert_true(clock_ms() - before < 10000);
    assert_false(loop_ready(&l, item));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_descriptor_ends_the_wait),
        cmocka_unit_test(test_ready_socket_ends_the_wait),
        cmocka_unit_test(test_waits_until_due_and_not_longer_than_a_second),
        cmocka_unit_test(test_removed_items_leave_the_others_alone),
        cmocka_unit_test(test_a_full_loop_refuses),
        cmocka_unit_test(test_a_stall_is_counted_told_and_late),
        cmocka_unit_test(test_an_interrupted_wait_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

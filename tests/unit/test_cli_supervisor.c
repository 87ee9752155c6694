/* The supervisor with small shell scripts as children. */
#include "cli/supervisor.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 20000 };

static loop_t loop;
static supervisor_t *s;
static char out[8192];
static int lines_taken;
static int ends;
static int last_status;
static bool last_asked;
static bool again;

static void on_line(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len)
{
    (void)arg;
    size_t at = strlen(out);
    lines_taken++;
    snprintf(out + at, sizeof(out) - at, "%u%c<%.*s>", child, stream == CHILD_OUT ? 'o' : 'e', (int)len,
             text);
}

static bool on_ended(void *arg, uint32_t child, int status, bool asked)
{
    (void)arg;
    (void)child;
    ends++;
    last_status = status;
    last_asked = asked;
    return again;
}

static int setup(void **state)
{
    (void)state;
    const supervisor_events_t events = {.line = on_line, .ended = on_ended};
    log_open("test", LOG_ERROR);
    loop_init(&loop);
    s = supervisor_new(&loop, &events);
    out[0] = '\0';
    lines_taken = 0;
    ends = 0;
    again = false;
    return s ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    supervisor_destroy(&s);
    return 0;
}

static uint32_t add(const char *name, const char *script)
{
    args_t args;
    args_init(&args);
    args_add(&args, "/bin/sh");
    args_add(&args, "-c");
    args_add(&args, "%s", script);
    int child = supervisor_add(s, name, &args, NULL);
    assert_true(child >= 0);
    return (uint32_t)child;
}

static uint32_t start(const char *script)
{
    uint32_t child = add("child", script);
    assert_int_equal(supervisor_start(s, child), 0);
    return child;
}

static void turn(void)
{
    loop_wait(&loop, loop.now_ms + 5);
    supervisor_turn(s, true);
}

#define until(condition)                                                                                     \
    do {                                                                                                     \
        int64_t end_ms_ = clock_ms() + WAIT_MS;                                                              \
        while (!(condition)) {                                                                               \
            assert_true(clock_ms() < end_ms_);                                                               \
            turn();                                                                                          \
        }                                                                                                    \
    } while (0)

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void lines_of_both_streams_come_before_the_end(void **state)
{
    (void)state;
    uint32_t child = start("echo out; echo err >&2; printf 'no newline'; exit 3");
    until(ends == 1);
    /* The streams are told apart, each is in order. */
    char *err = strstr(out, "0e<err>");
    assert_non_null(err);
    memmove(err, err + strlen("0e<err>"), strlen(err + strlen("0e<err>")) + 1);
    assert_string_equal(out, "0o<out>0o<no newline>");
    assert_int_equal(WEXITSTATUS(last_status), 3);
    assert_false(last_asked);
    assert_int_equal(supervisor_child(s, child).state, CHILD_ENDED);
    assert_int_equal(supervisor_child(s, child).pid, 0);
}

static void a_child_gets_its_place_in_life(void **state)
{
    (void)state;
    setenv("MANDRILL_SUPERVISOR", "1", 1); /* of an outer one: replaced */
    supervisor_destroy(&s);
    setup(NULL);
    unsetenv("MANDRILL_SUPERVISOR");
    char want[64];
    start("echo sup=$MANDRILL_SUPERVISOR; read x || echo eof; ps -o pgid= -p $$ | tr -d ' ' | "
          "sed \"s/^$$\\$/own group/\"; trap 'echo usr; exit 0' USR1; kill -USR1 $$");
    until(ends == 1);
    snprintf(want, sizeof(want), "0o<sup=%ld>0o<eof>0o<own group>0o<usr>", (long)getpid());
    assert_string_equal(out, want);
}

static void passwords_are_for_those_who_need_them(void **state)
{
    (void)state;
    static const char script[] =
        "echo \"$MANDRILL_POSTGRES,$MANDRILL_POSTGRES_PASSWORD_FILE,$PGPASSWORD,$PGHOST\"";
    setenv("MANDRILL_POSTGRES", "conninfo", 1);
    setenv("MANDRILL_POSTGRES_PASSWORD_FILE", "file", 1);
    setenv("PGPASSWORD", "password", 1);
    setenv("PGHOST", "host", 1);
    supervisor_destroy(&s);
    setup(NULL);
    unsetenv("MANDRILL_POSTGRES");
    unsetenv("MANDRILL_POSTGRES_PASSWORD_FILE");
    unsetenv("PGPASSWORD");
    start(script);
    until(ends == 1);
    uint32_t trusted = add("trusted", script);
    supervisor_args(s, trusted)->secrets = true;
    assert_int_equal(supervisor_start(s, trusted), 0);
    until(ends == 2);
    unsetenv("PGHOST");
    assert_string_equal(out, "0o<,,,host>1o<conninfo,file,password,host>");
}

static void blocked_signals_are_not_inherited(void **state)
{
    (void)state;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    /* Not a shell: that unblocks what it inherits. */
    args_t args;
    args_init(&args);
    args_add(&args, "/bin/sleep");
    args_add(&args, "1000");
    int child = supervisor_add(s, "child", &args, NULL);
    assert_int_equal(supervisor_start(s, (uint32_t)child), 0);
    log_open("test", LOG_ERROR + 1);
    supervisor_stop(s, (uint32_t)child, WAIT_MS / 4);
    until(ends == 1);
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_true(last_asked);
    assert_true(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGTERM);
}

static void one_that_does_not_stop_is_killed_with_its_children(void **state)
{
    (void)state;
    uint32_t child = start("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.01; done");
    until(strstr(out, ">"));
    pid_t grandchild = (pid_t)atol(out + strlen("0o<"));
    assert_true(grandchild > 1);
    log_open("test", LOG_ERROR + 1);
    supervisor_stop(s, child, 50);
    until(ends == 1);
    assert_true(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
    /* It is init's now, who buries it. */
    until(is_gone(grandchild) || waitpid(grandchild, NULL, WNOHANG) == grandchild);
}

static void a_crashed_child_comes_back_after_a_growing_wait(void **state)
{
    (void)state;
    log_open("test", LOG_ERROR);
    again = true;
    int64_t start_ms = clock_ms();
    uint32_t child = start("echo here; exit 1");
    until(ends == 3);
    assert_true(clock_ms() - start_ms >= 300); /* 100 and 200 */
    assert_string_equal(out, "0o<here>0o<here>0o<here>");
    assert_int_equal(supervisor_child(s, child).restarts, 2);
    assert_int_equal(supervisor_child(s, child).state, CHILD_WAITING);
    assert_true(supervisor_next_ms(s) > clock_ms());
    /* One that waits needs no signal to stop. */
    supervisor_stop(s, child, WAIT_MS);
    assert_int_equal(supervisor_child(s, child).state, CHILD_ENDED);
    assert_true(supervisor_next_ms(s) == INT64_MAX);
}

static void too_many_crashes_are_the_end(void **state)
{
    (void)state;
    again = true;
    for (int i = 0; i < 7; i++)
        start("exit 1");
    until(supervisor_gave_up(s) >= 0);
    int restarts = 0;
    for (uint32_t i = 0; i < supervisor_count(s); i++)
        restarts += (int)supervisor_child(s, i).restarts + (supervisor_child(s, i).state == CHILD_WAITING);
    assert_int_equal(restarts, 20);
}

static void one_that_was_asked_to_stop_does_not_come_back(void **state)
{
    (void)state;
    again = true;
    uint32_t child = start("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done");
    until(strstr(out, "up"));
    supervisor_stop(s, child, WAIT_MS);
    until(ends == 1);
    assert_int_equal(WEXITSTATUS(last_status), 9);
    assert_int_equal(supervisor_child(s, child).state, CHILD_ENDED);
}

static void hurrying_is_two_signals_and_then_the_end(void **state)
{
    (void)state;
    start("trap 'echo term; t=1' TERM; trap 'echo int; i=1' INT; echo up; "
          "while [ -z \"$t$i\" ] || [ -z \"$t\" ] || [ -z \"$i\" ]; do sleep 0.01; done; exit 5");
    uint32_t deaf = start("trap '' TERM INT; echo up; while :; do sleep 0.01; done");
    until(lines_taken == 2);
    log_open("test", LOG_ERROR + 1);
    supervisor_hurry(s, 0, 500);
    supervisor_hurry(s, deaf, 500);
    until(ends == 2);
    assert_int_equal(WEXITSTATUS(supervisor_child(s, 0).status), 5);
    assert_true(WIFSIGNALED(supervisor_child(s, deaf).status));
}

static void used_resources_are_known(void **state)
{
    (void)state;
    uint32_t child = start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    until(ends == 1);
    assert_true(supervisor_child(s, child).cpu_us > 1000);
    assert_true(supervisor_child(s, child).rss_kb > 100);
}

static void a_missing_program_is_an_error(void **state)
{
    (void)state;
    args_t args;
    args_init(&args);
    args_add(&args, "/nonexistent/program");
    int child = supervisor_add(s, "child", &args, NULL);
    assert_int_equal(supervisor_start(s, (uint32_t)child), -ENOENT);
    assert_int_equal(supervisor_child(s, (uint32_t)child).state, CHILD_NEW);
    assert_int_equal(loop.count, 0);
}

static void a_torrent_of_lines_is_taken_whole(void **state)
{
    (void)state;
    start("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line; done");
    until(ends == 1);
    assert_int_equal(lines_taken, 20000);
}

static void destroying_kills(void **state)
{
    (void)state;
    uint32_t child = start("trap '' TERM; echo up; while :; do sleep 0.01; done");
    until(strstr(out, "up"));
    pid_t pid = supervisor_child(s, child).pid;
    supervisor_destroy(&s);
    assert_null(s);
    assert_true(is_gone(pid));
    supervisor_destroy(&s);
}

static void ends_read_well(void **state)
{
    (void)state;
    char text[96];
    child_end_text(SIGKILL, text, sizeof(text));
    assert_string_equal(text, "was ended by signal 9 (Killed)");
    child_end_text(2 << 8, text, sizeof(text));
    assert_string_equal(text, "exited with status 2");
}

/* --- words of a command line */

static void flags_are_replaced_or_added(void **state)
{
    (void)state;
    args_t a;
    args_t b;
    args_init(&a);
    args_init(&b);
    args_add(&a, "prog");
    args_add(&a, "--listen");
    args_add(&a, "tcp://127.0.0.1:%d", 0);
    args_set(&a, "--listen", "tcp://127.0.0.1:7");
    args_set(&a, "--control", "x");
    assert_int_equal(a.count, 5);
    assert_string_equal(args_get(&a, "--listen"), "tcp://127.0.0.1:7");
    assert_string_equal(args_get(&a, "--control"), "x");
    assert_null(args_get(&a, "--missing"));
    args_append(&b, &a);
    assert_int_equal(b.count, 5);
    assert_null(b.words[5]);
    assert_true(args_ok(&b));
    for (int i = 0; i < ARGS_MAX; i++)
        args_add(&a, "more");
    assert_false(args_ok(&a));
    assert_int_equal(a.count, ARGS_MAX);
    args_done(&a);
    args_done(&b);
}

#define with_supervisor(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_supervisor(lines_of_both_streams_come_before_the_end),
        with_supervisor(a_child_gets_its_place_in_life),
        with_supervisor(passwords_are_for_those_who_need_them),
        with_supervisor(blocked_signals_are_not_inherited),
        with_supervisor(one_that_does_not_stop_is_killed_with_its_children),
        with_supervisor(a_crashed_child_comes_back_after_a_growing_wait),
        with_supervisor(too_many_crashes_are_the_end),
        with_supervisor(one_that_was_asked_to_stop_does_not_come_back),
        with_supervisor(hurrying_is_two_signals_and_then_the_end),
        with_supervisor(used_resources_are_known),
        with_supervisor(a_missing_program_is_an_error),
        with_supervisor(a_torrent_of_lines_is_taken_whole),
        with_supervisor(destroying_kills),
        cmocka_unit_test(ends_read_well),
        cmocka_unit_test(flags_are_replaced_or_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Programs beside the loop: what they get, how their ends are told, and that nothing of them is left. */
#define _GNU_SOURCE /* pidfd_open */
#include "tests/unit/spawner_world.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

/* --- what the program does when it is called by the spawner --- */

static void child_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
            printf("%s ", e->d_name);
    closedir(d);
    struct stat in, null;
    printf("%s",
           fstat(0, &in) == 0 && stat("/dev/null", &null) == 0 && in.st_rdev == null.st_rdev ? "null" : "?");
}

static void child_signals(void)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    /* Not those that libc keeps for itself. */
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0)
            printf("%.7s%llx ", line, strtoull(line + 7, NULL, 16) & ~(3ULL << 31));
    printf("%s", getpgrp() == getpid() ? "own group" : "not in a group of its own");
}

static void on_term(int signal)
{
    (void)signal;
    _exit(7);
}

static void child_waits(const char *how)
{
    struct sigaction action = {.sa_handler = strcmp(how, "polite") == 0 ? on_term : SIG_IGN};
    if (strcmp(how, "plain") != 0)
        sigaction(SIGTERM, &action, NULL);
    printf("ready\n");
    fflush(stdout);
    if (strcmp(how, "stopped") == 0)
        raise(SIGSTOP);
    for (;;)
        pause();
}

/* Leaves somebody behind who has the pipes and stays until he is killed; his number is in a file. */
static void child_leaves(const char *file, bool own_session)
{
    const pid_t pid = fork();
    if (pid == 0) {
        if (own_session)
            setsid();
        signal(SIGTERM, SIG_IGN);
        printf("still here ");
        fflush(stdout);
        char part[256];
        snprintf(part, sizeof part, "%s.part", file);
        FILE *f = fopen(part, "we");
        fprintf(f, "%d\n", (int)getpid());
        fclose(f);
        rename(part, file);
        alarm(60); /* nobody stops it when the test fails */
        for (;;)
            pause();
    }
    while (access(file, F_OK) != 0)
        usleep(1000);
}

static void child_flood(long megabytes)
{
    static char bytes[1 << 20];
    memset(bytes, 'x', sizeof bytes);
    printf("begin ");
    for (long i = 0; i < megabytes; i++)
        fwrite(bytes, 1, sizeof bytes, stdout);
    printf(" end");
}

static int spawner_child(int argc, char **argv)
{
    const char *what = argv[1];
    if (strcmp(what, "--descriptors") == 0)
        child_descriptors();
    else if (strcmp(what, "--signals") == 0)
        child_signals();
    else if (strcmp(what, "--waits") == 0)
        child_waits(argv[2]);
    else if (strcmp(what, "--leaves") == 0)
        child_leaves(argv[2], argc > 3);
    else if (strcmp(what, "--leaves-and-waits") == 0) {
        child_leaves(argv[2], false);
        child_waits("plain");
    } else if (strcmp(what, "--flood") == 0)
        child_flood(atol(argv[2]));
    else if (strcmp(what, "--closes") == 0) {
        close(1);
        close(2);
        while (access(argv[2], F_OK) != 0)
            usleep(1000);
        return 5;
    }
    fflush(stdout);
    return 0;
}

/* --- calls that fail when they are told to (linked by --wrap) --- */

static struct {
    bool no_pidfd;
    int fail_at, calls; /* 0: none */
} faults;

static bool fails(void)
{
    return faults.fail_at > 0 && ++faults.calls == faults.fail_at;
}

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    errno = faults.no_pidfd ? ENOSYS : EMFILE;
    return faults.no_pidfd || fails() ? -1 : __real_pidfd_open(pid, flags);
}

int __real_pipe2(int *ends, int flags);
int __wrap_pipe2(int *ends, int flags);
int __wrap_pipe2(int *ends, int flags)
{
    errno = EMFILE;
    return fails() ? -1 : __real_pipe2(ends, flags);
}

int __real_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    errno = ENOSPC;
    return fails() ? -1 : __real_epoll_ctl(epoll, what, fd, event);
}

int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attributes, char *const *argv, char *const *envp);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attributes, char *const *argv, char *const *envp);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
    return fails() ? EAGAIN : __real_posix_spawn(pid, path, files, attributes, argv, envp);
}

/* --- each test, once with a pidfd and once without --- */

static int set_up(void **state)
{
    spawner_world_t *w = calloc(1, sizeof *w);
    faults.no_pidfd = *state != NULL;
    spawner_world_open(w, 64);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    spawner_world_t *w = *state;
    spawner_world_close(w);
    const bool left = world_has_children();
    faults.no_pidfd = false;
    free(w);
    return left ? -1 : 0;
}

static char *path(const spawner_world_t *w, const char *name, char *ret)
{
    sprintf(ret, "%s/%s", w->dir, name);
    return ret;
}

static pid_t read_pid(const char *file)
{
    int pid = 0;
    FILE *f = fopen(file, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    return pid;
}

static void test_an_end_is_told_with_its_code_and_its_output(void **state)
{
    spawner_world_t *w = *state;

    BEGIN(w, 1, "/bin/sh", "-c", "echo out; echo err >&2; exit 3");
    BEGIN_APART(w, 2, "/bin/sh", "-c", "echo out; echo err >&2");
    BEGIN(w, 3, "/bin/sh", "-c", "kill -SEGV $$");
    BEGIN(w, 4, "/bin/true");
    WORLD_UNTIL(w, w->ends == 4);
    assert_int_equal(w->told[1].code, 3);
    assert_string_equal(w->told[1].out, "out\\x0aerr");
    assert_string_equal(w->told[1].err, "out\\x0aerr");
    assert_int_equal(w->told[2].code, 0);
    assert_string_equal(w->told[2].out, "out");
    assert_string_equal(w->told[2].err, "err");
    assert_int_equal(w->told[3].code, -1);
    assert_int_equal(w->told[3].signal, SIGSEGV);
    assert_false(w->told[3].stopped);
    assert_string_equal(spawner_signal(SIGSEGV), "SEGV");
    assert_int_equal(w->told[4].out_len, 0);
    assert_int_equal(spawner_count(w->spawner), 0);
}

static void test_a_program_gets_what_it_needs_and_no_more(void **state)
{
    spawner_world_t *w = *state;
    sigset_t some, before;
    const int open_fd = dup(1); /* without FD_CLOEXEC */
    const int high_fd = fcntl(1, F_DUPFD, 200);

    sigemptyset(&some);
    sigaddset(&some, SIGINT);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, &before);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    BEGIN(w, 1, "self", "--descriptors");
    BEGIN_APART(w, 2, "self", "--descriptors");
    BEGIN(w, 3, "self", "--signals");
    WORLD_UNTIL(w, w->ends == 3);
    assert_string_equal(w->told[1].out, "0 1 2 null");
    assert_string_equal(w->told[2].out, "0 1 2 null");
    assert_string_equal(w->told[3].out, "SigBlk:0 SigIgn:0 own group");
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(open_fd);
    close(high_fd);
}

static void test_of_the_environment_four_variables(void **state)
{
    spawner_world_t *w = *state;

    (void)w;
    setenv("MANDRILL_POSTGRES_PASSWORD_FILE", "/secret", 1);
    setenv("LD_PRELOAD_OF_A_TEST", "x", 1);
    setenv("SSH_AUTH_SOCK", "/run/agent", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("HOME", "/root", 1);
    spawner_destroy(&w->spawner);
    char why[192];
    assert_int_equal(spawner_new(&w->spawner, 64, KILL_AFTER_MS, spawner_world_told, w, why), 0);
    BEGIN(w, 1, "/usr/bin/env", "-u", "PATH");
    WORLD_UNTIL(w, w->ends == 1);
    assert_string_equal(w->told[1].out, "HOME=/root\\x0aLANG=C.UTF-8\\x0aSSH_AUTH_SOCK=/run/agent");
    BEGIN(w, 1, "/bin/sh", "-c", "echo $PATH");
    WORLD_UNTIL(w, w->ends == 2);
    assert_string_equal(w->told[1].out, getenv("PATH"));
    unsetenv("MANDRILL_POSTGRES_PASSWORD_FILE");
    unsetenv("LD_PRELOAD_OF_A_TEST");
}

/* A process that was begun without the three descriptors: pipes then take their places. */
static void test_where_there_are_no_standard_descriptors(void **state)
{
    spawner_world_t *w = *state;
    int status = 0;

    for (int apart = 0; apart < 2; apart++) {
        const pid_t pid = fork();
        if (pid == 0) {
            char why[192];
            for (int fd = 0; fd < 64; fd++)
                close(fd);
            spawner_t *old = w->spawner;
            if (spawner_new(&w->spawner, 64, KILL_AFTER_MS, spawner_world_told, w, why) != 0 || old == NULL)
                _exit(10);
            for (uint32_t i = 1; i < 4; i++)
                if (world_begin_until(w, i, clock_ms() + LONG_MS, apart, WORDS("self", "--descriptors")) != 0)
                    _exit(11);
            while (w->ends < 3)
                world_turn(w);
            for (uint32_t i = 1; i < 4; i++)
                if (strcmp(w->told[i].out, "0 1 2 null") != 0)
                    _exit(12);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_who_is_over_his_time_is_asked_and_then_killed(void **state)
{
    spawner_world_t *w = *state;
    const char *const how[] = {"plain", "polite", "stubborn", "stopped"};

    const int64_t until_ms = clock_ms() + 2000;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(world_begin_until(w, i, until_ms, false, WORDS("self", "--waits", how[i])), 0);
    WORLD_UNTIL(w, w->ends == 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(w->told[i].stopped);
        assert_string_equal(w->told[i].out, "ready");
        /* Asked in time for the kill to come when the time is over, not later. */
        assert_true(w->told[i].at_ms >= until_ms - KILL_AFTER_MS);
    }
    assert_int_equal(w->told[0].signal, SIGTERM);
    assert_int_equal(w->told[1].code, 7);
    assert_int_equal(w->told[2].signal, SIGKILL);
    assert_int_equal(w->told[3].signal, SIGKILL);
    assert_true(w->told[2].at_ms >= until_ms);
    /* With little time, half of it. */
    const int64_t soon_ms = clock_ms() + 200;
    assert_int_equal(world_begin_until(w, 5, soon_ms, false, WORDS("/bin/sleep", "100")), 0);
    WORLD_UNTIL(w, w->ends == 5);
    assert_int_equal(w->told[5].signal, SIGTERM);
    assert_true(w->told[5].at_ms >= soon_ms - 100);
}

static void test_a_flood_is_read_and_counted(void **state)
{
    spawner_world_t *w = *state;

    BEGIN(w, 1, "self", "--flood", "20");
    BEGIN(w, 2, "self", "--flood", "20");
    BEGIN(w, 3, "/bin/true");
    WORLD_UNTIL(w, w->ends == 3);
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(w->told[i].code, 0);
        assert_int_equal(w->told[i].out_len, (20 << 20) + 10);
        assert_true(strncmp(w->told[i].out, "begin xxx", 9) == 0);
        assert_non_null(strstr(w->told[i].out, "xxx [20970762 bytes left out] xxx"));
        assert_string_equal(w->told[i].out + strlen(w->told[i].out) - 5, "x end");
    }
}

static void test_who_writes_for_ever_is_stopped_like_others(void **state)
{
    spawner_world_t *w = *state;

    BEGIN_FOR(w, 1, 1000, "self", "--flood", "1000000000");
    WORLD_UNTIL(w, w->ends == 1);
    assert_int_equal(w->told[1].signal, SIGTERM);
    assert_true(w->told[1].out_len > 1 << 20);
}

static void test_who_closes_his_output_goes_on(void **state)
{
    spawner_world_t *w = *state;
    char file[96];

    BEGIN(w, 1, "self", "--closes", path(w, "go", file));
    /* Until its pipe is closed and read to its end, and some turns more. */
    for (int i = 0; i < 10; i++)
        world_turn(w);
    assert_int_equal(w->ends, 0);
    fclose(fopen(file, "we"));
    WORLD_UNTIL(w, w->ends == 1);
    assert_int_equal(w->told[1].code, 5);
}

static bool is_running(pid_t pid)
{
    char name[32], line[256] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(name, "re");
    if (f == NULL)
        return false;
    const bool any = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    const char *state = any ? strrchr(line, ')') : NULL;
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

static void test_the_end_of_the_first_process_decides(void **state)
{
    spawner_world_t *w = *state;
    char in_group[96], outside[96];

    BEGIN(w, 1, "self", "--leaves", path(w, "in-group", in_group));
    BEGIN(w, 2, "self", "--leaves", path(w, "outside", outside), "own session");
    WORLD_UNTIL(w, w->ends == 2);
    assert_int_equal(w->told[1].code, 0);
    assert_string_equal(w->told[1].out, "still here");
    assert_int_equal(w->told[2].code, 0);
    /* They were not stopped: who goes on is left alone. */
    const pid_t left[] = {read_pid(in_group), read_pid(outside)};
    for (int i = 0; i < 2; i++) {
        assert_true(is_running(left[i]));
        kill(left[i], SIGKILL);
        WAIT(!is_running(left[i]));
    }
}

static void test_who_is_stopped_is_stopped_with_his_group(void **state)
{
    spawner_world_t *w = *state;
    char file[96];

    BEGIN_FOR(w, 1, 1500, "self", "--leaves-and-waits", path(w, "left", file));
    WORLD_UNTIL(w, w->ends == 1);
    assert_int_equal(w->told[1].signal, SIGTERM);
    const pid_t left = read_pid(file);
    WAIT(!is_running(left));
}

static void test_what_is_dropped_is_told_no_more(void **state)
{
    spawner_world_t *w = *state;

    BEGIN(w, 1, "self", "--waits", "stubborn");
    BEGIN(w, 2, "/bin/sleep", "100");
    spawner_drop(w->spawner, &w->running[1]);
    spawner_drop(w->spawner, &w->running[2]);
    assert_null(w->running[1]);
    spawner_drop(w->spawner, &w->running[1]);
    /* Their numbers are free at once. */
    BEGIN(w, 1, "/bin/sh", "-c", "echo another");
    WORLD_UNTIL(w, spawner_count(w->spawner) == 0);
    assert_int_equal(w->ends, 1);
    assert_string_equal(w->told[1].out, "another");
    assert_false(world_has_children());
}

static void test_there_are_no_more_than_there_may_be(void **state)
{
    spawner_world_t *w = *state;
    uint32_t i;

    for (i = 0; i < 64; i++)
        BEGIN(w, i, "/bin/sleep", "100");
    assert_int_equal(world_begin_until(w, i, clock_ms() + LONG_MS, false, WORDS("/bin/true")), -EAGAIN);
    /* Dropped ones count until they are gone. */
    spawner_drop(w->spawner, &w->running[0]);
    assert_int_equal(world_begin_until(w, i, clock_ms() + LONG_MS, false, WORDS("/bin/true")), -EAGAIN);
    WORLD_UNTIL(w, spawner_count(w->spawner) == 63);
    BEGIN(w, i, "/bin/true");
    WORLD_UNTIL(w, w->ends == 1);
    for (i = 1; i < 64; i++)
        spawner_drop(w->spawner, &w->running[i]);
    WORLD_UNTIL(w, spawner_count(w->spawner) == 0);
}

static void test_the_end_of_the_spawner_is_that_of_all(void **state)
{
    spawner_world_t *w = *state;
    const int64_t begun_ms = clock_ms();
    char why[192];

    BEGIN(w, 1, "self", "--waits", "stubborn");
    BEGIN(w, 2, "self", "--waits", "stopped");
    BEGIN(w, 3, "/bin/sleep", "100");
    BEGIN(w, 4, "self", "--flood", "1000000000");
    spawner_drop(w->spawner, &w->running[3]);
    spawner_destroy(&w->spawner);
    assert_null(w->spawner);
    assert_false(world_has_children());
    assert_int_equal(w->ends, 0);
    assert_true(clock_ms() - begun_ms < WAIT_MS / 2);
    assert_int_equal(spawner_new(&w->spawner, 64, KILL_AFTER_MS, spawner_world_told, w, why), 0);
}

/* What it does after that, somebody else may be doing then. */
static void test_nobody_gets_more_time_at_the_end_of_all(void **state)
{
    spawner_world_t *w = *state;
    char why[192], file[96], words[160];
    enum { PATIENT_MS = 10000, SHORT_MS = 600 };

    spawner_destroy(&w->spawner);
    assert_int_equal(spawner_new(&w->spawner, 64, PATIENT_MS, spawner_world_told, w, why), 0);
    snprintf(words, sizeof words, "trap '' TERM; : > %s; sleep 100", path(w, "trapped", file));
    const int64_t until_ms = clock_ms() + SHORT_MS;
    assert_int_equal(world_begin_until(w, 1, until_ms, false, WORDS("/bin/sh", "-c", words)), 0);
    WAIT(access(file, F_OK) == 0);
    spawner_destroy(&w->spawner);
    assert_true(clock_ms() < until_ms + PATIENT_MS / 2);
    assert_false(world_has_children());
    assert_int_equal(spawner_new(&w->spawner, 64, KILL_AFTER_MS, spawner_world_told, w, why), 0);
}

static void test_who_has_no_time_left_is_not_begun(void **state)
{
    spawner_world_t *w = *state;
    const int before = world_descriptors();

    assert_int_equal(world_begin_until(w, 1, clock_ms(), true, WORDS("/bin/true")), -ETIMEDOUT);
    assert_int_equal(world_descriptors(), before);
    assert_int_equal(spawner_count(w->spawner), 0);
    assert_false(world_has_children());
}

static void test_what_cannot_be_begun_leaves_nothing(void **state)
{
    spawner_world_t *w = *state;
    char file[96];
    const int before = world_descriptors();

    assert_int_equal(world_begin_until(w, 1, clock_ms() + LONG_MS, true, WORDS("/no/such/program")), -ENOENT);
    fclose(fopen(path(w, "text", file), "we"));
    assert_int_equal(world_begin_until(w, 1, clock_ms() + LONG_MS, true, WORDS(file)), -EACCES);
    assert_int_equal(world_descriptors(), before);
    assert_int_equal(spawner_count(w->spawner), 0);
    assert_false(world_has_children());
}

static void test_each_call_may_fail(void **state)
{
    spawner_world_t *w = *state;
    const int before = world_descriptors();
    int refused = 0, begun = 0, nth;

    for (nth = 1;; nth++) {
        faults.calls = 0;
        faults.fail_at = nth;
        const int error =
            world_begin_until(w, 1, clock_ms() + LONG_MS, true, WORDS("/bin/sh", "-c", "exit 9"));
        const bool hit = faults.calls >= nth;
        faults.fail_at = 0;
        if (error != 0) {
            assert_true(error == -EMFILE || error == -ENOSPC || error == -EAGAIN);
            refused++;
        } else {
            /* Whose end no descriptor tells of is noticed all the same. */
            WORLD_UNTIL(w, w->told[1].ends == (unsigned)begun + 1);
            assert_int_equal(w->told[1].code, 9);
            begun++;
        }
        assert_int_equal(world_descriptors(), before);
        if (!hit)
            break;
    }
    /* Two pipes, two places in the epoll, the spawn; then the pidfd and its place, which can be done without.
     */
    assert_int_equal(refused, 5);
    assert_int_equal(begun, faults.no_pidfd ? 1 : 3);
}

static void test_an_ignored_sigchld_hides_no_end(void **state)
{
    spawner_world_t *w = *state;
    char why[192];

    spawner_destroy(&w->spawner);
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(spawner_new(&w->spawner, 64, KILL_AFTER_MS, spawner_world_told, w, why), 0);
    BEGIN(w, 1, "/bin/sh", "-c", "exit 9");
    WORLD_UNTIL(w, w->ends == 1);
    assert_int_equal(w->told[1].code, 9);
}

#define BOTH(function)                                                                                       \
    {#function, function, set_up, tear_down, NULL},                                                          \
    {                                                                                                        \
#function " without pidfd", function, set_up, tear_down, &faults                                     \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_an_end_is_told_with_its_code_and_its_output),
        BOTH(test_a_program_gets_what_it_needs_and_no_more),
        BOTH(test_of_the_environment_four_variables),
        BOTH(test_where_there_are_no_standard_descriptors),
        BOTH(test_who_is_over_his_time_is_asked_and_then_killed),
        BOTH(test_a_flood_is_read_and_counted),
        BOTH(test_who_writes_for_ever_is_stopped_like_others),
        BOTH(test_who_closes_his_output_goes_on),
        BOTH(test_the_end_of_the_first_process_decides),
        BOTH(test_who_is_stopped_is_stopped_with_his_group),
        BOTH(test_what_is_dropped_is_told_no_more),
        BOTH(test_there_are_no_more_than_there_may_be),
        BOTH(test_the_end_of_the_spawner_is_that_of_all),
        BOTH(test_nobody_gets_more_time_at_the_end_of_all),
        BOTH(test_who_has_no_time_left_is_not_begun),
        BOTH(test_what_cannot_be_begun_leaves_nothing),
        BOTH(test_each_call_may_fail),
        BOTH(test_an_ignored_sigchld_hides_no_end),
    };
    if (argc > 1)
        return spawner_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

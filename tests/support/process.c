#include "tests/support/process.h"

#include "common/runtime/announce.h"
#include "tests/support/guard.h"
#include "tests/support/shim_control.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int64_t test_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void test_pause(void)
{
    poll(NULL, 0, 10);
}

void process_init(process_t *p, const char *dir, const char *name, const char *program,
                  const char *const *arguments, int guard)
{
    size_t n = 0;

    *p = (process_t){.guard = guard};
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->program, sizeof p->program, "%s", program);
    snprintf(p->out, sizeof p->out, "%s/%s.out", dir, name);
    snprintf(p->log, sizeof p->log, "%s/%s.log", dir, name);
    snprintf(p->announce, sizeof p->announce, "%s/%s.announce", dir, name);
    p->arguments[n++] = strdup(program);
    for (; *arguments != NULL; arguments++) {
        assert_true(n < PROCESS_ARGUMENTS_MAX);
        p->arguments[n++] = strdup(*arguments);
    }
}

void process_done(process_t *p)
{
    if (process_running(p))
        process_kill(p);
    for (char **a = p->arguments; *a != NULL; a++)
        free(*a);
    p->arguments[0] = NULL;
}

/* The environment of this program, with the shim's variables where it has one. */
static char **environment(const process_t *p, char *preload, char *control)
{
    size_t n = 0;

    while (environ[n] != NULL)
        n++;
    char **list = calloc(n + 3, sizeof *list);
    assert_non_null(list);
    memcpy(list, environ, n * sizeof *list);
    if (p->shim[0] != '\0') {
        snprintf(preload, TEST_PATH_MAX, "LD_PRELOAD=" TEST_PROGRAMS_DIR "/libmandrill-shim.so");
        snprintf(control, TEST_PATH_MAX, SHIM_VARIABLE "=%.200s", p->shim);
        list[n++] = preload;
        list[n++] = control;
    }
    return list;
}

void process_start(process_t *p)
{
    char preload[TEST_PATH_MAX], control[TEST_PATH_MAX];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    assert_int_equal(p->pid, 0);
    unlink(p->announce);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, p->in[0] != '\0' ? p->in : "/dev/null", O_RDONLY,
                                     0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, p->out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, p->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    char **variables = environment(p, preload, control);
    int rc = posix_spawn(&p->pid, p->program, &files, &attributes, p->arguments, variables);
    free(variables);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0) {
        p->pid = 0;
        fail_msg("cannot start %s: %s", p->program, strerror(rc));
    }
    p->starts++;
    guard_watch(p->guard, p->pid);
}

bool process_running(process_t *p)
{
    if (p->pid == 0)
        return false;
    pid_t ended = waitpid(p->pid, &p->status, WNOHANG);
    if (ended != p->pid)
        return true;
    /* What it started itself goes with it. */
    kill(-p->pid, SIGKILL);
    guard_forget(p->guard, p->pid);
    p->pid = 0;
    return false;
}

void process_signal(process_t *p, int signal)
{
    assert_true(process_running(p));
    assert_int_equal(kill(p->pid, signal), 0);
}

void process_kill(process_t *p)
{
    if (!process_running(p))
        return;
    kill(-p->pid, SIGKILL);
    process_wait(p, WAIT_MS);
}

int process_code(const process_t *p)
{
    return WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status);
}

int process_wait(process_t *p, int timeout_ms)
{
    int64_t until_ms = test_now_ms() + timeout_ms;

    while (process_running(p)) {
        if (test_now_ms() > until_ms)
            fail_msg("%s did not end within %d ms", p->name, timeout_ms);
        test_pause();
    }
    return process_code(p);
}

int process_stop(process_t *p)
{
    process_signal(p, SIGTERM);
    return process_wait(p, WAIT_MS);
}

bool process_is_announced(const process_t *p)
{
    struct stat st;

    return stat(p->announce, &st) == 0 && st.st_size > 0;
}

void process_announced(process_t *p, const char *key, char *value)
{
    int64_t until_ms = test_now_ms() + WAIT_MS;

    while (announce_read(p->announce, key, value, TEST_PATH_MAX) != 0) {
        if (!process_running(p))
            fail_msg("%s ended with %d and announced no %s", p->name, process_code(p), key);
        if (test_now_ms() > until_ms)
            fail_msg("%s announced no %s", p->name, key);
        test_pause();
    }
}

char *test_read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t len = 0, room = 4096;
    char *text = malloc(room + 1);

    assert_non_null(text);
    while (f != NULL) {
        len += fread(text + len, 1, room - len, f);
        if (len < room)
            break;
        room *= 2;
        char *more = realloc(text, room + 1);
        assert_non_null(more);
        text = more;
    }
    if (f != NULL)
        fclose(f);
    text[len] = '\0';
    return text;
}

void test_write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static unsigned count_in(const char *path, const char *what)
{
    char *text = test_read_file(path);
    unsigned n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    free(text);
    return n;
}

unsigned process_log_count(const process_t *p, const char *text)
{
    return count_in(p->log, text);
}

unsigned process_out_count(const process_t *p, const char *text)
{
    return count_in(p->out, text);
}

/* nftw() belongs to the X/Open part of POSIX. */
#define _XOPEN_SOURCE 700

#include "tests/support/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WATCHED_MAX = 512 };

typedef struct {
    enum { GUARD_WATCH, GUARD_FORGET, GUARD_DISMISS } op;
    pid_t group;
} order_t;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

void remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void guard_run(int orders, const char *dir)
{
    pid_t watched[WATCHED_MAX];
    size_t count = 0;
    order_t order;
    ssize_t n;

    while ((n = read(orders, &order, sizeof order)) != 0) {
        if (n != (ssize_t)sizeof order)
            continue;
        if (order.op == GUARD_DISMISS)
            _exit(0);
        for (size_t i = 0; i < count; i++)
            if (watched[i] == order.group)
                watched[i--] = watched[--count];
        if (order.op == GUARD_WATCH && count < WATCHED_MAX)
            watched[count++] = order.group;
    }
    for (size_t i = 0; i < count; i++)
        kill(-watched[i], SIGKILL);
    remove_tree(dir);
    _exit(0);
}

int guard_open(const char *dir, pid_t *ret_pid)
{
    int ends[2];

    if (pipe(ends) != 0)
        return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        close(ends[1]);
        guard_run(ends[0], dir);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return -1;
    }
    *ret_pid = pid;
    return ends[1];
}

static void guard_tell(int guard, int op, pid_t group)
{
    order_t order;

    /* Whole, with its padding: it goes through a pipe. */
    memset(&order, 0, sizeof order);
    order.op = op;
    order.group = group;
    while (guard >= 0 && write(guard, &order, sizeof order) < 0 && errno == EINTR)
        ;
}

void guard_watch(int guard, pid_t group)
{
    guard_tell(guard, GUARD_WATCH, group);
}

void guard_forget(int guard, pid_t group)
{
    guard_tell(guard, GUARD_FORGET, group);
}

void guard_close(int guard, pid_t pid)
{
    guard_tell(guard, GUARD_DISMISS, 0);
    close(guard);
    waitpid(pid, NULL, 0);
}

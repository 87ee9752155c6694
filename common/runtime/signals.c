#include "common/runtime/signals.h"
#include "common/runtime/config.h"
#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A process has one set of signals, so this is one for the process too. */
static bool stopping;

/* At EMFILE libzmq's I/O thread spins, so as many files as may be had are taken. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Children of a supervisor that was killed must not live on unseen. */
static int follow_supervisor(void)
{
    const char *text = getenv("MANDRILL_SUPERVISOR");
    if (!text || !*text)
        return 0;
    int64_t pid;
    if (config_parse_int(text, &pid) < 0 || pid <= 0)
        return -EINVAL;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return -errno;
    /* It may have died before the line above: then no signal comes. */
    if (getppid() != (pid_t)pid) {
        fprintf(stderr, "the supervisor (process %s) is gone\n", text);
        exit(EXIT_FAILURE);
    }
    /* What this process starts has another parent. */
    unsetenv("MANDRILL_SUPERVISOR");
    return 0;
}

int signals_open(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0)
        return -r;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    zsys_handler_set(NULL);
    raise_file_limit();
    r = follow_supervisor();
    if (r < 0)
        return r;
    stopping = false;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

signals_event_t signals_read(int fd)
{
    struct signalfd_siginfo info;
    ssize_t n;
    do {
        n = read(fd, &info, sizeof(info));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(info))
        return SIGNALS_NONE;
    switch (info.ssi_signo) {
    case SIGUSR1:
        return SIGNALS_DUMP;
    case SIGHUP:
        return SIGNALS_RELOAD;
    case SIGCHLD:
        return SIGNALS_CHILD;
    default:
        break;
    }
    signals_event_t event = stopping ? SIGNALS_STOP_NOW : SIGNALS_STOP;
    stopping = true;
    return event;
}

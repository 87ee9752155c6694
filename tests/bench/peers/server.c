#include "tests/bench/peers/server.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STOP_MS = 10000, LOOK_MS = 5, LOG_TAIL_BYTES = 4096 };

int server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int port = -EIO;
    if (bind(fd, (struct sockaddr *)&address, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        port = ntohs(address.sin_port);
    close(fd);
    return port;
}

static void become(const peer_run_t *run, char **words, pid_t parent)
{
    sigset_t none;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/server.log", run->dir);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int nothing = open("/dev/null", O_RDONLY);
    if (getppid() != parent || log < 0 || nothing < 0 || chdir(run->dir) < 0)
        _exit(1);
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(words[0], words);
    fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
    _exit(127);
}

int server_start(const peer_run_t *run, pid_t *ret)
{
    char *words[SERVER_ARGS_MAX + 1] = {NULL};
    assert(run->args_count > 0);
    for (uint32_t i = 0; i < run->args_count; i++)
        words[i] = (char *)run->args[i];
    const pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        log_error("no process for the server: %s", strerror(errno));
        return -errno;
    }
    if (pid == 0)
        become(run, words, parent);
    *ret = pid;
    return 0;
}

static int read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return -ESRCH;
    const size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
    return n > 0 ? 0 : -ESRCH;
}

int server_usage(pid_t pid, usage_t *ret)
{
    char text[4096];
    if (read_proc(pid, "stat", text, sizeof(text)) < 0)
        return -ESRCH;
    /* Behind the name, which may hold anything: field 3 is the state, 14..17 are the times in ticks. */
    char *at = strrchr(text, ')');
    int64_t ticks = 0;
    for (int field = 2; at && field < 17; field++) {
        at = strchr(at + 1, ' ');
        if (at && field >= 13)
            ticks += strtoll(at + 1, NULL, 10);
    }
    if (!at || read_proc(pid, "status", text, sizeof(text)) < 0)
        return -ESRCH;
    const char *peak = strstr(text, "VmHWM:");
    if (!peak)
        return -ESRCH;
    *ret = (usage_t){.cpu_us = ticks * 1000000 / sysconf(_SC_CLK_TCK),
                     .rss_kb = strtoll(peak + strlen("VmHWM:"), NULL, 10)};
    return 0;
}

/* Without waiting for it: server_stop() does. */
bool server_has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

void server_stop(pid_t pid)
{
    const int64_t until_ms = clock_ms() + STOP_MS;
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
    kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_ms() > until_ms) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            return;
        }
        nanosleep(&look, NULL);
    }
}

void server_show_log(const peer_run_t *run)
{
    char path[PATH_MAX], text[LOG_TAIL_BYTES + 1];
    snprintf(path, sizeof(path), "%s/server.log", run->dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fseek(f, -LOG_TAIL_BYTES, SEEK_END) != 0)
        rewind(f);
    text[fread(text, 1, LOG_TAIL_BYTES, f)] = '\0';
    fclose(f);
    fputs(text, stderr);
}

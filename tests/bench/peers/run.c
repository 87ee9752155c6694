#define _DEFAULT_SOURCE /* wait4 */
#include "tests/bench/peers/run.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "tests/bench/peers/saver.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_MS = 15000,
    /* As `mandrill bench`: nothing acked for so long is a failure. */
    STALL_MS = 30000,
    LOOK_MS = 10,
    EXIT_AGAIN = 3,
};

static const char *const role_names[ROLES] = {"server", "publisher", "save", "nothing"};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void look_again(void)
{
    const struct timespec t = {.tv_nsec = LOOK_MS * 1000000L};
    nanosleep(&t, NULL);
}

/* In a process of its own: a library that has started threads would not survive the forks that follow. */
static int prepare(const peer_t *peer, peer_run_t *run)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        const int r = peer->prepare(run);
        _exit(r == 0 ? 0 : r == -EAGAIN ? EXIT_AGAIN : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -EIO;
    return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == EXIT_AGAIN ? -EAGAIN : -EIO;
}

/* The server answers and has what publishing needs. */
static int await_server(const peer_t *peer, peer_run_t *run, pid_t server)
{
    const int64_t until_ms = clock_ms() + START_MS;
    for (;;) {
        const int r = prepare(peer, run);
        if (r != -EAGAIN)
            return r;
        const bool over = server_has_ended(server);
        if (over || interrupted || clock_ms() > until_ms) {
            log_error("%s %s", run->args[0], over ? "has ended" : "does not answer");
            return -ETIMEDOUT;
        }
        look_again();
    }
}

static pid_t fork_role(const peer_t *peer, peer_run_t *run, role_t role)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN); /* a server that is gone is an error of the write */
    if (getppid() != parent)
        _exit(1);
    log_open(role_names[role], LOG_INFO);
    int r;
    if (role == ROLE_PUBLISHER)
        r = peer->publish(run);
    else
        r = peer->consume(run, role == ROLE_SAVE ? GROUP_SAVE : GROUP_NOTHING);
    /* What libraries would do at exit is none of the run. */
    _exit(r == 0 ? 0 : 1);
}

/* One that has ended: notes what it used. -EIO when it failed. */
static int note_end(const peer_run_t *run, role_t role, int status, const struct rusage *used, usage_t *ret)
{
    /* The tally is the benchmark's, and none of what the peer needs. */
    const int64_t own_kb = (int64_t)(run->tally->bytes / 1024);
    ret->cpu_us = (used->ru_utime.tv_sec + used->ru_stime.tv_sec) * INT64_C(1000000) +
                  used->ru_utime.tv_usec + used->ru_stime.tv_usec;
    ret->rss_kb = used->ru_maxrss > own_kb ? used->ru_maxrss - own_kb : 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    log_error("%s failed (%s %d)", role_names[role], WIFSIGNALED(status) ? "signal" : "exit status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return -EIO;
}

static int await_roles(const peer_run_t *run, pid_t *pids, run_result_t *ret)
{
    uint64_t moved = 0;
    int64_t moved_ms = clock_ms();
    for (int left = ROLES - 1; left > 0;) {
        for (role_t role = ROLE_PUBLISHER; role < ROLES; role++) {
            int status;
            struct rusage used;
            if (pids[role] <= 0 || wait4(pids[role], &status, WNOHANG, &used) != pids[role])
                continue;
            pids[role] = 0;
            left--;
            if (note_end(run, role, status, &used, &ret->roles[role]) < 0)
                return -EIO;
        }
        const uint64_t acked = run->tally->acked[GROUP_SAVE] + run->tally->acked[GROUP_NOTHING];
        if (acked != moved) {
            moved = acked;
            moved_ms = clock_ms();
        }
        if (interrupted || server_has_ended(pids[ROLE_SERVER]) || clock_ms() - moved_ms > STALL_MS) {
            log_error("%s: %" PRIu64 " acks of %" PRIu64,
                      interrupted ? "interrupted" : "nothing moves any more", acked, run->count * GROUPS);
            return -ETIMEDOUT;
        }
        if (left > 0)
            look_again();
    }
    return 0;
}

static int run_roles(const peer_t *peer, peer_run_t *run, pid_t *pids, run_result_t *ret)
{
    usage_t before = {0}, after = {0};
    int r = await_server(peer, run, pids[ROLE_SERVER]);
    if (r == 0)
        r = server_usage(pids[ROLE_SERVER], &before);
    for (role_t role = ROLES - 1; r == 0 && role > ROLE_SERVER; role--) {
        pids[role] = fork_role(peer, run, role);
        if (pids[role] < 0)
            r = -errno;
    }
    if (r == 0)
        r = await_roles(run, pids, ret);
    if (r == 0)
        r = server_usage(pids[ROLE_SERVER], &after);
    if (r < 0)
        return r;
    /* What its start took is left out. */
    ret->roles[ROLE_SERVER] = (usage_t){.cpu_us = after.cpu_us - before.cpu_us, .rss_kb = after.rss_kb};
    return 0;
}

static int check_rows(const peer_run_t *run, run_result_t *ret)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/saved.db", run->dir);
    const int r = saver_rows(path, &ret->rows);
    if (r < 0 || ret->rows == run->count)
        return r;
    log_error("%" PRIu64 " rows are saved, not %" PRIu64, ret->rows, run->count);
    return -EIO;
}

int run_peer(const peer_t *peer, peer_run_t *run, run_result_t *ret)
{
    pid_t pids[ROLES] = {0};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    *ret = (run_result_t){0};
    int r = peer->server(run);
    if (r == 0)
        r = server_start(run, &pids[ROLE_SERVER]);
    if (r < 0)
        return r;
    r = run_roles(peer, run, pids, ret);
    for (role_t role = ROLE_PUBLISHER; role < ROLES; role++) {
        if (pids[role] <= 0)
            continue;
        kill(pids[role], SIGKILL);
        waitpid(pids[role], NULL, 0);
    }
    server_stop(pids[ROLE_SERVER]);
    if (r == 0)
        r = check_rows(run, ret);
    if (r < 0)
        server_show_log(run);
    return r;
}

/* --- the report */

static void report_roles(const run_result_t *result, FILE *out)
{
    fputs("\"roles\":{", out);
    for (role_t role = 0; role < ROLES; role++)
        fprintf(out, "%s\"%s\":{\"cpu_us\":%" PRId64 ",\"rss_mb\":%.3f}", role > 0 ? "," : "",
                role_names[role], result->roles[role].cpu_us, (double)result->roles[role].rss_kb / 1024);
    fputs("},", out);
}

void run_report(const peer_t *peer, const peer_run_t *run, const run_result_t *result, FILE *out)
{
    const tally_t *t = run->tally;
    const double seconds = tally_seconds(t);
    int64_t cpu_us = 0;
    histogram_t h;
    tally_latency(t, &h);
    for (role_t role = 0; role < ROLES; role++)
        cpu_us += result->roles[role].cpu_us;
    fprintf(out, "{\"count\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"dead\":0,",
            run->count, tally_finished(t), tally_duplicates(t));
    fprintf(out, "\"seconds\":%.3f,\"rate\":%.3f,\"cpu_us_per_message\":%.3f,", seconds,
            seconds > 0 ? (double)tally_finished(t) / seconds : 0, (double)cpu_us / (double)run->count);
    fprintf(out, "\"latency_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f},",
            (double)histogram_quantile(&h, 0.5) / 1000, (double)histogram_quantile(&h, 0.9) / 1000,
            (double)histogram_quantile(&h, 0.99) / 1000, (double)h.max_us / 1000);
    report_roles(result, out);
    fprintf(out, "\"settings\":{\"rate\":");
    if (run->rate > 0)
        fprintf(out, "%.3f", run->rate);
    else
        fputs("null", out);
    fprintf(out, ",\"size\":%" PRIu32 ",\"in_flight\":%" PRIu32 ",\"transport\":\"%s\",", run->size_bytes,
            run->in_flight, run->ipc ? "ipc" : "tcp");
    peer->settings(run, out);
    fprintf(out, "\"version\":\"" MANDRILL_VERSION "\"}}\n");
}

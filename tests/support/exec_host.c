#include "tests/support/exec_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *host_path(const rig_t *rig, const char *host, const char *what, char *path)
{
    char name[PROCESS_NAME_MAX * 2];
    snprintf(name, sizeof name, "hosts/%s%s", host, what);
    return rig_path(rig, name, path);
}

char *exec_host_command(rig_t *rig, const char *rest, char *command)
{
    char folder[TEST_PATH_MAX];
    rig_path(rig, "hosts", folder);
    if (mkdir(folder, 0755) != 0)
        assert_int_equal(errno, EEXIST);
    snprintf(command, (size_t)3 * TEST_PATH_MAX, "%s %s %s", TEST_EXEC_HOST, folder, rest);
    return command;
}

unsigned exec_host_restarts(const rig_t *rig, const char *host)
{
    char path[TEST_PATH_MAX];
    struct stat st;
    return stat(host_path(rig, host, ".restarts", path), &st) == 0 ? (unsigned)st.st_size : 0;
}

void exec_host_restart(rig_t *rig, const char *host)
{
    char path[TEST_PATH_MAX];
    FILE *f = fopen(host_path(rig, host, ".restarts", path), "ae");
    assert_non_null(f);
    fputc('x', f);
    assert_int_equal(fclose(f), 0);
}

unsigned exec_host_calls(const rig_t *rig, const char *text)
{
    char path[TEST_PATH_MAX];
    unsigned n = 0;
    char *log = test_read_file(host_path(rig, "log", "", path));
    for (const char *at = log; (at = strstr(at, text)) != NULL; at += strlen(text))
        n++;
    free(log);
    return n;
}

unsigned exec_host_most(const rig_t *rig)
{
    char path[TEST_PATH_MAX];
    unsigned most = 0;
    char *lines = test_read_file(host_path(rig, "most", "", path));
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const unsigned n = (unsigned)strtoul(line, NULL, 10);
        most = n > most ? n : most;
    }
    free(lines);
    return most;
}

bool exec_host_runs(const rig_t *rig, const char *host)
{
    char path[TEST_PATH_MAX], name[32];
    char *pid = test_read_file(host_path(rig, host, ".pid", path));
    const int number = atoi(pid);
    free(pid);
    snprintf(name, sizeof name, "/proc/%d/stat", number);
    char *stat = number > 0 ? test_read_file(name) : NULL;
    const char *state = stat != NULL ? strrchr(stat, ')') : NULL;
    const bool runs = state != NULL && state[2] != 'Z' && state[2] != 'X';
    free(stat);
    return runs;
}

void exec_host_go(rig_t *rig)
{
    char path[TEST_PATH_MAX];
    test_write_file(host_path(rig, "go", "", path), "", 0);
}

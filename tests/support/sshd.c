#include "tests/support/sshd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 20, TEXT_BYTES = 4096 };

#define SSHD "/usr/sbin/sshd"
/* Where it locks itself up when root starts it. */
#define EMPTY_FOLDER "/run/sshd"

bool sshd_is_here(void)
{
    return access(SSHD, X_OK) == 0 && access("/usr/bin/ssh", X_OK) == 0 &&
           access("/usr/bin/ssh-keygen", X_OK) == 0;
}

/* -1: not bound, or nobody answers. */
static int try_port(int port, bool binds, int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof a;
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int r = s < 0 ? -1 : binds ? bind(s, (struct sockaddr *)&a, len) : connect(s, (struct sockaddr *)&a, len);
    if (r == 0 && binds && (r = getsockname(s, (struct sockaddr *)&a, &len)) == 0)
        *ret_port = ntohs(a.sin_port);
    close(s);
    return r;
}

static void write_file(const rig_t *rig, const char *name, const char *text, mode_t mode)
{
    char path[TEST_PATH_MAX];
    test_write_file(rig_path(rig, name, path), text, strlen(text));
    assert_int_equal(chmod(path, mode), 0);
}

static void make_keys(rig_t *rig)
{
    static const char *const names[] = {"host_key", "client_key"};
    for (size_t i = 0; i < 2; i++) {
        char path[TEST_PATH_MAX];
        assert_int_equal(RUN(rig, names[i], "/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                             rig_path(rig, names[i], path)),
                         0);
    }
}

static void write_server_files(const rig_t *rig, const char *forced)
{
    char text[TEXT_BYTES], path[TEST_PATH_MAX];
    char *key = test_read_file(rig_path(rig, "client_key.pub", path));
    snprintf(text, sizeof text, "restrict,command=\"%s\" %s", forced, key);
    free(key);
    write_file(rig, "authorized_keys", text, 0600);
    snprintf(
        text, sizeof text,
        "ListenAddress 127.0.0.1\nHostKey %s/host_key\nAuthorizedKeysFile %s/authorized_keys\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin forced-commands-only\nMaxStartups 100\n",
        rig->dir, rig->dir);
    write_file(rig, "sshd_config", text, 0600);
}

static void write_client_file(const rig_t *rig, int port)
{
    char text[TEXT_BYTES];
    const struct passwd *me = getpwuid(getuid());
    assert_non_null(me);
    snprintf(text, sizeof text,
             "Host *\n    HostName 127.0.0.1\n    Port %d\n    User %s\n    IdentityFile %s/client_key\n"
             "    IdentitiesOnly yes\n    IdentityAgent none\n    UserKnownHostsFile %s/known_hosts\n"
             "    StrictHostKeyChecking accept-new\n    BatchMode yes\n    ConnectTimeout 10\n",
             port, me->pw_name, rig->dir, rig->dir);
    write_file(rig, "ssh_config", text, 0600);
}

char *sshd_client_file(const rig_t *rig, char *path)
{
    return rig_path(rig, "ssh_config", path);
}

static void remove_folder(void *arg)
{
    (void)arg;
    rmdir(EMPTY_FOLDER);
}

process_t *sshd_start(rig_t *rig, const char *forced)
{
    char config[TEST_PATH_MAX], flag[32], name[32];
    int port = 0;

    make_keys(rig);
    write_server_files(rig, forced);
    if (getuid() == 0 && mkdir(EMPTY_FOLDER, 0755) == 0)
        rig_defer(rig, remove_folder, NULL);
    /* Somebody else may take the port before it does. */
    for (int i = 0; i < TRIES; i++) {
        assert_int_equal(try_port(0, true, &port), 0);
        write_client_file(rig, port);
        snprintf(name, sizeof name, "sshd-%d", i);
        snprintf(flag, sizeof flag, "-p%d", port);
        process_t *p = SPAWN(rig, name, SSHD, "-D", "-e", "-f", rig_path(rig, "sshd_config", config), flag);
        WAIT(!process_running(p) || process_log_count(p, "Server listening on 127.0.0.1") > 0);
        if (process_running(p) && try_port(port, false, NULL) == 0)
            return p;
    }
    fail_msg("no sshd was to be had");
    return NULL;
}

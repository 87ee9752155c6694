#define _GNU_SOURCE /* unshare(), setns(), struct ifreq */

#include "tests/support/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The addresses are nobody's: they lie in namespaces that lead nowhere. */
#define NETWORK "10.77"
#define BRIDGE  "br0"
#define NAMES   "/etc/hosts"
enum { HUB = 1, HOSTS_MAX = 65000, PREFIX = 16, BATCH_MAX = 1024, NAMES_BYTES = 4000 };

struct host {
    unsigned number;
    int fd; /* its namespace; -1: gone */
    char address[16];
    char port[IFNAMSIZ]; /* its link, as the bridge has it */
};

typedef struct {
    char name[PROCESS_NAME_MAX];
    char addresses[HOSTS_ADDRESSES_MAX][16];
    unsigned count;
} name_t;

static struct {
    int fd;    /* where the test is, and the bridge */
    int names; /* the file that all see as NAMES */
    unsigned hosts;
    name_t name[HOSTS_NAMES_MAX];
    unsigned names_count;
} hub = {.fd = -1, .names = -1, .hosts = HUB};

static int open_own_network(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Its commands to `ip`, in the namespace of this thread: 0 when all of them worked. */
static int ip(const char *batch)
{
    char *const arguments[] = {(char[]){"ip"}, (char[]){"-batch"}, (char[]){"-"}, NULL};
    posix_spawn_file_actions_t files;
    int ends[2], status = -1;
    pid_t pid;

    if (pipe(ends) != 0)
        return -errno;
    /* A pipe takes as much at once. */
    ssize_t written = write(ends[1], batch, strlen(batch));
    close(ends[1]);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO);
    int error = posix_spawnp(&pid, arguments[0], &files, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[0]);
    if (error != 0)
        return -error;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return written == (ssize_t)strlen(batch) && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* --- the namespaces of the test program --- */

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

/* Root may; others may be root among themselves, where the machine lets them. */
static bool leave_outside(void)
{
    char uid[64], gid[64];

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
        return true;
    snprintf(uid, sizeof uid, "0 %u 1", (unsigned)getuid());
    snprintf(gid, sizeof gid, "0 %u 1", (unsigned)getgid());
    return errno == EPERM && unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0 &&
           write_text("/proc/self/uid_map", uid) && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/gid_map", gid);
}

/* A file without a name over NAMES, for this program and those that it starts. */
static bool bring_own_names(void)
{
    char path[] = "/tmp/mandrill-hosts-XXXXXX";

    hub.names = mkostemp(path, O_CLOEXEC);
    bool brought = hub.names >= 0 && fchmod(hub.names, 0644) == 0 &&
                   mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(path, NAMES, NULL, MS_BIND, NULL) == 0;
    if (hub.names >= 0)
        unlink(path);
    return brought;
}

static bool refused(const char *what)
{
    printf("SKIPPED: %s (%s); that needs root, or user namespaces, and iproute2\n", what, strerror(errno));
    return false;
}

bool hosts_allowed(void)
{
    const char *path = getenv("PATH");
    char longer[4096];

    snprintf(longer, sizeof longer, "%s:/usr/sbin:/sbin", path != NULL ? path : "/usr/bin:/bin");
    setenv("PATH", longer, 1);
    if (!leave_outside())
        return refused("no network namespace can be made here");
    if (!bring_own_names())
        return refused("no other " NAMES " can be mounted here");
    hub.fd = open_own_network();
    errno = 0;
    int error = ip("link set lo up\n"
                   "link add " BRIDGE " type bridge\n"
                   "address add " NETWORK ".0.1/16 dev " BRIDGE "\n"
                   "link set " BRIDGE " up\n");
    errno = -error;
    return error == 0 || refused("no bridge can be made here");
}

/* --- names --- */

/* Always as long, in one write: no lookup finds half of it. */
static void write_names(void)
{
    char text[NAMES_BYTES + 1];
    int len = snprintf(text, sizeof text, "127.0.0.1 localhost\n");

    for (unsigned i = 0; i < hub.names_count; i++)
        for (unsigned k = 0; k < hub.name[i].count; k++)
            len += snprintf(text + len, sizeof text - (size_t)len, "%s %s\n", hub.name[i].addresses[k],
                            hub.name[i].name);
    assert_true(len < NAMES_BYTES);
    memset(text + len, '\n', (size_t)(NAMES_BYTES - len));
    assert_int_equal(pwrite(hub.names, text, NAMES_BYTES, 0), NAMES_BYTES);
}

void hosts_name(const char *name, host_t *const *hosts, unsigned n)
{
    unsigned i = 0;

    while (i < hub.names_count && strcmp(hub.name[i].name, name) != 0)
        i++;
    if (i == hub.names_count) {
        assert_true(i < HOSTS_NAMES_MAX);
        hub.names_count++;
    }
    assert_true(n <= HOSTS_ADDRESSES_MAX);
    snprintf(hub.name[i].name, sizeof hub.name[i].name, "%s", name);
    hub.name[i].count = n;
    for (unsigned k = 0; k < n; k++)
        memcpy(hub.name[i].addresses[k], hosts[k]->address, sizeof hosts[k]->address);
    write_names();
}

/* --- hosts --- */

static void free_host(void *arg)
{
    host_remove(arg);
}

host_t *host_new(rig_t *rig)
{
    host_t *h = rig_alloc(rig, sizeof *h);
    char batch[BATCH_MAX];

    *h = (host_t){.number = ++hub.hosts, .fd = -1};
    assert_true(h->number < HOSTS_MAX);
    snprintf(h->address, sizeof h->address, NETWORK ".%u.%u", h->number / 256 % 256, h->number % 256);
    snprintf(h->port, sizeof h->port, "port%u", h->number);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    h->fd = open_own_network();
    snprintf(batch, sizeof batch,
             "link set lo up\n"
             "link add eth0 type veth peer name %s netns /proc/%d/fd/%d\n"
             "address add %s/%d dev eth0\n"
             "link set eth0 up\n",
             h->port, (int)getpid(), hub.fd, h->address, PREFIX);
    int error = ip(batch);
    host_leave();
    assert_true(h->fd >= 0);
    assert_int_equal(error, 0);
    rig_defer(rig, free_host, h);
    snprintf(batch, sizeof batch, "link set %s master " BRIDGE " up\n", h->port);
    assert_int_equal(ip(batch), 0);
    return h;
}

const char *host_address(const host_t *h)
{
    return h->address;
}

void host_enter(const host_t *h)
{
    assert_int_equal(setns(h->fd, CLONE_NEWNET), 0);
}

void host_leave(void)
{
    assert_int_equal(setns(hub.fd, CLONE_NEWNET), 0);
}

/* At once, and not when a program has been started for it: tests measure from here. */
static void set_link(const host_t *h, bool up)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, h->port, sizeof h->port);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    if (up)
        request.ifr_flags |= IFF_UP;
    else
        request.ifr_flags &= (short)~IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

void host_unplug(host_t *h)
{
    set_link(h, false);
}

void host_plug(host_t *h)
{
    set_link(h, true);
}

void host_remove(host_t *h)
{
    char batch[BATCH_MAX];

    if (h->fd < 0)
        return;
    /* A test that failed may have stopped on a host. */
    host_leave();
    snprintf(batch, sizeof batch, "link delete %s\n", h->port);
    int error = ip(batch);
    close(h->fd);
    h->fd = -1;
    assert_int_equal(error, 0);
}

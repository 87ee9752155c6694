/* A host as restart-exec sees one: a file that holds how often it was restarted and when, and a log of all
 * restarts, which is what the judge reads. Nothing of the project in it.
 *
 *   testhost DIR look HOST                     prints "boot-N SECONDS-UP"; exit 1 while it is down
 *   testhost DIR restart HOST ID [OBSERVED]    exit 0 when it was restarted, 3 when it is not in the boot
 * OBSERVED
 *                                              (-: whichever)
 *
 * A restart takes effect after up to TESTHOST_DELAY_MS (20), and the host is down for up to TESTHOST_DOWN_MS
 * (50) then. It goes on when who asked for it has died: the file is locked, and one line of the log is one
 * write. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_OTHER_BOOT = 3, PATH_BYTES = 512, LINE_BYTES = 512, DELAY_MS = 20, DOWN_MS = 50 };

typedef struct {
    unsigned boots;
    int64_t up_ms;    /* since when */
    int64_t ready_ms; /* it answers again */
} host_t;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long up_to(const char *name, long fallback)
{
    const char *text = getenv(name);
    const long most = text != NULL ? strtol(text, NULL, 10) : fallback;
    unsigned seed = (unsigned)getpid() * 2654435761U ^ (unsigned)now_ms();
    return most > 0 ? (long)(seed >> 8) % (most + 1) : 0;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_USAGE);
}

/* Opened and locked; a host that was never heard of is up for a day. */
static int open_host(const char *dir, const char *name, int lock, host_t *ret)
{
    char path[PATH_BYTES], text[LINE_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, lock) != 0)
        die(path);
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%u %" SCNd64 " %" SCNd64, &ret->boots, &ret->up_ms, &ret->ready_ms) != 3)
        *ret = (host_t){.up_ms = now_ms() - 86400000};
    return fd;
}

static int look(const char *dir, const char *name)
{
    host_t h;
    close(open_host(dir, name, LOCK_SH, &h));
    if (now_ms() < h.ready_ms) {
        puts("no route to host");
        return EXIT_FAILURE;
    }
    printf("boot-%u %.3f\n", h.boots, (double)(now_ms() - h.up_ms) / 1000);
    return EXIT_SUCCESS;
}

static void write_log(const char *dir, const char *name, const char *id)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    snprintf(path, sizeof path, "%s/.log", dir);
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    const int len = snprintf(line, sizeof line, "%s %s\n", name, id);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        die(path);
    close(fd);
}

static int restart(const char *dir, const char *name, const char *id, const char *observed)
{
    char boot[LINE_BYTES], text[LINE_BYTES];
    host_t h;
    pause_ms(up_to("TESTHOST_DELAY_MS", DELAY_MS));
    const int fd = open_host(dir, name, LOCK_EX, &h);
    snprintf(boot, sizeof boot, "boot-%u", h.boots);
    if (strcmp(observed, "-") != 0 && strcmp(observed, boot) != 0) {
        printf("this is %s and not %s\n", boot, observed);
        return EXIT_OTHER_BOOT;
    }
    h.boots++;
    h.up_ms = now_ms();
    h.ready_ms = h.up_ms + up_to("TESTHOST_DOWN_MS", DOWN_MS);
    const int len = snprintf(text, sizeof text, "%u %" PRId64 " %" PRId64 "\n", h.boots, h.up_ms, h.ready_ms);
    write_log(dir, name, id);
    if (pwrite(fd, text, (size_t)len, 0) != len)
        die(name);
    close(fd);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[2], "look") == 0)
        return look(argv[1], argv[3]);
    if ((argc == 5 || argc == 6) && strcmp(argv[2], "restart") == 0)
        return restart(argv[1], argv[3], argv[4], argc == 6 ? argv[5] : "-");
    fprintf(stderr, "usage: testhost DIR look HOST | restart HOST ID [OBSERVED]\n");
    return EXIT_USAGE;
}

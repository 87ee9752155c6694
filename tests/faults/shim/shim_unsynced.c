/* The bytes that an un-synced write has replaced, so that it can be lost after all: a kill -9 leaves the
 * kernel's pages as they are and says nothing about fsync. */
#define _DEFAULT_SOURCE /* syscall(): past this shim's own functions */
#include "tests/faults/shim/shim.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A checkpoint of an outbox is some thousand pages. */
enum { WRITES_MAX = 65536, SECTOR = 512 };

typedef struct {
    int fd;
    ino_t file;
    off_t at, old_size; /* of the file */
    size_t n;
    char *old; /* n bytes; zeros where there was no file yet */
} write_t;

static write_t *writes;
static size_t writes_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void give_up(const char *why)
{
    fprintf(stderr, "shim: %s\n", why);
    abort();
}

static void remember(int fd, off_t at, size_t n)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        give_up("a file has no size");
    if (writes == NULL)
        writes = calloc(WRITES_MAX, sizeof *writes);
    if (writes == NULL || writes_count == WRITES_MAX)
        give_up("too much was never synced");
    char *old = calloc(1, n > 0 ? n : 1);
    if (old == NULL || (at < st.st_size && pread(fd, old, n, at) < 0))
        give_up("what is overwritten cannot be kept");
    writes[writes_count++] =
        (write_t){.fd = fd, .file = st.st_ino, .at = at, .old_size = st.st_size, .n = n, .old = old};
}

void unsynced_write(int fd, off_t at, size_t n)
{
    pthread_mutex_lock(&mutex);
    remember(fd, at, n);
    pthread_mutex_unlock(&mutex);
}

void unsynced_truncate(int fd, off_t size)
{
    struct stat st;
    pthread_mutex_lock(&mutex);
    if (fstat(fd, &st) == 0 && size < st.st_size)
        remember(fd, size, (size_t)(st.st_size - size));
    pthread_mutex_unlock(&mutex);
}

static ino_t file_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void forget(ino_t file)
{
    size_t kept = 0;
    for (size_t i = 0; i < writes_count; i++) {
        if (writes[i].file == file)
            free(writes[i].old);
        else
            writes[kept++] = writes[i];
    }
    writes_count = kept;
}

void unsynced_forget(int fd)
{
    pthread_mutex_lock(&mutex);
    forget(file_of(fd));
    pthread_mutex_unlock(&mutex);
}

static void put_back(const write_t *w, size_t from, size_t n)
{
    if (syscall(SYS_pwrite64, w->fd, w->old + from, n, w->at + (off_t)from) < 0)
        give_up("what was overwritten cannot be put back");
}

static void set_size(int fd, off_t size)
{
    if (syscall(SYS_ftruncate, fd, size) != 0)
        give_up("a size cannot be put back");
}

void unsynced_drop(int fd)
{
    ino_t file = file_of(fd);
    off_t size = -1;
    pthread_mutex_lock(&mutex);
    for (size_t i = writes_count; i-- > 0;) {
        if (writes[i].file != file)
            continue;
        put_back(&writes[i], 0, writes[i].n);
        size = writes[i].old_size;
    }
    if (size >= 0)
        set_size(fd, size);
    forget(file);
    pthread_mutex_unlock(&mutex);
}

/* splitmix64, as anywhere. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Of a torn one the first sectors are the new ones; the noise is one sector. */
static void damage(const write_t *w, uint64_t *seed)
{
    char noise[SECTOR];
    size_t sectors = w->n / SECTOR, some = sectors > 0 ? next_random(seed) % sectors : 0;

    switch (next_random(seed) % 4) {
    case 0:
        put_back(w, 0, w->n);
        break;
    case 1:
        put_back(w, some * SECTOR, w->n - some * SECTOR);
        break;
    case 2:
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (char)next_random(seed);
        if (syscall(SYS_pwrite64, w->fd, noise, w->n < SECTOR ? w->n : SECTOR,
                    w->at + (off_t)(some * SECTOR)) < 0)
            give_up("noise cannot be written");
        break;
    default:
        break;
    }
}

void unsynced_cut(uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = writes_count; i-- > 0;)
        damage(&writes[i], &seed);
    /* Now and then the length is the old one too. */
    if (writes_count > 0 && next_random(&seed) % 2 == 0)
        set_size(writes[0].fd, writes[0].old_size);
    pthread_mutex_unlock(&mutex);
}

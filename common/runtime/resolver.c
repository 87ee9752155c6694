#include "common/runtime/resolver.h"
#include "common/core/message.h"
#include "common/runtime/log.h"
#include "common/runtime/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char name[ADDRESS_BYTES];
    bool fixed; /* a path or a number: it stands for itself */
    char addresses[RESOLVED_MAX][ADDRESS_BYTES];
    int count;
} endpoint_t;

struct resolver {
    endpoint_t *endpoints; /* `addresses` and `count` under the mutex */
    size_t endpoints_count;
    bool threaded;
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool changed;  /* under the mutex, as are the next two */
    bool closing;  /* the owner is gone: the thread frees all */
    bool finished; /* the thread is gone: the owner frees all */
};

static bool is_fixed(const char *endpoint)
{
    static const char tcp[] = "tcp://";
    if (strncmp(endpoint, tcp, sizeof tcp - 1) != 0)
        return true;
    const char *host = endpoint + sizeof tcp - 1;
    const char *port = strrchr(host, ':');
    size_t len = port != NULL ? (size_t)(port - host) : strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    char text[INET6_ADDRSTRLEN];
    unsigned char number[sizeof(struct in6_addr)];
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET, text, number) == 1 || inet_pton(AF_INET6, text, number) == 1;
}

static void resolver_free(resolver_t *r)
{
    if (r->fd >= 0)
        close(r->fd);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->mutex);
    free(r->endpoints);
    free(r);
}

/* Looks one name up without the lock; true when its addresses are others than before. Only this thread writes
 * them, so it may compare without the lock too. */
static bool look_up(resolver_t *r, endpoint_t *e, char (*found)[ADDRESS_BYTES])
{
    char why[WHY_BYTES];
    int n = endpoint_resolve(e->name, found, RESOLVED_MAX, why);
    if (n <= 0) {
        log_limited(LOG_WARN, "cannot look up %s: %s", e->name, n < 0 ? why : "no address");
        return false;
    }
    if (n == e->count && memcmp(found, e->addresses, (size_t)n * sizeof *found) == 0)
        return false;
    pthread_mutex_lock(&r->mutex);
    memcpy(e->addresses, found, (size_t)n * sizeof *found);
    e->count = n;
    pthread_mutex_unlock(&r->mutex);
    return true;
}

/* Waits for the next round; false when the owner is gone. */
static bool wait_round(resolver_t *r, bool changed)
{
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += RESOLVE_MS / 1000;
    pthread_mutex_lock(&r->mutex);
    if (changed) {
        r->changed = true;
        uint64_t one = 1;
        /* Fails only when the counter is full: then it is readable already. */
        if (write(r->fd, &one, sizeof one) < 0)
            log_limited(LOG_DEBUG, "resolver: %s", strerror(errno));
    }
    while (!r->closing && pthread_cond_timedwait(&r->wake, &r->mutex, &due) == 0)
        ;
    bool go_on = !r->closing;
    pthread_mutex_unlock(&r->mutex);
    return go_on;
}

static void *resolver_run(void *arg)
{
    resolver_t *r = arg;
    char(*found)[ADDRESS_BYTES] = calloc(RESOLVED_MAX, sizeof *found);
    bool go_on = found != NULL;
    if (!go_on)
        log_error("resolver: out of memory, names are not followed");
    while (go_on) {
        bool changed = false;
        for (size_t i = 0; i < r->endpoints_count; i++) {
            memset(found, 0, RESOLVED_MAX * sizeof *found);
            if (!r->endpoints[i].fixed && look_up(r, &r->endpoints[i], found))
                changed = true;
        }
        go_on = wait_round(r, changed);
    }
    free(found);
    pthread_mutex_lock(&r->mutex);
    r->finished = true;
    bool mine = r->closing;
    pthread_mutex_unlock(&r->mutex);
    if (mine)
        resolver_free(r);
    return NULL;
}

static int start_thread(resolver_t *r)
{
    r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->fd < 0)
        return -errno;
    pthread_attr_t detached;
    int error = pthread_attr_init(&detached);
    if (error != 0)
        return -error;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    error = pthread_create(&thread, &detached, resolver_run, r);
    pthread_attr_destroy(&detached);
    r->threaded = error == 0;
    return -error;
}

static int resolver_init(resolver_t *r, const char *const *endpoints, size_t n, char *why)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->fd = -1;
    r->changed = true;
    r->endpoints_count = n;
    r->endpoints = calloc(n > 0 ? n : 1, sizeof *r->endpoints);
    if (r->endpoints == NULL)
        return -ENOMEM;
    bool all_fixed = true;
    for (size_t i = 0; i < n; i++) {
        endpoint_t *e = &r->endpoints[i];
        int error = endpoint_check(endpoints[i], why);
        if (error == 0 && strlen(endpoints[i]) >= sizeof e->name) {
            snprintf(why, WHY_BYTES, "an endpoint has at most %d bytes", ADDRESS_BYTES - 1);
            error = -EINVAL;
        }
        if (error != 0)
            return error;
        memcpy(e->name, endpoints[i], strlen(endpoints[i]) + 1);
        e->fixed = is_fixed(e->name);
        if (e->fixed) {
            memcpy(e->addresses[0], e->name, sizeof e->name);
            e->count = 1;
        } else {
            all_fixed = false;
        }
    }
    return all_fixed ? 0 : start_thread(r);
}

int resolver_open(resolver_t **ret, const char *const *endpoints, size_t n, char *why)
{
    resolver_t *r = calloc(1, sizeof *r);
    if (r == NULL)
        return -ENOMEM;
    why[0] = '\0';
    int error = resolver_init(r, endpoints, n, why);
    if (error != 0) {
        if (why[0] == '\0')
            snprintf(why, WHY_BYTES, "%s", strerror(-error));
        resolver_free(r);
        return error;
    }
    *ret = r;
    return 0;
}

void resolver_close(resolver_t **ref)
{
    resolver_t *r = *ref;
    if (r == NULL)
        return;
    *ref = NULL;
    bool mine = true;
    if (r->threaded) {
        pthread_mutex_lock(&r->mutex);
        r->closing = true;
        mine = r->finished;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->mutex);
    }
    if (mine)
        resolver_free(r);
}

int resolver_fd(const resolver_t *r)
{
    return r->fd;
}

static bool listed(char (*list)[ADDRESS_BYTES], int n, const char *address)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i], address) == 0)
            return true;
    return false;
}

int resolver_take(resolver_t *r, char (*ret)[ADDRESS_BYTES])
{
    uint64_t count;
    pthread_mutex_lock(&r->mutex);
    bool changed = r->changed;
    r->changed = false;
    if (r->fd >= 0 && read(r->fd, &count, sizeof count) < 0)
        count = 0;
    int n = 0;
    for (size_t i = 0; changed && i < r->endpoints_count; i++) {
        const endpoint_t *e = &r->endpoints[i];
        for (int k = 0; k < e->count && n < RESOLVED_MAX; k++)
            if (!listed(ret, n, e->addresses[k]))
                memcpy(ret[n++], e->addresses[k], ADDRESS_BYTES);
    }
    pthread_mutex_unlock(&r->mutex);
    return changed ? n : -EAGAIN;
}

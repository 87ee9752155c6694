/* Names of the domain .test: what the test says that they are. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "tests/faults/shim/shim.h"

#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

enum { HANG_MS = 30000, LOOK_MS = 10 };

typedef int getaddrinfo_t(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static bool is_ours(const char *name)
{
    static const char domain[] = ".test";
    size_t len = name != NULL ? strlen(name) : 0;
    return len >= sizeof domain && strcmp(name + len - (sizeof domain - 1), domain) == 0;
}

/* As a resolver whose servers do not answer, unless the test changes its mind. */
static void hang(const shim_control_t *c)
{
    for (int ms = 0; ms < HANG_MS && atomic_load(&c->lookup) == SHIM_HANG; ms += LOOK_MS)
        poll(NULL, 0, LOOK_MS);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    shim_control_t *c = shim_control();
    getaddrinfo_t *real;
    struct addrinfo **end = ret;

    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    if (c == NULL || !is_ours(name))
        return real(name, service, hints, ret);
    atomic_fetch_add(&c->lookups, 1);
    if (atomic_load(&c->lookup) == SHIM_HANG) {
        hang(c);
        return EAI_AGAIN;
    }
    if (atomic_load(&c->lookup) != 0)
        return atomic_load(&c->lookup);
    uint32_t n = atomic_load(&c->addresses_count);
    if (n == 0)
        return EAI_NONAME;
    /* glibc frees a list one by one, so several may be made into one. */
    for (uint32_t i = 0; i < n; i++) {
        int error = real(c->addresses[i], service, hints, end);
        if (error != 0)
            return error;
        while (*end != NULL)
            end = &(*end)->ai_next;
    }
    return 0;
}

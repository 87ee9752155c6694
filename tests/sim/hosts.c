#include "tests/sim/hosts.h"
#include "tests/sim/check.h"
#include "tests/sim/memory.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { UP_S_MAX = 200 /* before the run begins, of every other host; the others: days */ };

typedef struct {
    char name[HOST_BYTES_MAX + 1];
    uint32_t boots;
    int64_t up_since_us; /* may be to come: it is down until then */
    int64_t hidden_until_us;
    bool compares;
} host_t;

typedef struct {
    uint32_t host;
    message_id_t id;
    char observed[OBSERVATION_ID_MAX + 1];
    restart_t is;
    bool lost;
} request_t;

static host_t *hosts;
static uint32_t count, cap;
static request_t *requests;
static uint32_t requests_count, requests_cap;

void hosts_open(void)
{
    count = requests_count = 0;
}

uint32_t host_of(const char *name, size_t len)
{
    enum { DAYS_MAX = 100, DAY_S = 86400 };
    for (uint32_t i = 0; i < count; i++)
        if (strncmp(hosts[i].name, name, len) == 0 && hosts[i].name[len] == '\0')
            return i;
    if (count == cap) {
        cap = cap > 0 ? 2 * cap : 64;
        hosts = keep_grow(hosts, cap * sizeof *hosts);
    }
    host_t *h = &hosts[count];
    const int64_t up_s = chance_between(0, chance(500) ? UP_S_MAX : (int64_t)DAYS_MAX * DAY_S);
    *h = (host_t){.boots = 1,
                  .up_since_us = -up_s * 1000000,
                  .compares = world.plan.hosts.observes && chance(world.plan.hosts.compares)};
    memcpy(h->name, name, len);
    return count++;
}

static void boot_id(const host_t *h, char *text, size_t size)
{
    snprintf(text, size, "boot-%u-%" PRIu32, (unsigned)(h - hosts), h->boots);
}

bool host_look(uint32_t host, observation_t *ret)
{
    const host_t *h = &hosts[host];
    if (h->up_since_us > world.now_us || h->hidden_until_us > world.now_us)
        return false;
    *ret = (observation_t){.up_ms = -1};
    if (world.plan.hosts.knows_uptime)
        ret->up_ms = (world.now_us - h->up_since_us) / 1000;
    boot_id(h, ret->id, sizeof ret->id);
    return true;
}

void host_hide(uint32_t host, int64_t us)
{
    hosts[host].hidden_until_us = world.now_us + us;
}

int64_t host_up_since_us(uint32_t host)
{
    return hosts[host].up_since_us;
}

bool host_compares(uint32_t host)
{
    return hosts[host].compares;
}

static void go_down(host_t *h)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    int64_t most_ms = plan->down_ms;
    if (world.faults && chance(plan->long_down))
        most_ms += 3 * plan->return_ms;
    h->boots++;
    h->up_since_us = world.now_us + chance_between(1, most_ms * 1000);
    trace("%s restarts (boot %u), until %.6f s", h->name, h->boots, (double)h->up_since_us / 1e6);
}

void host_crash(uint32_t host)
{
    if (hosts[host].up_since_us > world.now_us)
        return;
    trace("%s crashes", hosts[host].name);
    go_down(&hosts[host]);
}

/* --- restarts that are asked for --- */

/* It knows messages that it was restarted for, and takes one that comes again for what it is. */
static bool is_known(const request_t *r)
{
    for (uint32_t i = 0; i < requests_count; i++)
        if (requests[i].is == RESTART_DONE && requests[i].host == r->host &&
            requests[i].id.stream == r->id.stream && requests[i].id.seq == r->id.seq)
            return true;
    return false;
}

static void arrive(uint64_t number, uint64_t unused)
{
    request_t *r = &requests[number];
    host_t *h = &hosts[r->host];
    char id[OBSERVATION_ID_MAX + 1];
    (void)unused;
    if (r->lost)
        return;
    if (h->up_since_us > world.now_us) {
        r->is = RESTART_NOBODY;
        return;
    }
    boot_id(h, id, sizeof id);
    if (h->compares && r->observed[0] != '\0' && strcmp(r->observed, id) != 0) {
        trace("%s is %s, and not %s: it does not restart", h->name, id, r->observed);
        r->is = RESTART_REFUSED;
        return;
    }
    bool again = world.plan.hosts.repeats && is_known(r);
    r->is = RESTART_DONE;
    if (again) {
        trace("%s was restarted for this already", h->name);
        return;
    }
    const int64_t up_since_us = h->up_since_us;
    go_down(h);
    check_restarted(r->id, h->compares, up_since_us, h->up_since_us);
}

uint32_t host_restart(uint32_t host, message_id_t id, const char *observed, int64_t at_us)
{
    if (requests_count == requests_cap) {
        requests_cap = requests_cap > 0 ? 2 * requests_cap : 64;
        requests = keep_grow(requests, requests_cap * sizeof *requests);
    }
    request_t *r = &requests[requests_count];
    *r = (request_t){.host = host, .id = id};
    snprintf(r->observed, sizeof r->observed, "%s", observed);
    world_at(at_us, arrive, requests_count, 0);
    return requests_count++;
}

restart_t host_restarted(uint32_t restart)
{
    return requests[restart].is;
}

void host_restart_lost(uint32_t restart)
{
    requests[restart].lost = true;
}

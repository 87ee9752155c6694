#include "tests/support/dockerd_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRINT_BYTES = 8192 };

void dockerd_store_init(dockerd_store_t *s)
{
    s->containers = calloc(DOCKERD_CONTAINERS_MAX, sizeof *s->containers);
    if (s->containers == NULL)
        abort();
    s->count = 0;
    s->any = true;
    memset(s->buckets, 0xff, sizeof s->buckets);
}

void dockerd_store_done(dockerd_store_t *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        free(s->containers[i].name);
        free(s->containers[i].label);
    }
    free(s->containers);
}

static uint32_t bucket_of(const char *name, size_t len)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    return hash % DOCKERD_BUCKETS;
}

uint32_t dockerd_store_add(dockerd_store_t *s, const char *name, size_t len, const char *label)
{
    const uint32_t bucket = bucket_of(name, len), i = s->count++;
    if (i == DOCKERD_CONTAINERS_MAX)
        abort();
    dockerd_container_t *c = &s->containers[i];
    *c = (dockerd_container_t){.running = true, .next = s->buckets[bucket]};
    c->name = strndup(name, len);
    c->label = label != NULL ? strdup(label) : NULL;
    snprintf(c->started_at, sizeof c->started_at, "2020-01-01T00:00:00.%09uZ", i);
    s->buckets[bucket] = i;
    return i;
}

uint32_t dockerd_store_by_name(const dockerd_store_t *s, const char *name, size_t len)
{
    uint32_t i = s->buckets[bucket_of(name, len)];
    while (i != DOCKERD_NOBODY &&
           (strlen(s->containers[i].name) != len || memcmp(s->containers[i].name, name, len) != 0))
        i = s->containers[i].next;
    return i;
}

/* Its number, as an id with as many digits as ids have. */
static void format_id(uint32_t i, char id[static 65])
{
    snprintf(id, 65, "c0ffee%058x", i);
}

/* By its name, else by the beginning of its id, as the engine has it. */
uint32_t dockerd_store_find(dockerd_store_t *s, const char *name, size_t len)
{
    char id[65];
    const uint32_t i = dockerd_store_by_name(s, name, len);
    if (i != DOCKERD_NOBODY)
        return i;
    if (len == 64 && strncmp(name, "c0ffee", 6) == 0) {
        const uint32_t n = (uint32_t)strtoul(name + 6, NULL, 16);
        return n < s->count ? n : DOCKERD_NOBODY;
    }
    for (uint32_t n = 0; !s->any && n < s->count; n++) {
        format_id(n, id);
        if (strncmp(id, name, len) == 0)
            return n;
    }
    return s->any && memchr(name, '.', len) == NULL ? dockerd_store_add(s, name, len, NULL) : DOCKERD_NOBODY;
}

void dockerd_store_restart(dockerd_container_t *c, dockerd_fault_t fault)
{
    struct timespec now;
    struct tm parts;
    char text[DOCKERD_TIME_BYTES / 2];
    if (fault == DOCKERD_UNTOUCHED)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(c->started_at, sizeof c->started_at, "%s.%09ldZ", text, now.tv_nsec);
    c->running = fault != DOCKERD_ENDS;
    c->restarts++;
}

void dockerd_print(buffer_t *out, const char *format, ...)
{
    char text[PRINT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_append(out, text, (size_t)len);
}

void dockerd_print_container(const dockerd_store_t *s, uint32_t i, buffer_t *out)
{
    const dockerd_container_t *c = &s->containers[i];
    const int key = c->label != NULL ? (int)strcspn(c->label, "=") : 0;
    char id[65];
    format_id(i, id);
    dockerd_print(
        out,
        "{\"Id\":\"%s\",\"Name\":\"/%s\",\"State\":{\"Status\":\"%s\",\"Running\":%s,\"Restarting\":false,"
        "\"ExitCode\":%d,\"StartedAt\":\"%s\"},\"Config\":{\"Labels\":{",
        id, c->name, c->running ? "running" : "exited", c->running ? "true" : "false", c->running ? 0 : 3,
        c->started_at);
    if (c->label != NULL)
        dockerd_print(out, "\"%.*s\":\"%s\"", key, c->label, c->label + key + 1);
    dockerd_print(out, "}}}\n");
}

/* The list of those with a label: {"label":["KEY=VALUE"]}, percent-encoded. */
void dockerd_print_list(const dockerd_store_t *s, const char *query, buffer_t *out)
{
    char wanted[512] = "", id[65];
    const char *first = strstr(query, "%5B%22"), *last = strstr(query, "%22%5D");
    bool any = false;
    for (const char *at = first != NULL ? first + 6 : last; at != NULL && at < last; at++) {
        unsigned c = (unsigned char)*at;
        if (*at == '%' && sscanf(at + 1, "%2x", &c) == 1)
            at += 2;
        wanted[strlen(wanted)] = (char)c;
    }
    dockerd_print(out, "[");
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->containers[i].label == NULL || strcmp(s->containers[i].label, wanted) != 0)
            continue;
        format_id(i, id);
        dockerd_print(out, "%s{\"Id\":\"%s\",\"Names\":[\"/%s\"]}", any ? "," : "", id,
                      s->containers[i].name);
        any = true;
    }
    dockerd_print(out, "]\n");
}

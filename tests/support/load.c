#include "tests/support/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void load_init(load_t *l, rig_t *rig, const char *name, unsigned n, unsigned batch)
{
    char file[PROCESS_NAME_MAX + 16], clients[PROCESS_NAME_MAX];

    *l = (load_t){.rig = rig, .batch = batch, .collected = true};
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(file, sizeof file, "%.32s.journal", name);
    rig_path(rig, file, l->journal);
    test_write_file(l->journal, "", 0);
    snprintf(file, sizeof file, "%.32s.requests", name);
    rig_path(rig, file, l->requests);
    test_write_file(l->requests, "", 0);
    snprintf(clients, sizeof clients, "clients-%u", n);
    const char *const arguments[] = {
        "publish", "--clients", rig_endpoint(rig, clients), "--timeout", "30s", "--from", "-", NULL};
    l->client = rig_program(rig, name, "mandrill", arguments);
}

static void append(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "a");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Whole lines only: what a kill cut off was not confirmed to anybody. */
static void collect(load_t *l)
{
    char *out = test_read_file(l->client->out);
    char *end = strrchr(out, '\n');

    if (end != NULL) {
        append(l->journal, out, (size_t)(end + 1 - out));
        for (const char *at = out; at <= end; at++)
            l->confirmed += *at == '\n';
    }
    free(out);
    unlink(l->client->out);
}

static void next_client(load_t *l)
{
    char hosts[TEST_PATH_MAX];
    size_t room = (size_t)l->batch * (PROCESS_NAME_MAX + 16), len = 0;
    char *text = malloc(room);

    assert_non_null(text);
    for (unsigned i = 0; i < l->batch; i++)
        len += (size_t)snprintf(text + len, room - len, "%s-%u\n", l->name, l->requested + i);
    l->requested += l->batch;
    append(l->requests, text, len);
    snprintf(hosts, sizeof hosts, "%.200s.now", l->requests);
    test_write_file(hosts, text, len);
    free(text);
    memcpy(l->client->in, hosts, sizeof hosts);
    process_start(l->client);
    l->collected = false;
}

static void end_client(load_t *l)
{
    collect(l);
    l->failed += process_code(l->client) != 0;
    l->collected = true;
}

void load_tick(load_t *l)
{
    if (process_running(l->client))
        return;
    if (!l->collected)
        end_client(l);
    if (test_now_ms() < l->next_ms)
        return;
    l->next_ms = test_now_ms() + l->every_ms;
    next_client(l);
}

void load_kill(load_t *l)
{
    process_kill(l->client);
}

void load_finish(load_t *l)
{
    process_wait(l->client, WAIT_MS);
    if (!l->collected)
        end_client(l);
}

static void append_file(const char *path, const char *from)
{
    char *text = test_read_file(from);

    append(path, text, strlen(text));
    free(text);
}

void load_merge(const load_t *loads, unsigned n, const char *journal, const char *requests)
{
    for (unsigned i = 0; i < n; i++) {
        append_file(journal, loads[i].journal);
        append_file(requests, loads[i].requests);
    }
}

static checked_t check(rig_t *rig, const char *flag, const char *path, const char *journal,
                       const char *requests)
{
    static unsigned runs;
    checked_t v = {0};
    char name[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "checker-%u", runs++);
    const char *arguments[PROCESS_ARGUMENTS_MAX] = {flag, path, "--journal", journal};
    size_t count = 4;
    if (requests != NULL) {
        arguments[count++] = "--requested";
        arguments[count++] = requests;
    }
    for (size_t i = 0; i < rig->processes_count; i++)
        if (strstr(rig->processes[i]->program, "/mandrill-worker") != NULL) {
            assert_true(count + 2 < PROCESS_ARGUMENTS_MAX);
            arguments[count++] = "--work";
            arguments[count++] = rig->processes[i]->log;
        }
    process_t *p = rig_spawn(rig, name, "checker", arguments);
    v.code = process_wait(p, WAIT_MS);
    char *out = test_read_file(p->out);
    int read =
        sscanf(out, "confirmed %llu saved %llu lost %llu unexpected %llu duplicate %llu work %llu again %llu",
               &v.confirmed, &v.saved, &v.lost, &v.unexpected, &v.duplicate, &v.work, &v.again);
    char *why = test_read_file(p->log);
    fprintf(stderr, "%s%s", why, out);
    free(why);
    free(out);
    assert_int_equal(read, 7);
    return v;
}

checked_t check_saved(rig_t *rig, unsigned n, const char *journal, const char *requests)
{
    char file[PROCESS_NAME_MAX], path[TEST_PATH_MAX];

    snprintf(file, sizeof file, "saved-%u.db", n);
    return check(rig, "--saved", rig_path(rig, file, path), journal, requests);
}

checked_t check_rows(rig_t *rig, const char *rows, const char *journal, const char *requests)
{
    return check(rig, "--rows", rows, journal, requests);
}

checked_t check_published(rig_t *rig, unsigned n, const char *const *prefixes)
{
    static const char kind[] = "publish-";
    char journal[TEST_PATH_MAX], requests[TEST_PATH_MAX], file[2 * PROCESS_NAME_MAX], hosts[TEST_PATH_MAX];

    rig_path(rig, "journal", journal);
    rig_path(rig, "requests", requests);
    for (size_t i = 0; i < rig->processes_count; i++) {
        const process_t *p = rig->processes[i];

        if (strncmp(p->name, kind, strlen(kind)) != 0)
            continue;
        const char *prefix = p->name + strlen(kind);
        snprintf(file, sizeof file, "%s.hosts", prefix);
        append_file(requests, rig_path(rig, file, hosts));
        for (const char *const *kept = prefixes; *kept != NULL; kept++)
            if (strcmp(*kept, prefix) == 0)
                append_file(journal, p->out);
    }
    return check_saved(rig, n, journal, requests);
}

void figures_judged(figures_t *f, const checked_t *c)
{
    f->confirmed += c->confirmed;
    f->lost += c->lost;
    f->duplicates += c->duplicate + c->unexpected;
    f->double_work += c->again;
}

void assert_judged(const checked_t *c)
{
    assert_int_equal(c->lost, 0);
    assert_int_equal(c->unexpected, 0);
    assert_int_equal(c->duplicate, 0);
    assert_int_equal(c->code, 0);
    assert_true(c->confirmed > 0);
}

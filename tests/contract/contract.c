#include "tests/contract/contract.h"

#include "common/runtime/announce.h"
#include "tests/contract/odd_driver.h"
#include "tests/support/postgres.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCHES_OF_A_WINDOW = 16, TESTS_MAX = 256 };

size_t contract_rows(row_t *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; worker_kinds[i] != NULL && n < max; i++)
        ret[n++] = (row_t){"mandrill-worker", worker_kinds[i]};
    for (size_t i = 0; odd_kinds[i] != NULL && n < max; i++)
        ret[n++] = (row_t){"mandrill-worker-odd", odd_kinds[i]};
    return n;
}

row_t contract_row(const char *kind)
{
    size_t i = 0;

    while (worker_kinds[i] != NULL && strcmp(worker_kinds[i]->name, kind) != 0)
        i++;
    if (worker_kinds[i] == NULL)
        abort();
    return (row_t){"mandrill-worker", worker_kinds[i]};
}

/* A schema for each test: a server takes a second to make. */
static void make_schema(contract_t *c)
{
    static unsigned schemas;
    char sql[64];

    snprintf(c->schema, sizeof c->schema, "test_%u", schemas++);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", c->schema);
    postgres_run(postgres_shared(), "", sql);
}

char *contract_socket(const contract_t *c, char *path)
{
    return rig_path(c->rig, "docker.sock", path);
}

char *contract_fleet(const contract_t *c, char *path)
{
    return rig_path(c->rig, "fleet", path);
}

unsigned contract_boots(const contract_t *c, const char *name)
{
    char fleet[TEST_PATH_MAX], path[2 * TEST_PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", contract_fleet(c, fleet), name);
    return stat(path, &st) == 0 ? (unsigned)st.st_size : 0;
}

static int setup(void **state)
{
    contract_t *c = *state;
    void *rig = (void *)(uintptr_t)c->transport;
    char path[TEST_PATH_MAX];
    const int failed = rig_setup(&rig);

    if (failed == 0) {
        c->rig = rig;
        boss_open(&c->boss, rig_endpoint(c->rig, "tasks-0"));
        if (strcmp(c->row.kind->name, "save-postgres") == 0)
            make_schema(c);
        if (strcmp(c->row.kind->name, "restart-docker") == 0)
            c->dockerd = dockerd_open(contract_socket(c, path));
        if (strstr(c->row.kind->name, "-http") != NULL)
            c->httpd = httpd_open(NULL);
        if (c->row.kind == &odd_runner)
            assert_int_equal(mkdir(contract_fleet(c, path), 0755), 0);
    }
    return failed;
}

static int teardown(void **state)
{
    contract_t *c = *state;
    void *rig = c->rig;

    boss_close(&c->boss);
    dockerd_close(c->dockerd);
    c->dockerd = NULL;
    httpd_close(c->httpd);
    c->httpd = NULL;
    return rig_teardown(&rig);
}

int contract_run(const char *suite, const struct CMUnitTest *tests, size_t tests_count, const row_t *rows,
                 size_t rows_count)
{
    static contract_t contracts[TESTS_MAX];
    static struct CMUnitTest all[TESTS_MAX];
    size_t n = 0;

    for (size_t t = 0; t < tests_count; t++) {
        for (size_t r = 0; r < rows_count; r++, n++) {
            contract_t *c = &contracts[n];
            assert_true(n < TESTS_MAX);
            *c = (contract_t){.row = rows[r]};
            c->transport = (t + r) % 2 == 0 ? "ipc" : "tcp";
            snprintf(c->name, sizeof c->name, "%s: %s over %s", tests[t].name, rows[r].kind->name,
                     c->transport);
            all[n] = (struct CMUnitTest){c->name, tests[t].test_func, setup, teardown, c};
        }
    }
    return _cmocka_run_group_tests(suite, all, n, NULL, NULL);
}

static bool is_file(const config_option_t *o)
{
    return o->type == CONFIG_TEXT && o->argument != NULL && strcmp(o->argument, "FILE") == 0;
}

const char *contract_file(const contract_t *c, char *path)
{
    char name[PROCESS_NAME_MAX];

    for (size_t i = 0; i < c->row.kind->options_count; i++)
        if (is_file(&c->row.kind->options[i])) {
            snprintf(name, sizeof name, "kind-%s", c->row.kind->options[i].name);
            return rig_path(c->rig, name, path);
        }
    return NULL;
}

process_t *contract_spawn(contract_t *c, const char *name, const char *other_boss, const char *const *args)
{
    const char *list[PROCESS_ARGUMENTS_MAX] = {"--kind",         c->row.kind->name, "--consumer",
                                               c->boss.endpoint, "--report",        "json"};
    char announce[PROCESS_NAME_MAX + 16], announced[TEST_PATH_MAX], file[TEST_PATH_MAX],
        flag[PROCESS_NAME_MAX], conninfo[CONNINFO_MAX];
    size_t n = 6;

    if (other_boss != NULL) {
        list[n++] = "--consumer";
        list[n++] = other_boss;
    }
    snprintf(announce, sizeof announce, "%s.announce", name);
    list[n++] = "--announce";
    list[n++] = rig_path(c->rig, announce, announced);
    if (contract_file(c, file) != NULL) {
        for (size_t i = 0; i < c->row.kind->options_count; i++)
            if (is_file(&c->row.kind->options[i]))
                snprintf(flag, sizeof flag, "--%s", c->row.kind->options[i].name);
        list[n++] = flag;
        list[n++] = file;
    }
    if (c->schema[0] != '\0') {
        list[n++] = "--postgres";
        list[n++] = postgres_conninfo(postgres_shared(), c->schema, conninfo);
    }
    if (c->dockerd != NULL) {
        list[n++] = "--docker-socket";
        list[n++] = contract_socket(c, file);
        list[n++] = "--docker-allow";
        list[n++] = "*";
    }
    if (c->httpd != NULL && strcmp(c->row.kind->name, "fetch-http") == 0) {
        list[n++] = "--fetch-url";
        list[n++] = httpd_url(c->httpd, "/{instance}");
    } else if (c->httpd != NULL) {
        list[n++] = "--http-url";
        list[n++] = httpd_url(c->httpd, "/hosts/{instance}/restart");
        list[n++] = "--http-observe";
        list[n++] = httpd_url(c->httpd, "/hosts/{instance}/boot");
    }
    if (c->row.kind == &odd_runner) {
        list[n++] = "--fleet";
        list[n++] = contract_fleet(c, file);
    }
    /* Hosts that have been restarted whenever they are looked at. */
    if (strcmp(c->row.kind->name, "restart-exec") == 0) {
        list[n++] = "--exec";
        list[n++] = "/bin/true {host}";
        list[n++] = "--exec-observe";
        list[n++] = "/bin/date +%s%N";
    }
    if (strcmp(c->row.kind->name, "restart-simulate") == 0) {
        list[n++] = "--simulate";
        list[n++] = "0..20";
    }
    for (; *args != NULL; args++) {
        assert_true(n + 1 < PROCESS_ARGUMENTS_MAX);
        list[n++] = *args;
    }
    return rig_spawn(c->rig, name, c->row.program, list);
}

process_t *contract_start(contract_t *c, const char *name, const char *const *args)
{
    boss_t *b = &c->boss;
    const unsigned before = b->workers_count;
    process_t *p = contract_spawn(c, name, NULL, args);

    BOSS_UNTIL(b, b->workers_count > before && b->workers[before].welcomed);
    /* It takes nothing before it has its server. */
    if (c->schema[0] != '\0' || c->dockerd != NULL)
        BOSS_UNTIL(b, b->workers[before].window > 0);
    return p;
}

uint64_t contract_ask(contract_t *c, const char *host, int64_t published_ms, const boss_intent_t *note)
{
    static uint64_t next_seq = 1;
    boss_t *b = &c->boss;
    buffer_t body;
    char why[WHY_BYTES];

    buffer_init(&body);
    if (body_make(host, strlen(host), "example.net", published_ms, 0, &body, why) != 0)
        fail_msg("%s", why);
    const uint64_t ref =
        boss_give_noted(b, b->workers_count - 1, next_seq++, note != NULL ? note->try_no + 1 : 1, body.data,
                        body.len, note != NULL ? note->bytes : NULL, note != NULL ? note->len : 0);
    buffer_done(&body);
    return ref;
}

const boss_result_t *contract_expect(contract_t *c, uint64_t ref, outcome_t outcome, const char *text)
{
    boss_t *b = &c->boss;

    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    const boss_result_t *r = boss_result(b, ref);
    if (r->outcome != outcome || strstr(r->text, text) == NULL)
        fail_msg("outcome %d with '%s' instead of %d with '%s'", r->outcome, r->text, outcome, text);
    return r;
}

int contract_stop(contract_t *c, process_t *p)
{
    boss_t *b = &c->boss;

    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, !process_running(p));
    boss_turn(b, 0); /* its last words */
    return process_code(p);
}

process_t *contract_ends(contract_t *c, const char *program, const char *const *arguments,
                         const char *const *flags, size_t flags_max, int code, const char *says)
{
    static unsigned runs;
    const char *list[PROCESS_ARGUMENTS_MAX] = {NULL};
    char name[PROCESS_NAME_MAX];
    size_t n = 0;

    for (; *arguments != NULL; arguments++)
        list[n++] = *arguments;
    assert_true(n + flags_max < PROCESS_ARGUMENTS_MAX);
    for (size_t i = 0; i < flags_max && flags[i] != NULL; i++)
        list[n++] = flags[i];
    snprintf(name, sizeof name, "bad-%u", runs++);
    process_t *p = rig_spawn(c->rig, name, program, list);
    const int ended = process_wait(p, WAIT_MS);
    char *said = test_read_file(p->log);
    if (ended != code || strstr(said, says) == NULL)
        fail_msg("%s ended with %d instead of %d, or did not say '%s' but: %s", name, ended, code, says,
                 said);
    free(said);
    return p;
}

bool contract_ready(const process_t *p)
{
    char value[TEST_PATH_MAX];

    return announce_read(p->announce, "ready", value, sizeof value) == 0;
}

uint32_t contract_window(const contract_t *c)
{
    const uint32_t slots = c->row.kind->slots;

    return c->row.kind->executor == EXECUTOR_BATCH ? slots * BATCHES_OF_A_WINDOW : slots;
}

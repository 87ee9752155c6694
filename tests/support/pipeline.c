#include "tests/support/pipeline.h"

#include "tests/support/fake.h"
#include "tests/support/saved.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_MS = 1000 };

typedef struct {
    const char *at[PROCESS_ARGUMENTS_MAX];
    size_t count;
} arguments_t;

static void add(arguments_t *a, const char *argument)
{
    assert_true(a->count + 1 < PROCESS_ARGUMENTS_MAX);
    a->at[a->count++] = argument;
    a->at[a->count] = NULL;
}

static void add_pair(arguments_t *a, const char *flag, const char *value)
{
    add(a, flag);
    add(a, value);
}

static const char *numbered(rig_t *rig, const char *what, unsigned n)
{
    char name[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "%s-%u", what, n);
    return rig_endpoint(rig, name);
}

static const char *way_to(rig_t *rig, const char *what, unsigned n)
{
    char name[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "%s-%u", what, n);
    return rig_way_to(rig, name);
}

/* "<what>-<n>" with --announce and the caller's arguments, started; returns when `key` is announced. */
static process_t *start(rig_t *rig, const char *what, unsigned n, const char *program, arguments_t *a,
                        const char *const *args, const char *key)
{
    char name[PROCESS_NAME_MAX], announce[PROCESS_NAME_MAX + 16], path[TEST_PATH_MAX], value[TEST_PATH_MAX];

    snprintf(name, sizeof name, "%s-%u", what, n);
    snprintf(announce, sizeof announce, "%s.announce", name);
    add_pair(a, "--announce", rig_path(rig, announce, path));
    add_pair(a, "--report", "json");
    for (; *args != NULL; args++)
        add(a, *args);
    process_t *p = rig_spawn(rig, name, program, a->at);
    process_announced(p, key, value);
    return p;
}

process_t *start_publisher_as(rig_t *rig, unsigned n, const char *program, const char *const *args)
{
    arguments_t a = {.count = 0};
    char file[PROCESS_NAME_MAX], outbox[TEST_PATH_MAX];

    snprintf(file, sizeof file, "outbox-%u.db", n);
    add_pair(&a, "--listen", numbered(rig, "leases", n));
    add_pair(&a, "--clients", numbered(rig, "clients", n));
    add_pair(&a, "--outbox", rig_path(rig, file, outbox));
    return start(rig, "publisher", n, program, &a, args, "listen");
}

process_t *start_publisher(rig_t *rig, unsigned n, const char *const *args)
{
    return start_publisher_as(rig, n, "mandrill-publisher", args);
}

process_t *start_consumer(rig_t *rig, unsigned n, unsigned publishers, const char *const *args)
{
    arguments_t a = {.count = 0};

    add_pair(&a, "--listen", numbered(rig, "tasks", n));
    add_pair(&a, "--control", numbered(rig, "control", n));
    for (unsigned i = 0; i < publishers; i++)
        add_pair(&a, "--publisher", way_to(rig, "leases", i));
    return start(rig, "consumer", n, "mandrill-consumer", &a, args, "listen");
}

static process_t *start_worker(rig_t *rig, const char *what, unsigned n, const char *program, arguments_t *a,
                               unsigned consumers, const char *const *args)
{
    for (unsigned i = 0; i < consumers; i++)
        add_pair(a, "--consumer", way_to(rig, "tasks", i));
    return start(rig, what, n, program, a, args, "ready");
}

process_t *start_save_as(rig_t *rig, unsigned n, const char *program, unsigned consumers,
                         const char *const *args)
{
    arguments_t a = {.count = 0};
    char file[PROCESS_NAME_MAX], database[TEST_PATH_MAX];

    snprintf(file, sizeof file, "saved-%u.db", n);
    add_pair(&a, "--kind", "save-sqlite");
    add_pair(&a, "--database", rig_path(rig, file, database));
    return start_worker(rig, "save", n, program, &a, consumers, args);
}

process_t *start_save_postgres(rig_t *rig, unsigned n, unsigned consumers, const char *conninfo,
                               const char *const *args)
{
    arguments_t a = {.count = 0};

    add_pair(&a, "--kind", "save-postgres");
    add_pair(&a, "--postgres", conninfo);
    return start_worker(rig, "save", n, "mandrill-worker", &a, consumers, args);
}

process_t *start_save(rig_t *rig, unsigned n, unsigned consumers, const char *const *args)
{
    return start_save_as(rig, n, "mandrill-worker", consumers, args);
}

process_t *start_restart(rig_t *rig, unsigned n, unsigned consumers, const char *const *args)
{
    arguments_t a = {.count = 0};

    add_pair(&a, "--kind", "restart-simulate");
    return start_worker(rig, "restart", n, "mandrill-worker", &a, consumers, args);
}

/* "500ms" in a buffer of TEST_PATH_MAX; returns it. */
static char *milliseconds(unsigned ms, char *text)
{
    snprintf(text, TEST_PATH_MAX, "%ums", ms);
    return text;
}

process_t *start_sturdy_publisher(rig_t *rig, unsigned n, unsigned lease_ms)
{
    char lease[TEST_PATH_MAX];

    return start_publisher(rig, n,
                           ARGS("--ack-deadline", milliseconds(lease_ms, lease), "--max-deliveries", "1000"));
}

process_t *start_sturdy_consumer(rig_t *rig, unsigned n, unsigned publishers, unsigned lease_ms)
{
    char extend[TEST_PATH_MAX], every[TEST_PATH_MAX];

    return start_consumer(rig, n, publishers,
                          ARGS("--extend", milliseconds(lease_ms * 3 / 10, extend), "--extend-every",
                               milliseconds(lease_ms / 5, every), "--max-tries", "255"));
}

void start_sturdy_workers(rig_t *rig, process_t *programs[static PIPELINE_PROGRAMS], unsigned consumers)
{
    programs[PART_SAVE] = start_save(rig, 0, consumers, ARGS("--log-messages"));
    programs[PART_RESTART] = start_restart(rig, 0, consumers, ARGS("--simulate", "0..20", "--log-messages"));
}

void start_sturdy(rig_t *rig, process_t *programs[static PIPELINE_PROGRAMS], unsigned lease_ms,
                  unsigned consumers)
{
    programs[PART_PUBLISHER] = start_sturdy_publisher(rig, 0, lease_ms);
    programs[PART_CONSUMER] = start_sturdy_consumer(rig, 0, 1, lease_ms);
    start_sturdy_workers(rig, programs, consumers);
}

process_t *publish_program(rig_t *rig, const char *name, unsigned n, const char *hosts_file)
{
    char hosts[TEST_PATH_MAX];

    return rig_program(rig, name, "mandrill",
                       ARGS("publish", "--clients", numbered(rig, "clients", n), "--timeout", "30s", "--from",
                            rig_path(rig, hosts_file, hosts)));
}

void write_hosts(const rig_t *rig, const char *file, const char *prefix, unsigned count)
{
    char path[TEST_PATH_MAX];
    FILE *f = fopen(rig_path(rig, file, path), "w");

    assert_non_null(f);
    for (unsigned i = 0; i < count; i++)
        fprintf(f, "%s-%u\n", prefix, i);
    assert_int_equal(fclose(f), 0);
}

void publish_hosts(rig_t *rig, unsigned n, const char *prefix, unsigned count)
{
    char name[PROCESS_NAME_MAX], file[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "publish-%s", prefix);
    snprintf(file, sizeof file, "%s.hosts", prefix);
    write_hosts(rig, file, prefix, count);
    process_t *p = publish_program(rig, name, n, file);
    process_start(p);
    assert_int_equal(process_wait(p, WAIT_MS), 0);
    assert_int_equal(process_out_count(p, "\n"), count);
}

json_t *status_query(rig_t *rig, const char *endpoint_name)
{
    fake_t f;
    buffer_t b;
    text_t text;
    json_t *answer = NULL;

    fake_raw(&f, rig, rig_endpoint(rig, endpoint_name));
    buffer_init(&b);
    encode_status(&b);
    fake_send_buffer(&f, &b);
    buffer_done(&b);
    if (fake_recv_within(&f, CMD_REPORT, STATUS_MS)) {
        assert_int_equal(decode_report(f.room->frame, f.len, &text), 0);
        answer = json_loadb(text.bytes, text.len, 0, NULL);
        assert_non_null(answer);
    }
    fake_close(&f);
    return answer;
}

int64_t json_number(const json_t *object, const char *path)
{
    char name[128];

    while (object != NULL) {
        size_t len = strcspn(path, ".");

        snprintf(name, sizeof name, "%.*s", (int)len, path);
        object = json_object_get(object, name);
        if (path[len] == '\0')
            return json_is_number(object) ? (int64_t)json_number_value(object) : -1;
        path += len + 1;
    }
    return -1;
}

int64_t status_number(rig_t *rig, const char *endpoint_name, const char *path)
{
    json_t *answer = status_query(rig, endpoint_name);
    int64_t number = json_number(answer, path);

    json_decref(answer);
    return number;
}

static int64_t sum(json_t *value)
{
    const char *key;
    json_t *each;
    int64_t n = json_is_integer(value) ? (int64_t)json_integer_value(value) : 0;

    json_object_foreach(value, key, each)
    {
        n += sum(each);
    }
    return n;
}

int64_t status_refused(rig_t *rig, const char *endpoint_name)
{
    json_t *answer = status_query(rig, endpoint_name);
    int64_t number = answer != NULL ? sum(json_object_get(answer, "refused")) : -1;

    json_decref(answer);
    return number;
}

int64_t report_number(const process_t *p, const char *path)
{
    char *text = test_read_file(p->out);
    char *line = text;

    for (char *at = strchr(text, '\n'); at != NULL && at[1] != '\0'; at = strchr(at + 1, '\n'))
        line = at + 1;
    json_t *report = json_loads(line, 0, NULL);
    int64_t number = json_number(report, path);
    json_decref(report);
    free(text);
    return number;
}

int64_t saved(const rig_t *rig, unsigned n)
{
    return saved_host(rig, n, NULL);
}

int64_t saved_host(const rig_t *rig, unsigned n, const char *host)
{
    char file[PROCESS_NAME_MAX], path[TEST_PATH_MAX];

    snprintf(file, sizeof file, "saved-%u.db", n);
    rig_path(rig, file, path);
    return host == NULL ? saved_rows(path) : saved_rows_of(path, host);
}

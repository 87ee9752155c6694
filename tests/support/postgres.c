#include "tests/support/postgres.h"

#include "tests/support/guard.h"
#include <dirent.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHILDREN_MAX = 256, ARGUMENTS_MAX = 32, SOCKET_PORT = 5432 };

/* --- its programs --- */

/* The newest that is installed. */
static char *program(const char *name, char path[static TEST_PATH_MAX])
{
    glob_t found;
    char pattern[TEST_PATH_MAX];

    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) != 0)
        fail_msg("PostgreSQL's %s is not installed", name);
    snprintf(path, TEST_PATH_MAX, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return path;
}

static void init(process_t *p, const postgres_t *pg, const char *name, const char *const *args)
{
    static const char *const drop_root[] = {"--reuid=postgres", "--regid=postgres", "--clear-groups", "--"};
    const char *list[ARGUMENTS_MAX];
    char path[TEST_PATH_MAX];
    size_t n = 0;
    const bool root = getuid() == 0;

    for (size_t i = 0; root && i < sizeof drop_root / sizeof drop_root[0]; i++)
        list[n++] = drop_root[i];
    program(name, path);
    if (root)
        list[n++] = path;
    for (; *args != NULL; args++)
        list[n++] = *args;
    list[n] = NULL;
    process_init(p, pg->dir, name, root ? "/usr/bin/setpriv" : path, list, pg->guard);
}

static void make_folder(postgres_t *p, const char *dir)
{
    const struct passwd *user = getpwnam("postgres");

    snprintf(p->dir, sizeof p->dir, "%s/postgres", dir);
    assert_int_equal(mkdir(p->dir, 0700), 0);
    if (getuid() != 0)
        return;
    assert_non_null(user);
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(chown(p->dir, user->pw_uid, user->pw_gid), 0);
}

void postgres_open(postgres_t *p, const char *dir, unsigned port, int guard)
{
    process_t initdb;
    char data[TEST_PATH_MAX + 8], listen[64], number[32], sockets[TEST_PATH_MAX + 32];

    *p = (postgres_t){.port = port, .guard = guard};
    make_folder(p, dir);
    snprintf(data, sizeof data, "%s/data", p->dir);
    init(&initdb, p, "initdb",
         (const char *const[]){"-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale",
                               "--no-sync", NULL});
    process_start(&initdb);
    if (process_wait(&initdb, WAIT_MS) != 0)
        fail_msg("initdb: %s", test_read_file(initdb.log));
    process_done(&initdb);
    snprintf(listen, sizeof listen, "listen_addresses=%s", port > 0 ? "127.0.0.1" : "");
    snprintf(number, sizeof number, "port=%u", port > 0 ? port : SOCKET_PORT);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", p->dir);
    init(&p->server, p, "postgres",
         (const char *const[]){"-D", data, "-c", listen, "-c", number, "-c", sockets, NULL});
    postgres_start(p);
}

void postgres_start(postgres_t *p)
{
    char conninfo[CONNINFO_MAX];

    postgres_conninfo(p, "", conninfo);
    process_start(&p->server);
    /* After a kill its shared memory is only free when its last process is gone. */
    WAIT((process_running(&p->server) || (process_start(&p->server), true)) && PQping(conninfo) == PQPING_OK);
}

/* --- all its processes --- */

/* They are in sessions of their own: no group has them all. */
static size_t find_children(pid_t parent, pid_t ret[static CHILDREN_MAX])
{
    size_t n = 0;
    DIR *all = opendir("/proc");

    assert_non_null(all);
    for (struct dirent *e = readdir(all); e != NULL; e = readdir(all)) {
        char path[TEST_PATH_MAX + 16], line[512] = "";
        int ppid = 0;

        snprintf(path, sizeof path, "/proc/%.200s/stat", e->d_name);
        FILE *f = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (f == NULL)
            continue;
        const char *end = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
        fclose(f);
        if (end != NULL && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent && n < CHILDREN_MAX)
            ret[n++] = (pid_t)strtol(e->d_name, NULL, 10);
    }
    closedir(all);
    return n;
}

void postgres_signal_all(postgres_t *p, int signal)
{
    pid_t children[CHILDREN_MAX];

    if (!process_running(&p->server))
        return;
    const pid_t pid = p->server.pid;
    /* The one that starts others stands still first, and dies or goes on last: dead, it has no children. */
    if (signal == SIGSTOP)
        kill(pid, signal);
    const size_t n = find_children(pid, children);
    for (size_t i = 0; i < n; i++)
        kill(children[i], signal);
    if (signal != SIGSTOP)
        kill(pid, signal);
}

void postgres_kill(postgres_t *p)
{
    postgres_signal_all(p, SIGSTOP);
    postgres_signal_all(p, SIGKILL);
    process_wait(&p->server, WAIT_MS);
}

void postgres_stop(postgres_t *p)
{
    process_signal(&p->server, SIGINT);
    process_wait(&p->server, WAIT_MS);
}

void postgres_close(postgres_t *p)
{
    if (process_running(&p->server)) {
        postgres_signal_all(p, SIGCONT);
        process_signal(&p->server, SIGQUIT);
        process_wait(&p->server, WAIT_MS);
    }
    process_done(&p->server);
}

/* --- one for the program --- */

static postgres_t shared;
static char shared_dir[] = "/tmp/mandrill-test-XXXXXX";
static pid_t shared_guard_pid, shared_by;

static void close_shared(void)
{
    /* Not in a process that was forked. */
    if (getpid() != shared_by)
        return;
    postgres_close(&shared);
    guard_close(shared.guard, shared_guard_pid);
    remove_tree(shared_dir);
}

postgres_t *postgres_shared(void)
{
    if (shared_by != 0)
        return &shared;
    assert_non_null(mkdtemp(shared_dir));
    const int guard = guard_open(shared_dir, &shared_guard_pid);
    assert_true(guard >= 0);
    postgres_open(&shared, shared_dir, 0, guard);
    shared_by = getpid();
    atexit(close_shared);
    return &shared;
}

/* --- questions --- */

char *postgres_conninfo(const postgres_t *p, const char *schema, char *conninfo)
{
    int n = snprintf(conninfo, CONNINFO_MAX, "host=%s port=%u user=postgres dbname=postgres", p->dir,
                     p->port > 0 ? p->port : (unsigned)SOCKET_PORT);

    if (schema[0] != '\0')
        n += snprintf(conninfo + n, CONNINFO_MAX - (size_t)n, " options=-csearch_path=%s", schema);
    assert_true(n < CONNINFO_MAX);
    return conninfo;
}

static PGconn *connect_to(const postgres_t *p, const char *schema)
{
    char conninfo[CONNINFO_MAX];
    PGconn *db = PQconnectdb(postgres_conninfo(p, schema, conninfo));

    if (PQstatus(db) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(db));
    return db;
}

void postgres_run(const postgres_t *p, const char *schema, const char *sql)
{
    PGconn *db = connect_to(p, schema);
    PGresult *r = PQexec(db, sql);

    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    PQclear(r);
    PQfinish(db);
}

char *postgres_text(const postgres_t *p, const char *schema, const char *sql)
{
    PGconn *db = connect_to(p, schema);
    PGresult *r = PQexec(db, sql);
    char *text = NULL;

    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0 && !PQgetisnull(r, 0, 0))
        text = strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(db);
    return text;
}

int64_t postgres_number(const postgres_t *p, const char *schema, const char *sql)
{
    char *text = postgres_text(p, schema, sql);
    const int64_t number = text != NULL ? strtoll(text, NULL, 10) : -1;

    free(text);
    return number;
}

int64_t postgres_rows(const postgres_t *p, const char *schema)
{
    const int64_t n = postgres_number(p, schema, "SELECT count(*) FROM mandrill_messages");

    return n < 0 ? 0 : n;
}

void postgres_export(const postgres_t *p, const char *schema, const char *path)
{
    PGconn *db = connect_to(p, schema);
    PGresult *r = PQexec(db, "SELECT stream, seq, host FROM mandrill_messages");
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    for (int i = 0; i < PQntuples(r); i++)
        fprintf(f, "%s %s %s\n", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
    assert_int_equal(fclose(f), 0);
    PQclear(r);
    PQfinish(db);
}

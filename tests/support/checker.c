/* The judge of the fault tests: compares what clients were promised with what was saved.
 *
 *   checker --saved FILE|--rows FILE [--journal FILE]... [--requested FILE]... [--work FILE]... [--domain
 * NAME]
 *
 * --saved is a database of save-sqlite; --rows has a line "STREAM SEQ HOST" for each row of another store,
 * both numbers decimal.
 *
 * A journal holds one line "ID HOST" for each confirmed request, as `mandrill publish` prints them; a list of
 * requests holds one host a line, as often as it was asked for. A request that was never answered may have
 * been saved or not. A last line without its line feed was cut by a kill and promises nothing. A work file is
 * the log of a worker with --log-messages: a line "... Saved HOST ... (ID)" or "... Restarted HOST (ID)" for
 * each task.
 *
 *   lost        confirmed requests without a row of their own
 *   unexpected  rows with another host than was confirmed for their id, or with one that nobody asked for
 *   duplicate   further rows of one id, and rows of a host beyond how often it was asked for
 *   work        tasks done, by the logs
 *   again       those of them whose leg of that id had been done before: at-least-once, and no fault
 *
 * Exit 0 when the first three are 0, 1 when not, 2 when something could not be read. It shares no code with
 * the project, so that a fault there cannot hide itself here. */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 320, LINE_MAX_BYTES = 4096, SHOWN_MAX = 10, FILES_MAX = 64, STREAM_DIGITS = 16 };

typedef struct {
    uint64_t stream, seq;
    char *host;
    bool judged; /* counted as a fault already */
} entry_t;

typedef struct {
    entry_t *at;
    size_t count, room;
} list_t;

typedef struct {
    const char *saved, *rows, *domain;
    const char *journals[FILES_MAX], *requests[FILES_MAX], *work[FILES_MAX];
    size_t journals_count, requests_count, work_count;
} options_t;

typedef struct {
    uint64_t lost, unexpected, duplicate;
    unsigned shown;
} verdict_t;

static void fail(const char *what, const char *name, const char *why)
{
    fprintf(stderr, "checker: %s %s: %s\n", what, name, why);
    exit(2);
}

/* Names without a dot stand for a host of the domain, as the publisher stores them. */
static void list_add(list_t *l, uint64_t stream, uint64_t seq, const char *host, const char *domain)
{
    char full[2 * HOST_MAX];

    if (l->count == l->room) {
        l->room = l->room > 0 ? 2 * l->room : 1024;
        l->at = realloc(l->at, l->room * sizeof *l->at);
        if (l->at == NULL)
            fail("cannot hold", "the lists", "out of memory");
    }
    snprintf(full, sizeof full, strchr(host, '.') != NULL ? "%s" : "%s.%s", host, domain);
    entry_t *e = &l->at[l->count];
    *e = (entry_t){.stream = stream, .seq = seq, .host = malloc(strlen(full) + 1)};
    if (e->host == NULL)
        fail("cannot hold", "the lists", "out of memory");
    memcpy(e->host, full, strlen(full) + 1);
    l->count++;
}

static void list_free(list_t *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->at[i].host);
    free(l->at);
}

static int compare_ids(const void *a, const void *b)
{
    const entry_t *x = a, *y = b;

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return strcmp(x->host, y->host);
}

static int compare_hosts(const void *a, const void *b)
{
    const entry_t *x = a, *y = b;

    return strcmp(x->host, y->host);
}

static void list_sort(list_t *l, int (*compare)(const void *, const void *))
{
    if (l->count > 0)
        qsort(l->at, l->count, sizeof *l->at, compare);
}

/* "5d1e9a0c44f3b210-42", and where it ends. */
static bool parse_id(const char *line, uint64_t *ret_stream, uint64_t *ret_seq, const char **ret_end)
{
    char *end;

    if (strspn(line, "0123456789abcdef") != STREAM_DIGITS || line[STREAM_DIGITS] != '-')
        return false;
    if (strspn(line + STREAM_DIGITS + 1, "0123456789") == 0)
        return false;
    errno = 0;
    *ret_stream = strtoull(line, NULL, 16);
    *ret_seq = strtoull(line + STREAM_DIGITS + 1, &end, 10);
    *ret_end = end;
    return errno == 0;
}

/* "5d1e9a0c44f3b210-42 web-1" */
static bool parse_confirm(const char *line, uint64_t *ret_stream, uint64_t *ret_seq, const char **ret_host)
{
    const char *end;

    if (!parse_id(line, ret_stream, ret_seq, &end) || end[0] != ' ' || end[1] == '\0')
        return false;
    *ret_host = end + 1;
    return true;
}

/* "... Restarted web-1.example.net (5d1e9a0c44f3b210-42)"; other lines of a log are none. */
static bool parse_work(const char *line, uint64_t *ret_stream, uint64_t *ret_seq, const char **ret_leg)
{
    const char *end, *id = strrchr(line, '(');

    if (strstr(line, " Saved ") != NULL)
        *ret_leg = "save";
    else if (strstr(line, " Restarted ") != NULL)
        *ret_leg = "restart";
    else
        return false;
    return id != NULL && parse_id(id + 1, ret_stream, ret_seq, &end) && strcmp(end, ")") == 0;
}

/* "6709872347658351120 42 web-1.example.net" */
static bool parse_row(const char *line, uint64_t *ret_stream, uint64_t *ret_seq, const char **ret_host)
{
    int at = 0;

    if (sscanf(line, "%" SCNu64 " %" SCNu64 " %n", ret_stream, ret_seq, &at) != 2 || line[at] == '\0')
        return false;
    *ret_host = line + at;
    return true;
}

enum { LINES_CONFIRMS, LINES_REQUESTS, LINES_WORK, LINES_ROWS };

static void read_lines(const char *path, int what, const char *domain, list_t *l)
{
    char line[LINE_MAX_BYTES];
    FILE *f = fopen(path, "r");

    if (f == NULL)
        fail("cannot open", path, strerror(errno));
    while (fgets(line, sizeof line, f) != NULL) {
        uint64_t stream = 0, seq = 0;
        const char *host = line;
        size_t len = strlen(line);

        if (len == 0 || line[len - 1] != '\n') {
            if (feof(f))
                break;
            fail("cannot read", path, "a line is too long");
        }
        line[len - 1] = '\0';
        if (what == LINES_WORK && !parse_work(line, &stream, &seq, &host))
            continue;
        if (what == LINES_CONFIRMS && !parse_confirm(line, &stream, &seq, &host))
            fail("cannot read", path, "a line is not \"ID HOST\"");
        if (what == LINES_ROWS && !parse_row(line, &stream, &seq, &host))
            fail("cannot read", path, "a line is not \"STREAM SEQ HOST\"");
        if (strlen(host) >= HOST_MAX)
            fail("cannot read", path, "a name is too long");
        list_add(l, stream, seq, host, domain);
    }
    if (ferror(f))
        fail("cannot read", path, strerror(errno));
    fclose(f);
}

static void read_rows(const char *path, const char *domain, list_t *l)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db, 5000);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT stream, seq, host FROM messages", -1, &rows, NULL);
    if (rc != SQLITE_OK)
        fail("cannot read", path, sqlite3_errmsg(db));
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *host = (const char *)sqlite3_column_text(rows, 2);

        list_add(l, (uint64_t)sqlite3_column_int64(rows, 0), (uint64_t)sqlite3_column_int64(rows, 1),
                 host != NULL && strlen(host) < HOST_MAX ? host : "?", domain);
    }
    if (rc != SQLITE_DONE)
        fail("cannot read", path, sqlite3_errmsg(db));
    sqlite3_finalize(rows);
    sqlite3_close(db);
}

static void tell(verdict_t *v, const char *what, const entry_t *e)
{
    if (v->shown++ < SHOWN_MAX)
        fprintf(stderr, "%s: %016" PRIx64 "-%" PRIu64 " %s\n", what, e->stream, e->seq, e->host);
}

static bool same_id(const entry_t *a, const entry_t *b)
{
    return a->stream == b->stream && a->seq == b->seq;
}

/* Both lists sorted by id. */
static void judge_ids(const list_t *confirmed, list_t *rows, verdict_t *v)
{
    char before_all[] = "";
    size_t r = 0;

    for (size_t i = 1; i < rows->count; i++)
        if (same_id(&rows->at[i - 1], &rows->at[i])) {
            rows->at[i].judged = true;
            v->duplicate++;
            tell(v, "duplicate", &rows->at[i]);
        }
    for (size_t c = 0; c < confirmed->count; c++) {
        const entry_t *e = &confirmed->at[c];
        const entry_t id = {.stream = e->stream, .seq = e->seq, .host = before_all};

        while (r < rows->count && compare_ids(&rows->at[r], &id) < 0)
            r++;
        /* Two requests that were confirmed with one id share a row: the second has none. */
        bool own = c == 0 || !same_id(&confirmed->at[c - 1], e);
        if (r == rows->count || !same_id(&rows->at[r], e) || !own) {
            v->lost++;
            tell(v, "lost", e);
        } else if (strcmp(rows->at[r].host, e->host) != 0 && !rows->at[r].judged) {
            rows->at[r].judged = true;
            v->unexpected++;
            tell(v, "unexpected (confirmed for another host)", &rows->at[r]);
        }
    }
}

static void judge_hosts(list_t *requested, list_t *rows, verdict_t *v)
{
    size_t q = 0, used = 0;

    list_sort(requested, compare_hosts);
    list_sort(rows, compare_hosts);
    for (size_t i = 0; i < rows->count; i++) {
        const entry_t *e = &rows->at[i];
        size_t asked = 0;

        if (i == 0 || compare_hosts(&rows->at[i - 1], e) != 0)
            used = 0;
        if (e->judged)
            continue;
        while (q < requested->count && compare_hosts(&requested->at[q], e) < 0)
            q++;
        while (q + asked < requested->count && asked <= used &&
               compare_hosts(&requested->at[q + asked], e) == 0)
            asked++;
        if (asked == 0) {
            v->unexpected++;
            tell(v, "unexpected (nobody asked for it)", e);
        } else if (++used > asked) {
            v->duplicate++;
            tell(v, "duplicate (more rows than requests)", e);
        }
    }
}

static uint64_t count_again(list_t *work)
{
    uint64_t again = 0;

    list_sort(work, compare_ids);
    for (size_t i = 1; i < work->count; i++)
        again += compare_ids(&work->at[i - 1], &work->at[i]) == 0;
    return again;
}

static void parse_options(int argc, char **argv, options_t *o)
{
    *o = (options_t){.domain = "example.net"};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            fail("missing value of", argv[i], "usage");
        if (strcmp(argv[i], "--saved") == 0)
            o->saved = argv[i + 1];
        else if (strcmp(argv[i], "--rows") == 0)
            o->rows = argv[i + 1];
        else if (strcmp(argv[i], "--domain") == 0)
            o->domain = argv[i + 1];
        else if (strcmp(argv[i], "--journal") == 0 && o->journals_count < FILES_MAX)
            o->journals[o->journals_count++] = argv[i + 1];
        else if (strcmp(argv[i], "--requested") == 0 && o->requests_count < FILES_MAX)
            o->requests[o->requests_count++] = argv[i + 1];
        else if (strcmp(argv[i], "--work") == 0 && o->work_count < FILES_MAX)
            o->work[o->work_count++] = argv[i + 1];
        else
            fail("unknown option, or too many of", argv[i], "usage");
    }
    if ((o->saved == NULL) == (o->rows == NULL) || strlen(o->domain) >= HOST_MAX)
        fail("usage:", "checker",
             "--saved FILE|--rows FILE [--journal FILE]... [--requested FILE]... [--work FILE]... "
             "[--domain NAME]");
}

int main(int argc, char **argv)
{
    options_t o;
    list_t confirmed = {0}, requested = {0}, rows = {0}, work = {0};
    verdict_t v = {0};

    parse_options(argc, argv, &o);
    for (size_t i = 0; i < o.journals_count; i++)
        read_lines(o.journals[i], LINES_CONFIRMS, o.domain, &confirmed);
    for (size_t i = 0; i < o.requests_count; i++)
        read_lines(o.requests[i], LINES_REQUESTS, o.domain, &requested);
    for (size_t i = 0; i < o.work_count; i++)
        read_lines(o.work[i], LINES_WORK, o.domain, &work);
    if (o.saved != NULL)
        read_rows(o.saved, o.domain, &rows);
    else
        read_lines(o.rows, LINES_ROWS, o.domain, &rows);
    list_sort(&confirmed, compare_ids);
    list_sort(&rows, compare_ids);
    judge_ids(&confirmed, &rows, &v);
    if (o.requests_count > 0)
        judge_hosts(&requested, &rows, &v);
    if (v.shown > SHOWN_MAX)
        fprintf(stderr, "... and %u more\n", v.shown - SHOWN_MAX);
    printf("confirmed %zu saved %zu lost %" PRIu64 " unexpected %" PRIu64 " duplicate %" PRIu64
           " work %zu again %" PRIu64 "\n",
           confirmed.count, rows.count, v.lost, v.unexpected, v.duplicate, work.count, count_again(&work));
    list_free(&confirmed);
    list_free(&requested);
    list_free(&rows);
    list_free(&work);
    return v.lost == 0 && v.unexpected == 0 && v.duplicate == 0 ? 0 : 1;
}

/* Many programs: ten thousand on a busy machine leave nothing behind; a thousand hostile names and templates
 * reach no shell, and what they are is what the program gets. */
#define _GNU_SOURCE /* mallinfo2 */
#include "tests/unit/spawner_world.h"

#include "common/core/backoff.h"
#include "tests/support/frames.h"
#include "workers/restart/argv_template.h"
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>

enum {
    SPAWNS = 10000,
    AT_ONCE = 64,
    BUSY = 2,
    WARM = 500,
    HOSTILE = 1000,
    WORDS_MOST = 6,
    PARTS_MOST = 4,
    WORD_BYTES = 2048,
};

/* --- ten thousand --- */

typedef struct {
    spawner_world_t w;
    unsigned begun, refused, dropped, stopped, failed, ended_before;
    int expected[NUMBERS]; /* the code; -1: SIGTERM */
} crowd_t;

/* One of the kinds of ends that there are. */
static void begin_one(crowd_t *c, uint32_t number, unsigned i)
{
    spawner_world_t *w = &c->w;
    char code[32];
    c->begun++;
    c->expected[number] = 0;
    if (i % 50 == 1) {
        BEGIN(w, number, "/bin/sleep", "100");
        spawner_drop(w->spawner, &w->running[number]);
        c->dropped++;
    } else if (i % 50 == 2) {
        BEGIN_FOR(w, number, 100, "/bin/sleep", "100");
        c->expected[number] = -1;
        c->stopped++;
    } else if (i % 50 == 3) {
        assert_int_equal(world_begin_until(w, number, clock_ms() + LONG_MS, true, WORDS("/no/such/program")),
                         -ENOENT);
        c->refused++;
    } else if (i % 10 == 4) {
        BEGIN(w, number, "/usr/bin/head", "-c", "200000", "/dev/zero");
    } else if (i % 10 == 5) {
        c->expected[number] = (int)(i % 256);
        snprintf(code, sizeof code, "echo x; exit %d", c->expected[number]);
        BEGIN_APART(w, number, "/bin/sh", "-c", code);
    } else {
        BEGIN(w, number, "/bin/true");
    }
}

static void see_ends(crowd_t *c)
{
    for (uint32_t n = 0; n < AT_ONCE; n++) {
        told_t *t = &c->w.told[n];
        if (t->ends == 0)
            continue;
        assert_int_equal(t->ends, 1);
        assert_int_equal(t->code, c->expected[n]);
        assert_int_equal(t->signal, c->expected[n] < 0 ? SIGTERM : 0);
        t->ends = 0;
    }
}

static bool is_free(const crowd_t *c, uint32_t number)
{
    return c->w.running[number] == NULL && c->w.told[number].ends == 0;
}

static void run_until_begun(crowd_t *c, unsigned total)
{
    spawner_world_t *w = &c->w;
    while (c->begun < total) {
        for (uint32_t n = 0; n < AT_ONCE && c->begun < total; n++)
            if (is_free(c, n) && spawner_count(w->spawner) < AT_ONCE)
                begin_one(c, n, c->begun);
        world_turn(w);
        see_ends(c);
    }
    WORLD_UNTIL(w, spawner_count(w->spawner) == 0);
    see_ends(c);
}

static void test_ten_thousand_leave_nothing_behind(void **state)
{
    crowd_t *c = calloc(1, sizeof *c);
    pid_t busy[BUSY];

    (void)state;
    spawner_world_open(&c->w, AT_ONCE);
    for (int i = 0; i < BUSY; i++) {
        busy[i] = fork();
        if (busy[i] == 0)
            for (volatile unsigned n = 0;; n++) {
            }
    }
    run_until_begun(c, WARM);
    const size_t memory = mallinfo2().uordblks;
    const int descriptors = world_descriptors();
    run_until_begun(c, SPAWNS);
    for (int i = 0; i < BUSY; i++) {
        kill(busy[i], SIGKILL);
        waitpid(busy[i], NULL, 0);
    }
    assert_int_equal(c->w.ends, SPAWNS - c->dropped - c->refused);
    assert_true(c->dropped > 100 && c->stopped > 100 && c->refused > 100);
    assert_int_equal(mallinfo2().uordblks, memory);
    assert_int_equal(world_descriptors(), descriptors);
    assert_false(world_has_children());
    spawner_world_close(&c->w);
    free(c);
}

/* --- a thousand --- */

static const char *const hostile[] = {
    ";touch canary;",
    "$(touch canary)",
    "`touch canary`",
    "|touch canary",
    "||touch canary",
    "&touch canary&",
    "&&touch canary&&",
    "\ntouch canary\n",
    ">canary",
    ">>canary",
    "<(touch canary)",
    "'",
    "\"",
    "';touch canary;'",
    "\";touch canary;\"",
    "\\",
    "\\\\",
    "-oProxyCommand=touch canary",
    "--",
    "-",
    "*",
    "?[a-z]",
    "~",
    "!!",
    "#",
    "${IFS}",
    "$HOME",
    "%s%n",
    "{",
    "}",
    "{}",
    " ",
    "\t",
    "\r",
    "\xff\xfe",
    "\xe2\x80\xae",
    "../../bin/sh",
    "a=b",
    "\\\ntouch canary",
    "$'\\x74ouch'",
};
enum { HOSTILES = sizeof hostile / sizeof hostile[0] };

static const char *any_hostile(uint64_t *random)
{
    return hostile[random_next(random) % HOSTILES];
}

/* Names that are some, at their limits too. */
static void any_host(uint64_t *random, char *ret)
{
    static const char letters[] = "abcxyz0189-";
    size_t len = 0;
    const size_t labels = 2 + random_next(random) % 3;
    for (size_t i = 0; i < labels; i++) {
        const size_t n = 1 + random_next(random) % 62;
        for (size_t k = 0; k < n; k++)
            ret[len++] = k == 0 || k == n - 1 ? 'a' : letters[random_next(random) % (sizeof letters - 1)];
        ret[len++] = '.';
    }
    ret[len - 1] = '\0';
}

static void append(char *to, size_t size, const char *text)
{
    const size_t len = strlen(to);
    snprintf(to + len, size - len, "%s", text);
}

/* Appends the bytes to a template so that they are themselves, in one of the ways that there are. */
static void write_quoted(char *to, const char *bytes, unsigned how)
{
    to += strlen(to);
    const bool single = how == 0 && strchr(bytes, '\'') == NULL;
    if (single || how == 1)
        *to++ = single ? '\'' : '"';
    for (const char *c = bytes; *c != '\0'; c++) {
        const bool brace = *c == '{' || *c == '}';
        if (!single && how == 1 && strchr("\"\\$`", *c) != NULL)
            *to++ = '\\';
        else if (!single && how != 1 && !brace)
            *to++ = '\\';
        if (brace)
            *to++ = *c;
        *to++ = *c;
    }
    if (single || how == 1)
        *to++ = single ? '\'' : '"';
    *to = '\0';
}

/* One of control characters that a backslash does not take, but quotes do. */
static unsigned any_way(uint64_t *random, const char *bytes)
{
    const unsigned way = random_next(random) % 3;
    return way == 2 && strpbrk(bytes, "\n\t\r") != NULL ? 1
           : way == 0 && strchr(bytes, '\'') != NULL    ? 1
                                                        : way;
}

typedef struct {
    char template[8 * WORD_BYTES];
    char expected[8 * WORD_BYTES]; /* words, each with its NUL */
    size_t len;
} case_t;

static void make_case(uint64_t *random, const spawner_world_t *w, const char *file, const char *host,
                      case_t *ret)
{
    snprintf(ret->template, sizeof ret->template, "%s --write-words %s", w->self, file);
    ret->len = 0;
    const size_t words = 1 + random_next(random) % WORDS_MOST;
    for (size_t i = 0; i < words; i++) {
        char word[WORD_BYTES] = "";
        append(ret->template, sizeof ret->template, " ");
        const size_t parts = 1 + random_next(random) % PARTS_MOST;
        for (size_t k = 0; k < parts; k++) {
            const char *bytes = any_hostile(random);
            if (random_next(random) % 3 == 0) {
                append(ret->template, sizeof ret->template,
                       random_next(random) % 2 == 0 ? "{host}" : "'{host}'");
                append(word, sizeof word, host);
                continue;
            }
            write_quoted(ret->template, bytes, any_way(random, bytes));
            append(word, sizeof word, bytes);
        }
        memcpy(ret->expected + ret->len, word, strlen(word) + 1);
        ret->len += strlen(word) + 1;
    }
}

static void run_case(spawner_world_t *w, const case_t *c, const char *file, const char *host)
{
    static char got[sizeof c->expected + 1];
    argv_template_t *t = NULL;
    char why[WHY_BYTES];
    char **argv = NULL;
    const unsigned ends = w->ends;
    const argv_values_t values = {.of = {[VALUE_HOST] = {host, strlen(host)}}};

    if (argv_template_parse(&t, c->template, why) != 0)
        fail_msg("%s: %s", c->template, why);
    assert_int_equal(argv_template_fill(t, &values, &argv), 0);
    assert_int_equal(world_begin_until(w, 1, clock_ms() + LONG_MS, false, (const char *const *)argv), 0);
    WORLD_UNTIL(w, w->ends == ends + 1);
    assert_int_equal(w->told[1].code, 0);
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    const ssize_t n = read(fd, got, sizeof got);
    close(fd);
    if (n != (ssize_t)c->len || memcmp(got, c->expected, c->len) != 0)
        fail_msg("other words than those of %s", c->template);
    free(argv);
    argv_template_destroy(&t);
}

/* What no host is called is refused, wherever it would stand. */
static void refuse_host(uint64_t *random, const argv_template_t *t)
{
    char host[512] = "", *at = host;
    char **argv = NULL;
    if (random_next(random) % 2 == 0)
        at = stpcpy(at, "web-1");
    at = stpcpy(at, any_hostile(random));
    if (random_next(random) % 2 == 0)
        at = stpcpy(at, ".example.net");
    if (random_next(random) % 2 == 0)
        stpcpy(at, any_hostile(random));
    const argv_values_t values = {.of = {[VALUE_HOST] = {host, strlen(host)}}};
    const int error = argv_template_fill(t, &values, &argv);
    if (error == 0 && host_check(host, strlen(host), NULL) != 0)
        fail_msg("taken for a host: %s", host);
    if (error == 0)
        free(argv);
}

/* That a canary would appear. */
static void see_a_canary(spawner_world_t *w)
{
    BEGIN(w, 1, "/bin/sh", "-c", "echo web-1$(touch canary)");
    WORLD_UNTIL(w, w->ends == 1);
    assert_int_equal(access("canary", F_OK), 0);
    assert_int_equal(unlink("canary"), 0);
}

static void test_a_thousand_hostile_ones_reach_no_shell(void **state)
{
    spawner_world_t *w = calloc(1, sizeof *w);
    case_t *c = malloc(sizeof *c);
    argv_template_t *t = NULL;
    char why[WHY_BYTES], file[96], host[HOST_BYTES_MAX + 1], longest[512];
    uint64_t random = frames_seed();

    (void)state;
    spawner_world_open(w, AT_ONCE);
    assert_int_equal(chdir(w->dir), 0);
    snprintf(file, sizeof file, "%s/words", w->dir);
    see_a_canary(w);
    assert_int_equal(argv_template_parse(&t, "ssh {host} reboot", why), 0);
    for (int ran = 0; ran < HOSTILE;) {
        do
            any_host(&random, longest);
        while (strlen(longest) > HOST_BYTES_MAX);
        snprintf(host, sizeof host, "%s", longest);
        make_case(&random, w, file, host, c);
        if (strlen(c->template) <= TEMPLATE_BYTES_MAX) {
            run_case(w, c, file, host);
            ran++;
        }
        refuse_host(&random, t);
    }
    assert_int_equal(access("canary", F_OK), -1);
    assert_int_equal(chdir("/"), 0);
    argv_template_destroy(&t);
    free(c);
    spawner_world_close(w);
    free(w);
}

static int write_words(char **argv)
{
    FILE *f = fopen(argv[2], "we");
    if (f == NULL)
        return 1;
    for (int i = 3; argv[i] != NULL; i++)
        fwrite(argv[i], 1, strlen(argv[i]) + 1, f);
    return fclose(f) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_thousand_leave_nothing_behind),
        cmocka_unit_test(test_a_thousand_hostile_ones_reach_no_shell),
    };
    if (argc > 2 && strcmp(argv[1], "--write-words") == 0)
        return write_words(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

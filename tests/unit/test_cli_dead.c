/* `mandrill dead` as it is called, against a publisher that the test plays: its letters are numbered from 1.
 */
#include "cli/command.h"
#include "common/runtime/clock.h"
#include "tests/unit/capture.h"
#include "tests/unit/letters.h"
#include "tests/unit/wire_server.h"
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { STORE_MAX = 3000, WORDS_MAX = 24 };

/* What the publisher has, and how it behaves. Seqs count from 1. */
static struct {
    uint32_t n;
    bool lies[STORE_MAX + 1]; /* is a dead letter */
    uint32_t acted[STORE_MAX + 1];
    uint32_t looks;        /* how many it looks at in one answer */
    uint32_t lose;         /* so many answers to redrive and purge are lost */
    uint32_t full;         /* so many are told that there is no room */
    uint32_t interrupt_at; /* SIGINT after so many acts; 0: never */
    uint32_t acts;
    letter_filter_t last;      /* filter of the last act */
    uint8_t legs;              /* and its legs */
    bool whole[STORE_MAX + 1]; /* no leg of it has ended badly */
} store;

static buffer_t bytes;
static const char *endpoint;
static char out[256 * 1024];
static const char *err;

static void carry_out(const dead_t *d, uint32_t seq)
{
    store.lies[seq] = false;
    store.acted[seq]++;
    store.last = d->filter;
    store.legs = d->legs;
    if (++store.acts == store.interrupt_at)
        kill(getpid(), SIGINT);
}

static void answer(uint32_t to, const dead_t *d)
{
    buffer_t b;
    batch_t batch;
    buried_t rest = two_legs;
    bool acts = d->act == ACT_REDRIVE || d->act == ACT_PURGE || d->act == ACT_DONE;
    uint32_t seq = (uint32_t)(d->filter.id.seq > 0 ? d->filter.id.seq : d->after.seq + 1);
    uint32_t last = d->filter.id.seq > 0 ? seq : store.n;
    buffer_init(&b);
    buried_begin(&batch, &b, d->number);
    if (acts && store.full > 0) {
        store.full--;
        rest.more = true;
        last = 0;
    }
    for (uint32_t looked = 0; seq <= last && looked < store.looks && rest.count < d->max; seq++, looked++) {
        if (seq > store.n || !store.lies[seq])
            continue;
        rest.count++;
        if (acts)
            carry_out(d, seq);
        if (d->act == ACT_LIST) {
            buffer_clear(&bytes);
            letter_t letter = letter_make(&bytes, seq, "web-1", "restart: gave up");
            letter.bad = store.whole[seq] ? 0 : letter.bad;
            buried_add(&batch, &letter);
        }
    }
    rest.more = rest.more || seq <= last;
    if (seq > 1)
        rest.looked_to = (message_id_t){0x5d1e9a0c44f3b210, seq - 1};
    buried_end(&batch, &rest);
    if (acts && rest.count > 0 && store.lose > 0) {
        store.lose--;
        buffer_done(&b);
    } else {
        wire_server_send(to, &b);
    }
}

static void take(const frame_t *frame)
{
    dead_t d;
    if (decode_dead(frame->data, frame->len, &d) == 0)
        answer(frame->routing_id, &d);
}

static int setup(void **state)
{
    (void)state;
    memset(&store, 0, sizeof(store));
    store.looks = STORE_MAX;
    buffer_init(&bytes);
    endpoint = wire_server_start(take);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_server_close();
    buffer_done(&bytes);
    return 0;
}

static void fill(uint32_t n)
{
    store.n = n;
    for (uint32_t seq = 1; seq <= n; seq++)
        store.lies[seq] = true;
}

/* How many are still there. */
static uint32_t left(void)
{
    uint32_t n = 0;
    for (uint32_t seq = 1; seq <= store.n; seq++)
        n += store.lies[seq] ? 1 : 0;
    return n;
}

/* `mandrill dead WORDS... --clients endpoint`: its exit status; `out` and `err` are what it wrote. */
static int dead(const char *const *words)
{
    char copies[WORDS_MAX][256];
    char *argv[WORDS_MAX + 1];
    int argc = 0;
    const char *const first[] = {"dead", "--clients", endpoint, NULL};
    for (int list = 0; list < 2; list++) {
        for (const char *const *word = list == 0 ? first : words; *word; word++) {
            assert_true(argc < WORDS_MAX);
            snprintf(copies[argc], sizeof(copies[argc]), "%s", *word);
            argv[argc] = copies[argc];
            argc++;
        }
    }
    argv[argc] = NULL;
    FILE *to = tmpfile();
    assert_non_null(to);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(to), STDOUT_FILENO);
    capture_begin(STDERR_FILENO);
    wire_server_hand_over();
    int exit_status = command_dead(argc, argv);
    wire_server_hand_over();
    err = capture_end();
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(to);
    size_t n = fread(out, 1, sizeof(out) - 1, to);
    out[n] = '\0';
    fclose(to);
    return exit_status;
}
#define DEAD(...) dead((const char *const[]){__VA_ARGS__, NULL})

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

#define ID(seq) "5d1e9a0c44f3b210-" #seq

static void a_list_goes_on_page_by_page(void **state)
{
    (void)state;
    fill(700);
    store.looks = 9;
    assert_int_equal(DEAD("list"), EXIT_OK);
    assert_int_equal(lines(out), 701);
    assert_has(out, ID(1) "  ");
    assert_has(out, "\n" ID(700) "  ");
    assert_string_equal(err, "");
    assert_int_equal(DEAD("list", "--limit", "20"), EXIT_OK);
    assert_int_equal(lines(out), 21);
}

static void a_list_of_none(void **state)
{
    (void)state;
    assert_int_equal(DEAD("list"), EXIT_OK);
    assert_string_equal(out, "");
    assert_string_equal(err, "mandrill dead: no dead letters\n");
    assert_int_equal(DEAD("list", "--host", "web-1"), EXIT_OK);
    assert_has(err, "no dead letters that the filter lets through\n");
    assert_has(err, "--host 'web-1.*'\n");
}

static void each_line_of_json_is_an_object(void **state)
{
    (void)state;
    fill(3);
    assert_int_equal(DEAD("list", "--json"), EXIT_OK);
    assert_int_equal(lines(out), 3);
    const char *line = out;
    for (int i = 1; i <= 3; i++, line = strchr(line, '\n') + 1) {
        json_t *letter = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(letter);
        assert_string_equal(json_string_value(json_object_get(letter, "host")), "web-1.example.net");
        json_decref(letter);
    }
}

static void letters_by_their_ids(void **state)
{
    (void)state;
    fill(5);
    assert_int_equal(DEAD("list", ID(2), ID(4)), EXIT_OK);
    assert_int_equal(lines(out), 3);
    assert_int_equal(DEAD("list", ID(2), ID(9)), EXIT_FAILED);
    assert_int_equal(lines(out), 2);
    assert_has(err, ID(9) " is not among the dead letters\n");
    assert_int_equal(DEAD("show", ID(3)), EXIT_OK);
    assert_has(out, "id          " ID(3) "\n");
    assert_int_equal(DEAD("show", ID(9)), EXIT_FAILED);
    assert_string_equal(out, "");
}

static void many_are_done_only_when_yes_is_said(void **state)
{
    (void)state;
    static const char *const verbs[] = {"redrive", "purge", "done"};
    for (int i = 0; i < 3; i++) {
        fill(2);
        assert_int_equal(DEAD(verbs[i]), EXIT_USAGE);
        assert_has(err, "2 dead letters would be ");
        assert_has(err, "--yes");
        assert_int_equal(DEAD(verbs[i], ID(1), ID(2)), EXIT_USAGE);
        assert_int_equal(DEAD(verbs[i], "--host", "*"), EXIT_USAGE);
        assert_int_equal(left(), 2);
        assert_int_equal(DEAD(verbs[i], ID(2)), EXIT_OK); /* one that is named */
        assert_int_equal(left(), 1);
        assert_int_equal(DEAD(verbs[i]), EXIT_USAGE); /* all, be it one */
        assert_int_equal(DEAD(verbs[i], "--host", "*"), EXIT_OK);
        assert_int_equal(left(), 0);
    }
}

static void a_dry_run_only_lists(void **state)
{
    (void)state;
    fill(4);
    assert_int_equal(DEAD("purge", "--dry-run"), EXIT_OK);
    assert_int_equal(lines(out), 5);
    assert_has(err, "4 dead letters would be purged\n");
    assert_int_equal(left(), 4);
    assert_int_equal(store.acts, 0);
}

static void done_is_said_of_legs_that_ended_badly(void **state)
{
    (void)state;
    fill(500);
    store.looks = 90;
    for (uint32_t seq = 1; seq <= 500; seq += 2)
        store.whole[seq] = true;
    assert_int_equal(DEAD("done", "--dry-run"), EXIT_OK);
    assert_int_equal(lines(out), 251);
    assert_has(err, "250 dead letters would be marked as done\n");
    assert_int_equal(DEAD("done", ID(7)), EXIT_FAILED);
    assert_has(err, ID(7) " is not among the dead letters with a leg that has ended badly\n");
    assert_int_equal(store.acts, 0);
    assert_int_equal(DEAD("done", ID(4), "--json"), EXIT_OK);
    assert_string_equal(out, "{\"act\":\"done\",\"found\":1,\"done\":1,\"gone\":0,\"unanswered\":0}\n");
    assert_int_equal(store.legs, 0); /* all of them */
    assert_int_equal(DEAD("done", "--yes", "--limit", "10", "--leg", "restart"), EXIT_OK);
    assert_string_equal(out, "10 of 10 dead letters marked as done\n");
    assert_int_equal(store.legs, 2);
    assert_int_equal(store.acted[22], 1);
    assert_int_equal(store.acted[24], 0);
    assert_int_equal(DEAD("done", "--yes"), EXIT_OK);
    assert_string_equal(out, "239 of 239 dead letters marked as done\n");
    assert_int_equal(left(), 250);
    for (uint32_t seq = 1; seq <= 500; seq++)
        assert_int_equal(store.acted[seq], store.whole[seq] ? 0 : 1);
    assert_int_equal(DEAD("done", "--yes"), EXIT_OK);
    assert_has(err, "no dead letters with a leg that has ended badly\n");
}

static void done_of_a_leg(void **state)
{
    (void)state;
    fill(3);
    assert_int_equal(DEAD("done", "--yes", "--leg", "save"), EXIT_OK);
    assert_has(err, "no dead letters whose leg save has ended badly\n");
    assert_int_equal(DEAD("done", "--yes", "--leg", "restarts"), EXIT_FAILED);
    assert_has(err, "--leg: \"restarts\" is no leg of this outbox: expected save or restart\n");
    assert_int_equal(DEAD("done", "--leg", "No Name"), EXIT_USAGE);
    assert_int_equal(DEAD("purge", "--leg", "save"), EXIT_USAGE);
    assert_has(err, "--leg: only done is said of a leg");
    assert_int_equal(left(), 3);
    /* What dies meanwhile was not seen by who said yes. */
    assert_int_equal(DEAD("done", "--yes", "--older-than", "1h", "--newer-than", "2h", "--rate", "20"),
                     EXIT_OK);
    assert_true(store.last.older_ms > 3600000 && store.last.newer_ms > 7200000);
    assert_int_equal(left(), 0);
}

static void each_is_done_once(void **state)
{
    (void)state;
    static const char *const rates[] = {NULL, "--rate", NULL}; /* by the thousand, and one by one */
    for (int i = 0; i < 2; i++) {
        fill(1000);
        store.looks = 300;
        memset(store.acted, 0, sizeof(store.acted));
        assert_int_equal(DEAD("purge", "--yes", rates[i], "100000"), EXIT_OK);
        assert_string_equal(out, "1000 of 1000 dead letters purged\n");
        for (uint32_t seq = 1; seq <= 1000; seq++)
            assert_int_equal(store.acted[seq], 1);
    }
}

static void a_purge_whose_answers_are_lost_counts_what_is_left(void **state)
{
    (void)state;
    fill(1000);
    store.looks = 300;
    store.lose = 2;
    assert_int_equal(DEAD("purge", "--yes"), EXIT_OK);
    assert_string_equal(out, "1000 of 1000 dead letters purged\n");
    assert_int_equal(left(), 0);
}

static void a_limit_is_kept_when_answers_are_lost(void **state)
{
    (void)state;
    fill(50);
    store.lose = 3;
    assert_int_equal(DEAD("redrive", "--yes", "--limit", "10", "--rate", "100000"), EXIT_OK);
    assert_string_equal(out, "10 of 10 dead letters redriven\n");
    assert_int_equal(store.acts, 10);
    for (uint32_t seq = 1; seq <= 10; seq++)
        assert_int_equal(store.acted[seq], 1); /* the oldest ones */
}

static void what_finds_no_room_is_tried_again(void **state)
{
    (void)state;
    fill(6);
    store.full = 4;
    assert_int_equal(DEAD("redrive", "--yes", "--json", "--rate", "100000"), EXIT_OK);
    assert_string_equal(out, "{\"act\":\"redrive\",\"found\":6,\"done\":6,\"gone\":0,\"unanswered\":0}\n");
    store.full = 1000000;
    fill(1);
    assert_int_equal(DEAD("redrive", "--yes", "--timeout", "300ms"), EXIT_FAILED);
    assert_has(err, "the publisher has had no room for 0.3 s");
    assert_string_equal(out, "0 of 1 dead letter redriven\n");
}

/* Only from below: how long it takes at most is the machine's. */
static void a_rate_is_kept(void **state)
{
    (void)state;
    fill(30);
    int64_t start_ms = clock_ms();
    assert_int_equal(DEAD("redrive", "--yes"), EXIT_OK);
    assert_true(clock_ms() - start_ms >= 200);
}

static void stopped_in_the_middle_it_tells_how_many(void **state)
{
    (void)state;
    fill(2000);
    store.interrupt_at = 20;
    assert_int_equal(DEAD("redrive", "--yes"), EXIT_FAILED);
    char expected[80];
    snprintf(expected, sizeof(expected), "%u of 2000 dead letters redriven\n", 2000 - left());
    assert_string_equal(out, expected);
    snprintf(expected, sizeof(expected), "stopped: %u stay as they were\n", left());
    assert_has(err, expected);
    assert_true(left() > 0);
}

static void ages_of_a_purge_are_those_of_the_count(void **state)
{
    (void)state;
    fill(2);
    assert_int_equal(DEAD("purge", "--yes", "--older-than", "1h", "--newer-than", "2h"), EXIT_OK);
    assert_true(store.last.older_ms >= 3600000 && store.last.newer_ms >= 7200000);
    assert_true(store.last.newer_ms - store.last.older_ms == 3600000);
}

static void wrong_words_are_told(void **state)
{
    (void)state;
    assert_int_equal(DEAD("lst"), EXIT_USAGE);
    assert_has(err, "unknown command \"lst\"; did you mean \"list\"?\n");
    assert_int_equal(DEAD("x\033"), EXIT_USAGE);
    assert_has(err, "unknown command \"x\\x1b\": expected list, show, redrive, purge or done\n");
    assert_int_equal(dead((const char *const[]){NULL}), EXIT_USAGE);
    assert_int_equal(DEAD("show"), EXIT_USAGE);
    assert_int_equal(DEAD("show", "42"), EXIT_USAGE);
    assert_has(err, "\"42\" is no ID");
    assert_int_equal(DEAD("list", "--host", ""), EXIT_USAGE);
    assert_int_equal(DEAD("list", "--hots", "x"), EXIT_USAGE);
    assert_has(err, "--host");
    assert_int_equal(DEAD("redrive", "--rate", "0"), EXIT_USAGE);
    assert_int_equal(DEAD("redrive", "--limit", "0"), EXIT_USAGE);
    assert_int_equal(DEAD("list", "--older-than", "soon"), EXIT_USAGE);
    assert_int_equal(DEAD("list", "--older-than", "2h", "--newer-than", "1h"), EXIT_USAGE);
}

/* MANDRILL_RATE is how fast `up` publishes. */
static void the_rate_has_a_variable_of_its_own(void **state)
{
    (void)state;
    fill(1);
    setenv("MANDRILL_RATE", "random", 1);
    assert_int_equal(DEAD("list"), EXIT_OK);
    setenv("MANDRILL_DEAD_RATE", "random", 1);
    assert_int_equal(DEAD("list"), EXIT_USAGE);
    assert_has(err, "MANDRILL_DEAD_RATE: \"random\"");
    unsetenv("MANDRILL_RATE");
    unsetenv("MANDRILL_DEAD_RATE");
}

static void nobody_there(void **state)
{
    (void)state;
    endpoint = "ipc:///tmp/mandrill-nobody.ipc";
    assert_int_equal(DEAD("list", "--timeout", "100ms"), EXIT_FAILED);
    assert_has(err, "nobody listens at ipc:///tmp/mandrill-nobody.ipc");
    assert_has(err, "--data DIR");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_list_goes_on_page_by_page),
        with_store(a_list_of_none),
        with_store(each_line_of_json_is_an_object),
        with_store(letters_by_their_ids),
        with_store(many_are_done_only_when_yes_is_said),
        with_store(a_dry_run_only_lists),
        with_store(done_is_said_of_legs_that_ended_badly),
        with_store(done_of_a_leg),
        with_store(each_is_done_once),
        with_store(a_purge_whose_answers_are_lost_counts_what_is_left),
        with_store(a_limit_is_kept_when_answers_are_lost),
        with_store(what_finds_no_room_is_tried_again),
        with_store(a_rate_is_kept),
        with_store(stopped_in_the_middle_it_tells_how_many),
        with_store(ages_of_a_purge_are_those_of_the_count),
        with_store(wrong_words_are_told),
        with_store(the_rate_has_a_variable_of_its_own),
        with_store(nobody_there),
    };
    /* Not a terminal; and no thread may die of the SIGINT that is the command's to read. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || !freopen("/dev/null", "r", stdin))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

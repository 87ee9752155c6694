/* `mandrill dead` over the real programs: what fails is found, looked at, tried again with a worker that is
 * well, or thrown away; while a publisher runs and while none does. */
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOSTS = 8 };

typedef struct {
    process_t *publisher, *save, *restart;
} programs_t;

static process_t *failing(rig_t *rig, unsigned n)
{
    return start_restart(rig, n, 1, ARGS("--simulate", "0..5", "--fail", "1"));
}

/* A pipeline in which every restart fails, and HOSTS messages that died of it. */
static void start_and_fail(rig_t *rig, programs_t *p)
{
    p->publisher = start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, ARGS("--max-tries", "2", "--backoff", "10ms"));
    p->save = start_save(rig, 0, 1, ARGS("--log-messages"));
    p->restart = failing(rig, 0);
    publish_hosts(rig, 0, "web", HOSTS);
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) == HOSTS);
}

/* `mandrill dead WORDS...` to publisher 0: its exit status; what it wrote is in *ret. */
static int dead(rig_t *rig, process_t **ret, const char *const *words)
{
    static unsigned calls;
    const char *arguments[PROCESS_ARGUMENTS_MAX] = {"dead", "--clients", rig_way_to(rig, "clients-0")};
    char name[PROCESS_NAME_MAX];
    size_t n = 3;

    while (*words != NULL)
        arguments[n++] = *words++;
    arguments[n] = NULL;
    snprintf(name, sizeof name, "dead-%u", calls++);
    *ret = rig_spawn(rig, name, "mandrill", arguments);
    return process_wait(*ret, WAIT_MS);
}
#define DEAD(rig, ret, ...) dead((rig), (ret), ARGS(__VA_ARGS__))

/* The lines of JSON that it wrote, as an array. */
static json_t *lines_of(const process_t *p)
{
    json_t *all = json_array();
    char *text = test_read_file(p->out);

    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *one = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(one);
        json_array_append_new(all, one);
    }
    free(text);
    return all;
}

static json_t *list(rig_t *rig)
{
    process_t *p;

    assert_int_equal(DEAD(rig, &p, "list", "--json"), 0);
    return lines_of(p);
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* How many events of its history have this outcome. */
static unsigned outcomes(const json_t *letter, const char *outcome)
{
    const json_t *history = json_object_get(letter, "history");
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(history); i++)
        n += strcmp(text_at(json_array_get(history, i), "outcome"), outcome) == 0;
    return n;
}

static void test_letters_are_listed_and_shown(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    json_t *letters = list(rig);
    assert_int_equal(json_array_size(letters), HOSTS);
    for (size_t i = 0; i < HOSTS; i++) {
        const json_t *letter = json_array_get(letters, i);
        assert_string_equal(text_at(json_object_get(letter, "legs"), "save"), "done");
        assert_string_equal(text_at(json_object_get(letter, "legs"), "restart"), "bad");
        assert_int_equal(outcomes(letter, "OK"), 1); /* the save, told because another try failed */
        assert_int_equal(outcomes(letter, "PERMANENT") == 1 || outcomes(letter, "TRANSIENT") == 2, 1);
    }
    const char *id = text_at(json_array_get(letters, 3), "id");
    assert_int_equal(DEAD(rig, &p, "show", id), 0);
    assert_int_equal(process_out_count(p, id), 1);
    assert_int_equal(process_out_count(p, "save done, restart bad"), 1);
    assert_int_equal(DEAD(rig, &p, "list"), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "show", "00000000000000ff-1"), 1);
    json_decref(letters);
    rig_passed(rig);
}

static void test_filters(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    assert_int_equal(DEAD(rig, &p, "list", "--host", "web-[0-9]*"), 0); /* a glob, no pattern of a shell */
    assert_int_equal(process_out_count(p, "\n"), 0);
    assert_int_equal(DEAD(rig, &p, "list", "--host", "web-?.*"), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "list", "--host", "web-3.*"), 0);
    assert_int_equal(process_out_count(p, "\n"), 2);
    assert_int_equal(DEAD(rig, &p, "list", "--older-than", "1h"), 0);
    assert_int_equal(process_out_count(p, "\n"), 0);
    assert_int_equal(DEAD(rig, &p, "list", "--newer-than", "1h", "--reason", "*"), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "list", "--reason", "nothing like it"), 0);
    assert_int_equal(process_out_count(p, "\n"), 0);
    rig_passed(rig);
}

static void test_a_worker_that_is_well_does_what_is_redriven(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    assert_int_equal(DEAD(rig, &p, "redrive", "--dry-run"), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "redrive"), 2);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), HOSTS);
    assert_int_equal(process_stop(programs.restart), 0);
    start_restart(rig, 1, 1, ARGS("--simulate", "0..5"));
    assert_int_equal(DEAD(rig, &p, "redrive", "--yes", "--json"), 0);
    json_t *told = lines_of(p);
    assert_int_equal(json_number(json_array_get(told, 0), "done"), HOSTS);
    json_decref(told);
    WAIT(status_number(rig, "clients-0", "acked") == HOSTS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    /* What was saved is not saved again. */
    assert_int_equal(saved(rig, 0), HOSTS);
    assert_int_equal(process_log_count(programs.save, "Saved web-"), HOSTS);
    rig_passed(rig);
}

static void test_who_dies_again_has_both_histories(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    json_t *before = list(rig);
    const char *id = text_at(json_array_get(before, 0), "id");
    size_t tries = json_array_size(json_object_get(json_array_get(before, 0), "history"));
    assert_int_equal(DEAD(rig, &p, "redrive", id), 0);
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) == HOSTS &&
         status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(DEAD(rig, &p, "show", id, "--json"), 0);
    json_t *after = lines_of(p);
    const json_t *letter = json_array_get(after, 0);
    assert_int_equal(outcomes(letter, "REDRIVEN"), 1);
    assert_int_equal(outcomes(letter, "OK"), 1);
    assert_true(json_array_size(json_object_get(letter, "history")) > tries + 1);
    json_decref(before);
    json_decref(after);
    rig_passed(rig);
}

static void test_purge(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    assert_int_equal(DEAD(rig, &p, "purge", "--host", "web-3.*"), 0);
    assert_int_equal(process_out_count(p, "1 of 1 dead letter purged"), 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), HOSTS - 1);
    assert_int_equal(DEAD(rig, &p, "purge"), 2);
    assert_int_equal(DEAD(rig, &p, "purge", "--yes"), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    rig_passed(rig);
}

static void test_done(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;

    start_and_fail(rig, &programs);
    assert_int_equal(DEAD(rig, &p, "done", "--dry-run"), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "done"), 2);
    assert_int_equal(DEAD(rig, &p, "done", "--yes", "--leg", "save"), 0); /* it is done */
    assert_int_equal(DEAD(rig, &p, "done", "--yes", "--leg", "stop"), 1);
    assert_int_equal(process_log_count(p, "expected save or restart"), 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), HOSTS);
    assert_int_equal(DEAD(rig, &p, "done", "--host", "web-3.*"), 0);
    assert_int_equal(process_out_count(p, "1 of 1 dead letter marked as done"), 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), HOSTS - 1);
    assert_int_equal(DEAD(rig, &p, "done", "--yes", "--json"), 0);
    json_t *told = lines_of(p);
    assert_int_equal(json_number(json_array_get(told, 0), "done"), HOSTS - 1);
    json_decref(told);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    assert_int_equal(status_number(rig, "clients-0", "acked"), HOSTS);
    assert_int_equal(status_number(rig, "clients-0", "died"), 0);
    rig_passed(rig);
}

static void test_an_idle_outbox(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;
    char data[TEST_PATH_MAX], outbox[TEST_PATH_MAX], moved[TEST_PATH_MAX];

    start_and_fail(rig, &programs);
    assert_int_equal(process_stop(programs.publisher), 0);
    assert_int_equal(mkdir(rig_path(rig, "data", data), 0700), 0);
    assert_int_equal(rename(rig_path(rig, "outbox-0.db", outbox), rig_path(rig, "data/outbox.db", moved)), 0);
    assert_int_equal(DEAD(rig, &p, "list", "--data", data), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS + 1);
    assert_int_equal(DEAD(rig, &p, "redrive", "--data", data, "--host", "web-3.*"), 0);
    assert_int_equal(DEAD(rig, &p, "purge", "--data", data, "--host", "web-4.*"), 0);
    assert_int_equal(DEAD(rig, &p, "done", "--data", data, "--host", "web-5.*", "--leg", "restart"), 0);
    assert_int_equal(process_out_count(p, "1 of 1 dead letter marked as done"), 1);
    assert_int_equal(DEAD(rig, &p, "list", "--data", data), 0);
    assert_int_equal(process_out_count(p, "\n"), HOSTS - 3 + 1);
    /* A publisher that runs over it finds what was redriven; meanwhile nobody else may look in. */
    assert_int_equal(rename(moved, outbox), 0);
    assert_int_equal(symlink(outbox, moved), 0);
    process_start(programs.publisher);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), HOSTS - 2);
    char owner[32];
    snprintf(owner, sizeof owner, "in use by process %ld:", (long)programs.publisher->pid);
    assert_int_equal(DEAD(rig, &p, "list", "--data", data), 1);
    assert_int_equal(process_log_count(p, owner), 1);
    rig_passed(rig);
}

static void test_a_redrive_that_is_stopped_tells_how_many(void **state)
{
    rig_t *rig = *state;
    programs_t programs;
    process_t *p;
    unsigned done;

    start_and_fail(rig, &programs);
    p = SPAWN(rig, "redrive", "mandrill", "dead", "--clients", rig_way_to(rig, "clients-0"), "redrive",
              "--yes", "--rate", "0.5");
    /* The first goes at once, the next two seconds later. */
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) < HOSTS ||
         status_number(rig, "clients-0", STATUS_BACKLOG) > 0);
    process_signal(p, SIGINT);
    assert_int_equal(process_wait(p, WAIT_MS), 1);
    char *told = test_read_file(p->out);
    assert_int_equal(sscanf(told, "%u of 8 dead letters redriven", &done), 1);
    assert_true(done >= 1 && done < HOSTS);
    free(told);
    assert_int_equal(process_log_count(p, "stopped: "), 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_letters_are_listed_and_shown),
        RIG_TESTS(test_filters),
        RIG_TESTS(test_a_worker_that_is_well_does_what_is_redriven),
        RIG_TESTS(test_who_dies_again_has_both_histories),
        RIG_TESTS(test_purge),
        RIG_TESTS(test_done),
        RIG_TESTS(test_an_idle_outbox),
        RIG_TESTS(test_a_redrive_that_is_stopped_tells_how_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

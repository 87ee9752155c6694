/* A load and lines: how many, when, and what becomes of them when a round is undone. */
#include "common/runtime/log.h"
#include "publisher/sources.h"
#include "tests/unit/publisher_fixture.h"

#include <fcntl.h>

typedef struct {
    world_t *w;
    settings_t settings;
    loop_t loop;
    sources_t sources;
    char path[96];
} sourced_t;

static int setup(void **state)
{
    sourced_t *s = calloc(1, sizeof *s);
    log_open("test", LOG_ERROR);
    s->settings = (settings_t){.domain = "example.net", .batch = 10};
    loop_init(&s->loop);
    s->sources.item = -1;
    *state = s;
    if (world_open((void **)&s->w) < 0)
        return -1;
    snprintf(s->path, sizeof s->path, "%s/lines", s->w->f->dir);
    return 0;
}

static int teardown(void **state)
{
    sourced_t *s = *state;
    sources_close(&s->sources);
    unlink(s->path);
    int r = world_close((void **)&s->w);
    free(s);
    return r;
}

static void begin(sourced_t *s)
{
    char why[WHY_BYTES];
    assert_int_equal(
        sources_open(&s->sources, &s->settings, s->w->outbox, s->w->delivery, &s->w->round, &s->loop, why),
        0);
    s->sources.rate_us = s->sources.random_due_us = s->w->round.now_us;
}

/* A turn at the given time; how many messages it published. */
static uint64_t turn_at(sourced_t *s, int64_t now_ms)
{
    uint64_t before = s->w->round.counts.published;
    s->w->now_ms = now_ms;
    round_time(&s->w->round, now_ms, now_ms * 1000, clock_wall_ms());
    sources_fill(&s->sources, backlog_in_order(&s->w->backlog));
    assert_int_equal(round_commit(&s->w->round), 0);
    round_end(&s->w->round);
    sources_committed(&s->sources);
    return s->w->round.counts.published - before;
}

static uint64_t turn(sourced_t *s)
{
    return turn_at(s, s->w->now_ms);
}

static void write_lines(sourced_t *s, const char *text)
{
    FILE *f = fopen(s->path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    s->settings.from = s->path;
}

static body_t body_of(sourced_t *s, uint64_t id)
{
    outbox_row_t row;
    body_t body;
    assert_int_equal(outbox_find(s->w->outbox, id, &row), 0);
    assert_int_equal(body_parse(row.body, row.body_len, &body), 0);
    return body;
}

static void a_load_ends(void **state)
{
    sourced_t *s = *state;
    s->settings.load = 25;
    begin(s);
    assert_int_equal(sources_total(&s->sources), 25);
    assert_int_equal(turn(s), 10);
    assert_int_equal(sources_next_ms(&s->sources), s->w->now_ms); /* at once again */
    assert_int_equal(turn(s), 10);
    assert_false(sources_finished(&s->sources));
    assert_int_equal(turn(s), 5);
    assert_true(sources_finished(&s->sources));
    assert_int_equal(turn(s), 0);
    assert_int_equal(sources_next_ms(&s->sources), INT64_MAX);
    body_t body = body_of(s, TEST_EPOCH(1, 1));
    assert_int_equal(body.host_len, 23);
    assert_memory_equal(body.host, "cattle-", 7);
    assert_memory_equal(body.host + 11, ".example.net", 12);
    for (int i = 7; i < 11; i++)
        assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz0123456789", body.host[i]));
    char first[12] = "";
    memcpy(first, body.host, 11);
    assert_memory_not_equal(first, body_of(s, TEST_EPOCH(1, 2)).host, 11);
}

static void a_load_without_a_rate_stays_in_memory(void **state)
{
    sourced_t *s = *state;
    s->settings.load = LOAD_FOREVER;
    begin(s);
    uint64_t published = 0;
    for (int i = 0; i < 20; i++)
        published += turn(s);
    assert_int_equal(published, 64); /* ready_max of the fixture */
    assert_int_equal(sources_next_ms(&s->sources), INT64_MAX);
    delivery_session_open(s->w->delivery, SESSION, 1000);
    assert_int_equal(round_commit(&s->w->round), 0);
    assert_int_equal(take(s->w, 7), 7);
    assert_int_equal(turn(s), 7);
    assert_int_equal(sources_total(&s->sources), 0);
}

static void a_rate_is_kept(void **state)
{
    sourced_t *s = *state;
    s->settings.load = LOAD_FOREVER;
    s->settings.rate = 2000;
    begin(s);
    int64_t start_ms = s->w->now_ms;
    assert_int_equal(turn(s), 0);
    uint64_t published = 0;
    for (int64_t ms = 1; ms <= 500; ms++) {
        assert_true(sources_next_ms(&s->sources) <= start_ms + ms);
        published += turn_at(s, start_ms + ms);
        assert_in_range(published, (uint64_t)ms * 2 - 1, (uint64_t)ms * 2 + 1);
    }
    assert_false(backlog_in_order(&s->w->backlog)); /* beyond the window it goes to disk */
    /* Late by 10 s: one second is made up for, not ten. */
    for (int i = 0; i < 1000; i++)
        published += turn_at(s, start_ms + 10500);
    assert_in_range(published, 2990, 3010);
}

static void a_slow_rate(void **state)
{
    sourced_t *s = *state;
    s->settings.load = 2;
    s->settings.rate = 0.5;
    begin(s);
    int64_t start_ms = s->w->now_ms;
    assert_int_equal(turn(s), 0);
    assert_int_equal(sources_next_ms(&s->sources), start_ms + 2000);
    assert_int_equal(turn_at(s, start_ms + 1999), 0);
    assert_int_equal(turn_at(s, start_ms + 2000), 1);
    assert_int_equal(sources_next_ms(&s->sources), start_ms + 4000);
    assert_int_equal(turn_at(s, start_ms + 4000), 1);
    assert_true(sources_finished(&s->sources));
}

static void another_rate_counts_from_its_change(void **state)
{
    sourced_t *s = *state;
    s->settings.load = LOAD_FOREVER;
    s->settings.rate = 0.5;
    begin(s);
    int64_t start_ms = s->w->now_ms;
    assert_int_equal(turn_at(s, start_ms + 2000), 1);
    s->settings.rate = 10;
    sources_rate(&s->sources, (start_ms + 3000) * 1000);
    assert_int_equal(turn_at(s, start_ms + 3000), 0);
    assert_int_equal(sources_next_ms(&s->sources), start_ms + 3100);
    assert_int_equal(turn_at(s, start_ms + 3099), 0);
    assert_int_equal(turn_at(s, start_ms + 3100), 1);
    assert_int_equal(turn_at(s, start_ms + 3300), 2);
}

static void random_waits_of_up_to_a_second(void **state)
{
    sourced_t *s = *state;
    s->settings.load = LOAD_FOREVER;
    s->settings.rate_random = true;
    begin(s);
    int64_t first_ms = s->w->now_ms, last_ms = first_ms;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(turn(s), 1);
        last_ms = sources_next_ms(&s->sources);
        assert_in_range(last_ms - s->w->now_ms, 0, 1000);
        if (last_ms > s->w->now_ms)
            assert_int_equal(turn_at(s, last_ms - 1), 0);
        s->w->now_ms = last_ms;
    }
    assert_in_range(last_ms - first_ms, 15000, 35000); /* 50 times half a second, give or take */
}

static void a_load_waits_for_a_consumer(void **state)
{
    sourced_t *s = *state;
    s->settings.load = 5;
    s->settings.await_consumer = true;
    begin(s);
    assert_int_equal(turn(s), 0);
    delivery_session_open(s->w->delivery, SESSION, 0);
    assert_int_equal(turn(s), 0); /* it takes nothing yet */
    delivery_session_window(s->w->delivery, SESSION, 3);
    assert_int_equal(turn(s), 5);
}

static void a_position_is_kept_with_the_messages(void **state)
{
    sourced_t *s = *state;
    s->settings.load = 25;
    s->settings.load_id = "monday";
    begin(s);
    assert_int_equal(turn(s), 10);
    /* An undone round takes its position back. */
    sources_fill(&s->sources, true);
    round_fail(&s->w->round, -ENOSPC);
    assert_int_equal(round_commit(&s->w->round), -ENOSPC);
    sources_undone(&s->sources);
    assert_int_equal(s->sources.position, 10);
    sources_close(&s->sources);
    close_world(s->w, false);
    open_world(s->w);
    begin(s);
    assert_int_equal(sources_total(&s->sources), 15);
    uint64_t published = 0;
    for (int i = 0; i < 5; i++)
        published += turn(s);
    assert_int_equal(published, 15);
    assert_true(sources_finished(&s->sources));
    sources_close(&s->sources);
    begin(s);
    assert_true(sources_finished(&s->sources));
    assert_int_equal(turn(s), 0);
}

static void bad_lines_are_counted_and_stop_nothing(void **state)
{
    sourced_t *s = *state;
    write_lines(s, "web-1\n; rm -rf /\n\nweb-2.example.org\n{\"instance\":\"web-3\",\"why\":\"disk\"}\n"
                   "{\"instance\":\"web-4\"\nWEB\nlast");
    begin(s);
    uint64_t published = 0;
    for (int i = 0; i < 10 && !sources_finished(&s->sources); i++)
        published += turn(s);
    assert_true(sources_finished(&s->sources));
    assert_int_equal(published, 4);
    assert_int_equal(s->sources.refused, 4);
    assert_int_equal(s->sources.last_good, 8);
    body_t body = body_of(s, TEST_EPOCH(1, 3));
    assert_memory_equal(body.host, "web-3.example.net", 17);
    assert_int_equal(body.attributes, 1);
    body = body_of(s, TEST_EPOCH(1, 4));
    assert_memory_equal(body.host, "last.example.net", 16);
    assert_false(sources_failed(&s->sources));
}

static void lines_of_an_undone_round_come_again(void **state)
{
    sourced_t *s = *state;
    write_lines(s, "a\nb\n!\nc\nd\n");
    s->settings.batch = 3;
    begin(s);
    round_time(&s->w->round, s->w->now_ms, s->w->now_ms * 1000, clock_wall_ms());
    sources_fill(&s->sources, true);
    assert_int_equal(s->sources.refused, 1);
    round_fail(&s->w->round, -ENOSPC);
    assert_int_equal(round_commit(&s->w->round), -ENOSPC);
    sources_undone(&s->sources);
    assert_true(sources_next_ms(&s->sources) > s->w->now_ms); /* not at once: the disk is full */
    uint64_t published = 0;
    for (int i = 0; i < 10 && !sources_finished(&s->sources); i++)
        published += turn(s);
    assert_int_equal(published, 4);
    assert_int_equal(s->sources.refused, 1); /* told once */
    assert_memory_equal(body_of(s, TEST_EPOCH(1, 1)).host, "a.", 2);
    assert_memory_equal(body_of(s, TEST_EPOCH(1, 4)).host, "d.", 2);
}

static void lines_go_on_behind_the_position(void **state)
{
    sourced_t *s = *state;
    write_lines(s, "a\n!\nc\nd\ne\n");
    s->settings.batch = 2;
    s->settings.load_id = "file";
    begin(s);
    assert_int_equal(turn(s), 1);
    sources_close(&s->sources);
    close_world(s->w, false);
    open_world(s->w);
    begin(s);
    uint64_t published = 0;
    for (int i = 0; i < 10 && !sources_finished(&s->sources); i++)
        published += turn(s);
    assert_int_equal(published, 3);
    assert_int_equal(s->sources.refused, 0); /* that was told then */
    assert_memory_equal(body_of(s, TEST_EPOCH(2, 1)).host, "c.", 2);
}

static void a_drain_stops_the_source(void **state)
{
    sourced_t *s = *state;
    s->settings.load = 100;
    begin(s);
    turn(s);
    sources_stop(&s->sources);
    assert_int_equal(turn(s), 0);
    assert_int_equal(sources_next_ms(&s->sources), INT64_MAX);
    assert_false(sources_finished(&s->sources));
}

/* Nothing to read at the moment: the loop waits for the descriptor, and only then. */
static void an_open_pipe_is_waited_for(void **state)
{
    sourced_t *s = *state;
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    s->settings.from = "-";
    begin(s);
    assert_int_equal(turn(s), 0);
    assert_true(s->sources.item >= 0);
    assert_int_equal(sources_next_ms(&s->sources), INT64_MAX);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    assert_int_equal(turn(s), 1);
    assert_int_equal(turn(s), 0);
    close(ends[1]);
    assert_int_equal(turn(s), 1);
    assert_int_equal(turn(s), 0);
    assert_true(sources_finished(&s->sources));
    assert_int_equal(s->sources.item, -1);
    dup2(kept, STDIN_FILENO);
    close(kept);
}

static void a_missing_file(void **state)
{
    sourced_t *s = *state;
    char why[WHY_BYTES];
    s->settings.from = s->path;
    assert_int_equal(
        sources_open(&s->sources, &s->settings, s->w->outbox, s->w->delivery, &s->w->round, &s->loop, why),
        -ENOENT);
    assert_non_null(strstr(why, s->path));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_load_ends),
        TEST(a_load_without_a_rate_stays_in_memory),
        TEST(a_rate_is_kept),
        TEST(a_slow_rate),
        TEST(another_rate_counts_from_its_change),
        TEST(random_waits_of_up_to_a_second),
        TEST(a_load_waits_for_a_consumer),
        TEST(a_position_is_kept_with_the_messages),
        TEST(bad_lines_are_counted_and_stop_nothing),
        TEST(lines_of_an_undone_round_come_again),
        TEST(lines_go_on_behind_the_position),
        TEST(a_drain_stops_the_source),
        TEST(an_open_pipe_is_waited_for),
        TEST(a_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

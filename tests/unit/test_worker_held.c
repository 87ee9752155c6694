#include "workers/held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static held_t held;

static int setup(void **state)
{
    (void)state;
    held_init(&held);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    held_done(&held);
    return 0;
}

static held_task_t *add(uint64_t ref, const char *body)
{
    const task_record_t record = {
        .ref = ref, .try_no = 2, .id = {9, ref}, .body = body, .body_len = (uint32_t)strlen(body)};
    held_task_t *h = held_add(&held, &record);
    assert_non_null(h);
    return h;
}

static void a_task_is_copied(void **state)
{
    (void)state;
    char body[] = "body";
    held_task_t *h = add(5, body);
    memset(body, 'x', sizeof body);
    assert_int_equal(h->ref, 5);
    assert_int_equal(h->task.try_no, 2);
    assert_int_equal(h->task.id.seq, 5);
    assert_int_equal(h->len, 4);
    assert_memory_equal(h->bytes, "body", 4);
    assert_ptr_equal(held_at(&held, h->task.number), h);
}

static void a_note_is_copied(void **state)
{
    (void)state;
    char note[] = "note";
    const task_record_t record = {
        .ref = 1, .try_no = 1, .body = "body", .body_len = 4, .note = note, .note_len = 4};
    held_task_t *h = held_add(&held, &record);
    assert_non_null(h);
    memset(note, 'x', sizeof note);
    assert_int_equal(h->task.note_len, 4);
    assert_memory_equal(h->task.note, "note", 4);
    held_remove(&held, h->task.number);
    assert_int_equal(held.bodies.bytes_used, 0);
    /* The place is used again, by a task without one. */
    h = add(2, "body");
    assert_null(h->task.note);
    assert_int_equal(h->task.note_len, 0);
}

static void an_empty_body_is_a_task_too(void **state)
{
    (void)state;
    const held_task_t *h = add(1, "");
    assert_int_equal(h->len, 0);
    held_remove(&held, h->task.number);
    assert_int_equal(held.count, 0);
}

static void a_body_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static char body[BODY_BYTES_MAX + 1];
    const task_record_t record = {.ref = 1, .try_no = 1, .body = body, .body_len = sizeof body};
    assert_null(held_add(&held, &record));
    assert_int_equal(held.count, 0);
}

/* Kinds keep pointers to tasks, so these stay where they are while the table grows. */
static void tasks_stay_where_they_are(void **state)
{
    (void)state;
    held_task_t *first = add(0, "first");
    for (uint64_t i = 1; i < 3 * HELD_CHUNK; i++)
        add(i, "other");
    assert_int_equal(held.count, 3 * HELD_CHUNK);
    assert_ptr_equal(held_at(&held, first->task.number), first);
    assert_memory_equal(first->bytes, "first", 5);
}

static void places_are_used_again(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < HELD_CHUNK; i++)
            add(i, "x");
        for (uint32_t i = 0; i < HELD_CHUNK; i++)
            held_remove(&held, i);
    }
    assert_int_equal(held.chunks_count, 1);
    assert_int_equal(held.count, 0);
    assert_int_equal(held.bodies.bytes_used, 0);
}

static void a_walk_meets_what_is_held(void **state)
{
    (void)state;
    assert_int_equal(held_next(&held, HELD_NONE), HELD_NONE);
    for (uint64_t i = 0; i < 2 * HELD_CHUNK; i++)
        add(i, "x");
    for (uint32_t i = 0; i < 2 * HELD_CHUNK; i++)
        if (i != 3 && i != 2 * HELD_CHUNK - 1)
            held_remove(&held, i);
    uint32_t n = held_next(&held, HELD_NONE);
    assert_int_equal(n, 3);
    n = held_next(&held, n);
    assert_int_equal(n, 2 * HELD_CHUNK - 1);
    assert_int_equal(held_next(&held, n), HELD_NONE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_copied),
        TEST(a_note_is_copied),
        TEST(an_empty_body_is_a_task_too),
        TEST(a_body_that_is_too_long_is_refused),
        TEST(tasks_stay_where_they_are),
        TEST(places_are_used_again),
        TEST(a_walk_meets_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

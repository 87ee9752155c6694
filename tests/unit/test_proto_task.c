#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto_cases.h"

static buffer_t b;
static batch_t batch;

static int clear(void **state)
{
    (void)state;
    buffer_done(&b);
    return 0;
}

/* --- TASKS --- */

static task_record_t tasks[RECORDS_MAX];

static int tasks_of(const buffer_t *frame)
{
    tasks_t head;
    memset(&head, UNTOUCHED, sizeof head);
    int rc = decode_tasks(frame->data, frame->len, &head, tasks);
    assert_untouched(rc, &head, sizeof head);
    return rc;
}

static void tasks_come_back(void **state)
{
    (void)state;
    tasks_t head;
    const task_record_t given[] = {
        {.ref = 0, .try_no = 1, .id = {1, 1}, .body = "", .body_len = 0},
        {.ref = CODEC_INT_MAX,
         .try_no = UINT32_MAX,
         .id = {CODEC_INT_MAX, SEQ_MAX},
         .body = "\0\xff",
         .body_len = 2},
        {.ref = UINT64_C(4294967296), .try_no = 2, .id = {900, 1}, .body = "body", .body_len = 4},
    };
    tasks_begin(&batch, &b, &(tasks_t){.seen = CODEC_INT_MAX, .limit_ms = DURATION_MS_MAX});
    for (int i = 0; i < 3; i++) {
        tasks_add(&batch, &given[i]);
    }
    batch_end(&batch);
    assert_command(&b, CMD_TASKS);
    assert_int_equal(decode_tasks(b.data, b.len, &head, tasks), 3);
    assert_true(head.seen == CODEC_INT_MAX);
    assert_int_equal(head.limit_ms, DURATION_MS_MAX);
    for (int i = 0; i < 3; i++) {
        assert_true(tasks[i].ref == given[i].ref);
        assert_int_equal(tasks[i].try_no, given[i].try_no);
        assert_true(tasks[i].id.stream == given[i].id.stream && tasks[i].id.seq == given[i].id.seq);
        assert_int_equal(tasks[i].body_len, given[i].body_len);
        assert_memory_equal(tasks[i].body, given[i].body, given[i].body_len);
    }
}

static void tasks_out_of_their_ranges(void **state)
{
    (void)state;
    /* Not expect_only(): a body that comes twice is a body and a note. */
    expect(tasks_of, "[20,0,30000,[[4294967296,1,900,1,\"bin:body\"],[0,1,900,2,\"bin:\"]]]", 2);
    expect(tasks_of, "[20,0,30000,[[1,1,900,1,\"bin:body\",\"bin:note\"]]]", 1);
    refuse(tasks_of, "[20,0,30000,[[1,1,900,1,\"bin:body\",\"note\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,900,1,\"bin:body\",\"bin:note\",\"bin:note\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,900,1]]]");
    expect(tasks_of, "[20,0,30000,[]]", 0);
    refuse(tasks_of, "[20,0,86400001,[]]");
    refuse(tasks_of, "[20,0,30000,[[1,0,900,1,\"bin:body\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,4294967296,900,1,\"bin:body\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,0,1,\"bin:body\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,900,0,\"bin:body\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,900,1099511627776,\"bin:body\"]]]");
    refuse(tasks_of, "[20,0,30000,[[1,1,900,1,\"body\"]]]");
}

static void tasks_at_their_limits(void **state)
{
    (void)state;
    static uint8_t large[BODY_BYTES_MAX + 1];
    task_record_t t = {.ref = 1, .try_no = 1, .id = {1, 1}, .body = large};
    for (uint32_t extra = 0; extra <= 1; extra++) {
        buffer_clear(&b);
        t.body_len = BODY_BYTES_MAX + extra;
        tasks_begin(&batch, &b, &(tasks_t){0});
        tasks_add(&batch, &t);
        batch_end(&batch);
        assert_int_equal(tasks_of(&b), extra ? -EPROTO : 1);
    }
    buffer_clear(&b);
    t.body_len = 0;
    tasks_begin(&batch, &b, &(tasks_t){0});
    while (!batch_full(&batch)) {
        tasks_add(&batch, &t);
    }
    batch_end(&batch);
    assert_int_equal(tasks_of(&b), RECORDS_MAX);
    tasks_add(&batch, &t);
    batch_end(&batch);
    assert_int_equal(tasks_of(&b), -E2BIG);
}

static void a_frame_without_tasks_still_says_what_was_seen(void **state)
{
    (void)state;
    tasks_t head;
    frame_json(&b, "[20,42,0,[]]");
    assert_int_equal(decode_tasks(b.data, b.len, &head, tasks), 0);
    assert_int_equal(head.seen, 42);
    assert_int_equal(head.limit_ms, 0);
}

static void a_note_comes_with_its_task(void **state)
{
    (void)state;
    static const uint8_t large[NOTE_BYTES_MAX + 1] = {9};
    for (uint32_t len = 0; len <= sizeof large; len += len == 0 ? NOTE_BYTES_MAX : 1) {
        const task_record_t noted = {.ref = 1,
                                     .try_no = 2,
                                     .id = {1, 1},
                                     .body = "body",
                                     .body_len = 4,
                                     .note = large,
                                     .note_len = len};
        const task_record_t other = {.ref = 2, .try_no = 1, .id = {1, 2}, .body = "", .body_len = 0};
        buffer_clear(&b);
        tasks_begin(&batch, &b, &(tasks_t){0});
        tasks_add(&batch, &noted);
        tasks_add(&batch, &other);
        batch_end(&batch);
        memset(tasks, UNTOUCHED, 2 * sizeof tasks[0]);
        assert_int_equal(tasks_of(&b), len <= NOTE_BYTES_MAX ? 2 : -EPROTO);
        if (len > NOTE_BYTES_MAX) {
            continue;
        }
        assert_int_equal(tasks[0].note_len, len);
        assert_int_equal(len > 0 ? memcmp(tasks[0].note, large, len) : 0, 0);
        assert_int_equal(tasks[1].note_len, 0);
        assert_null(tasks[1].note);
    }
}

/* --- NOTES and GRANTS --- */

static note_record_t notes[RECORDS_MAX];
static grant_record_t grants[RECORDS_MAX];

static int notes_of(const buffer_t *frame)
{
    return decode_notes(frame->data, frame->len, notes);
}

static int grants_of(const buffer_t *frame)
{
    return decode_grants(frame->data, frame->len, grants);
}

static void notes_come_back(void **state)
{
    (void)state;
    static uint8_t large[NOTE_BYTES_MAX];
    memset(large, 0xff, sizeof large);
    const note_record_t given[] = {
        {.ref = 0, .try_no = 1, .grant_ms = 0, .bytes = "", .len = 0},
        {.ref = CODEC_INT_MAX,
         .try_no = UINT32_MAX,
         .grant_ms = DURATION_MS_MAX,
         .bytes = large,
         .len = sizeof large},
        {.ref = 2, .try_no = 3, .grant_ms = 60000, .bytes = "intent", .len = 6},
    };
    notes_begin(&batch, &b);
    for (int i = 0; i < 3; i++) {
        notes_add(&batch, &given[i]);
    }
    batch_end(&batch);
    assert_command(&b, CMD_NOTES);
    assert_int_equal(notes_of(&b), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(notes[i].ref == given[i].ref);
        assert_int_equal(notes[i].try_no, given[i].try_no);
        assert_int_equal(notes[i].grant_ms, given[i].grant_ms);
        assert_int_equal(notes[i].len, given[i].len);
        assert_memory_equal(notes[i].bytes, given[i].bytes, given[i].len);
    }
}

static void notes_out_of_their_ranges(void **state)
{
    (void)state;
    expect_only(notes_of, "[22,[[4294967296,1,60000,\"bin:intent\"],[0,2,0,\"bin:\"]]]", 2);
    expect(notes_of, "[22,[]]", 0);
    refuse(notes_of, "[22,[[1,0,0,\"bin:a\"]]]");
    refuse(notes_of, "[22,[[1,4294967296,0,\"bin:a\"]]]");
    refuse(notes_of, "[22,[[1,1,86400001,\"bin:a\"]]]");
    refuse(notes_of, "[22,[[1,1,0,\"a\"]]]");
    static const uint8_t large[NOTE_BYTES_MAX + 1];
    note_record_t n = {.ref = 1, .try_no = 1, .bytes = large, .len = sizeof large};
    notes_begin(&batch, &b);
    notes_add(&batch, &n);
    batch_end(&batch);
    assert_int_equal(notes_of(&b), -EPROTO);
    buffer_clear(&b);
    n.len = 1;
    notes_begin(&batch, &b);
    while (!batch_full(&batch)) {
        notes_add(&batch, &n);
    }
    batch_end(&batch);
    assert_int_equal(notes_of(&b), RECORDS_MAX);
    notes_add(&batch, &n);
    batch_end(&batch);
    assert_int_equal(notes_of(&b), -E2BIG);
}

static void grants_come_back(void **state)
{
    (void)state;
    const grant_record_t given[] = {
        {.ref = 0, .try_no = 1, .granted = false},
        {.ref = CODEC_INT_MAX, .try_no = UINT32_MAX, .granted = true},
    };
    grants_begin(&batch, &b);
    grants_add(&batch, &given[0]);
    grants_add(&batch, &given[1]);
    batch_end(&batch);
    assert_command(&b, CMD_GRANTS);
    assert_int_equal(grants_of(&b), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(grants[i].ref == given[i].ref);
        assert_int_equal(grants[i].try_no, given[i].try_no);
        assert_int_equal(grants[i].granted, given[i].granted);
    }
}

static void grants_out_of_their_ranges(void **state)
{
    (void)state;
    expect_only(grants_of, "[23,[[4294967296,1,1],[0,2,0]]]", 2);
    expect(grants_of, "[23,[]]", 0);
    refuse(grants_of, "[23,[[1,0,1]]]");
    refuse(grants_of, "[23,[[1,4294967296,1]]]");
    refuse(grants_of, "[23,[[1,1,2]]]");
    const grant_record_t g = {.ref = 1, .try_no = 1, .granted = true};
    grants_begin(&batch, &b);
    while (!batch_full(&batch)) {
        grants_add(&batch, &g);
    }
    batch_end(&batch);
    assert_int_equal(grants_of(&b), RECORDS_MAX);
    grants_add(&batch, &g);
    batch_end(&batch);
    assert_int_equal(grants_of(&b), -E2BIG);
}

/* --- RESULTS --- */

static result_record_t results[RECORDS_MAX];

static int results_of(const buffer_t *frame)
{
    uint64_t no;
    memset(&no, UNTOUCHED, sizeof no);
    int rc = decode_results(frame->data, frame->len, &no, results);
    assert_untouched(rc, &no, sizeof no);
    return rc;
}

static void results_come_back(void **state)
{
    (void)state;
    uint64_t no;
    const result_record_t given[] = {
        {.ref = 0, .try_no = 1, .outcome = OUTCOME_OK, .text = {NULL, 0}},
        {.ref = CODEC_INT_MAX, .try_no = UINT32_MAX, .outcome = OUTCOME_BLOCKED, .ms = DURATION_MS_MAX},
        {.ref = 2, .try_no = 2, .outcome = OUTCOME_TRANSIENT, .ms = 1, .text = {"away", 4}},
        {.ref = 3, .try_no = 3, .outcome = OUTCOME_PERMANENT, .ms = 0, .text = {"no such host", 12}},
        {.ref = 4, .try_no = 1, .outcome = OUTCOME_UNKNOWN, .ms = 0, .text = {"not readable", 12}},
    };
    const int n = sizeof given / sizeof *given;
    results_begin(&batch, &b, CODEC_INT_MAX);
    for (int i = 0; i < n; i++) {
        results_add(&batch, &given[i]);
    }
    batch_end(&batch);
    assert_command(&b, CMD_RESULTS);
    assert_int_equal(decode_results(b.data, b.len, &no, results), n);
    assert_true(no == CODEC_INT_MAX);
    for (int i = 0; i < n; i++) {
        assert_true(results[i].ref == given[i].ref);
        assert_int_equal(results[i].try_no, given[i].try_no);
        assert_int_equal(results[i].outcome, given[i].outcome);
        assert_int_equal(results[i].ms, given[i].ms);
        assert_int_equal(results[i].text.len, given[i].text.len);
        assert_non_null(results[i].text.bytes);
        assert_int_equal(
            memcmp(results[i].text.bytes, given[i].text.len ? given[i].text.bytes : "", given[i].text.len),
            0);
    }
}

static void a_result_that_says_only_ok_is_short(void **state)
{
    (void)state;
    const result_record_t brief = {.ref = 1, .try_no = 1, .outcome = OUTCOME_OK};
    results_begin(&batch, &b, 1);
    size_t before = b.len;
    results_add(&batch, &brief);
    batch_end(&batch);
    assert_int_equal(b.len - before, 4);
    memset(results, UNTOUCHED, sizeof results[0]);
    assert_int_equal(results_of(&b), 1);
    assert_int_equal(results[0].ms, 0);
    assert_int_equal(results[0].text.len, 0);
}

static void results_out_of_their_ranges(void **state)
{
    (void)state;
    expect_only(results_of, "[21,1,[[4294967296,1,0]]]", 1);
    expect_only(results_of, "[21,1,[[1,1,0],[2,1,1,200,\"why\"],[3,1,3,1,\"\"]]]", 3);
    expect(results_of, "[21,1,[]]", 0);
    refuse(results_of, "[21,0,[]]");
    refuse(results_of, "[21,1,[[1,0,0]]]");
    refuse(results_of, "[21,1,[[1,4294967296,0]]]");
    refuse(results_of, "[21,1,[[1,1,5]]]");
    refuse(results_of, "[21,1,[[1,1,1,86400001,\"why\"]]]");
    refuse(results_of, "[21,1,[[1,1,1,200,\"bin:why\"]]]");
    refuse(results_of, "[21,1,[[1,1,1,200]]]");
    refuse(results_of, "[21,1,[[1,1]]]");
    refuse(results_of, "[21,1,[[1,1,0],[1,1]]]");
}

static void a_frame_without_results_has_its_number(void **state)
{
    (void)state;
    uint64_t no = 0;
    frame_json(&b, "[21,42,[]]");
    assert_int_equal(decode_results(b.data, b.len, &no, results), 0);
    assert_int_equal(no, 42);
}

static void a_worker_whose_text_is_no_utf8_keeps_its_result(void **state)
{
    (void)state;
    char text[TEXT_BYTES_MAX + 500];
    memset(text, 0xfe, sizeof text);
    const result_record_t r = {
        .ref = 1, .try_no = 1, .outcome = OUTCOME_PERMANENT, .text = {text, sizeof text}};
    results_begin(&batch, &b, 1);
    results_add(&batch, &r);
    batch_end(&batch);
    assert_command(&b, CMD_RESULTS);
    assert_int_equal(results_of(&b), 1);
    assert_int_equal(results[0].text.len, TEXT_BYTES_MAX);
    for (int i = 0; i < TEXT_BYTES_MAX; i++) {
        assert_int_equal(results[0].text.bytes[i], '?');
    }
}

static void results_up_to_4096(void **state)
{
    (void)state;
    const result_record_t r = {.ref = 1, .try_no = 1};
    results_begin(&batch, &b, 1);
    while (!batch_full(&batch)) {
        results_add(&batch, &r);
    }
    batch_end(&batch);
    assert_int_equal(results_of(&b), RECORDS_MAX);
    results_add(&batch, &r);
    batch_end(&batch);
    assert_int_equal(results_of(&b), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test_teardown(tasks_come_back, clear),
        cmocka_unit_test(tasks_out_of_their_ranges),
        cmocka_unit_test_teardown(tasks_at_their_limits, clear),
        cmocka_unit_test_teardown(a_frame_without_tasks_still_says_what_was_seen, clear),
        cmocka_unit_test_teardown(a_note_comes_with_its_task, clear),
        cmocka_unit_test_teardown(notes_come_back, clear),
        cmocka_unit_test_teardown(notes_out_of_their_ranges, clear),
        cmocka_unit_test_teardown(grants_come_back, clear),
        cmocka_unit_test_teardown(grants_out_of_their_ranges, clear),
        cmocka_unit_test_teardown(results_come_back, clear),
        cmocka_unit_test_teardown(a_frame_without_results_has_its_number, clear),
        cmocka_unit_test_teardown(a_result_that_says_only_ok_is_short, clear),
        cmocka_unit_test(results_out_of_their_ranges),
        cmocka_unit_test_teardown(a_worker_whose_text_is_no_utf8_keeps_its_result, clear),
        cmocka_unit_test_teardown(results_up_to_4096, clear),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

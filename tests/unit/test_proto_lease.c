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

/* --- DELIVER --- */

static delivery_record_t deliveries[RECORDS_MAX];

static int deliver(const buffer_t *frame)
{
    return decode_deliver(frame->data, frame->len, deliveries);
}

static void deliver_comes_back(void **state)
{
    (void)state;
    static uint8_t large[BODY_BYTES_MAX];
    memset(large, 0xff, sizeof large);
    const delivery_record_t given[] = {
        {.id = {1, 1}, .token = 0, .legs = 0, .deliveries = 0, .body = "", .body_len = 0},
        {.id = {CODEC_INT_MAX, SEQ_MAX},
         .token = CODEC_INT_MAX,
         .legs = 255,
         .deliveries = UINT32_MAX,
         .body = large,
         .body_len = sizeof large},
        {.id = {900, 42}, .token = 5, .legs = 3, .deliveries = 1, .body = "body", .body_len = 4},
    };
    deliver_begin(&batch, &b);
    for (int i = 0; i < 3; i++) {
        deliver_add(&batch, &given[i]);
    }
    batch_end(&batch);
    assert_command(&b, CMD_DELIVER);
    assert_int_equal(deliver(&b), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(deliveries[i].id.stream == given[i].id.stream);
        assert_true(deliveries[i].id.seq == given[i].id.seq);
        assert_true(deliveries[i].token == given[i].token);
        assert_int_equal(deliveries[i].legs, given[i].legs);
        assert_int_equal(deliveries[i].deliveries, given[i].deliveries);
        assert_int_equal(deliveries[i].body_len, given[i].body_len);
        assert_memory_equal(deliveries[i].body, given[i].body, given[i].body_len);
        assert_true((const uint8_t *)deliveries[i].body >= b.data);
        assert_true((const uint8_t *)deliveries[i].body <= b.data + b.len);
    }
}

static void deliver_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(deliver, "[10,[[900,1,5,3,0,\"bin:body\"],[900,2,6,3,0,\"bin:\"]]]", 2);
    expect_only(deliver, "[10,[]]", 0);
    refuse(deliver, "[10,[[0,1,5,3,0,\"bin:body\"]]]");
    refuse(deliver, "[10,[[900,0,5,3,0,\"bin:body\"]]]");
    refuse(deliver, "[10,[[900,1099511627776,5,3,0,\"bin:body\"]]]");
    refuse(deliver, "[10,[[900,1,5,256,0,\"bin:body\"]]]");
    refuse(deliver, "[10,[[900,1,5,3,4294967296,\"bin:body\"]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"body\"]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:body\"],[900,2,6,3,0,\"body\"]]]");
}

static void tries_of_a_delivery_come_back(void **state)
{
    (void)state;
    delivery_record_t d = {.id = {1, 1}, .legs = 3, .body = "", .tries = {0, 255, 3}};
    deliver_begin(&batch, &b);
    deliver_add(&batch, &d);
    batch_end(&batch);
    memset(deliveries, UNTOUCHED, sizeof deliveries[0]);
    assert_int_equal(deliver(&b), 1);
    assert_memory_equal(deliveries[0].tries, d.tries, sizeof d.tries);
    expect(deliver, "[10,[[900,1,5,3,0,\"bin:\",[]]]]", 1);
    expect(deliver, "[10,[[900,1,5,3,0,\"bin:\",[1,2,3,4,5,6,7,8]]]]", 1);
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[1,2,3,4,5,6,7,8,9]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[256]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[\"1\"]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",1]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[1],[1]]]]");
}

static void add_note(buffer_t *notes, uint8_t bit, const void *bytes, uint32_t len)
{
    note_write(notes, &(note_t){.bit = bit, .bytes = bytes, .len = len});
}

static void notes_of_a_delivery_come_back(void **state)
{
    (void)state;
    static const uint8_t large[NOTE_BYTES_MAX] = {1, 2, 3};
    buffer_t notes;
    buffer_init(&notes);
    add_note(&notes, 1, "intent", 6);
    add_note(&notes, 7, large, sizeof large);
    add_note(&notes, 0, "", 0);
    const delivery_record_t given[] = {
        {.id = {1, 1},
         .body = "body",
         .body_len = 4,
         .notes = notes.data,
         .notes_len = (uint32_t)notes.len,
         .notes_count = 3},
        {.id = {1, 2}, .body = "", .tries = {0, 2}},
        {.id = {1, 3}, .body = ""},
    };
    deliver_begin(&batch, &b);
    for (int i = 0; i < 3; i++) {
        deliver_add(&batch, &given[i]);
    }
    batch_end(&batch);
    memset(deliveries, UNTOUCHED, sizeof deliveries[0]);
    assert_int_equal(deliver(&b), 3);
    assert_int_equal(deliveries[0].notes_count, 3);
    assert_int_equal(deliveries[0].notes_len, notes.len);
    assert_memory_equal(deliveries[0].notes, notes.data, notes.len);
    for (int i = 0; i < LEGS_MAX; i++) {
        assert_int_equal(deliveries[0].tries[i], 0);
    }
    for (int i = 1; i < 3; i++) {
        assert_null(deliveries[i].notes);
        assert_int_equal(deliveries[i].notes_len, 0);
        assert_int_equal(deliveries[i].notes_count, 0);
    }
    assert_int_equal(deliveries[1].tries[1], 2);
    reader_t r;
    note_t note;
    reader_init(&r, deliveries[0].notes, deliveries[0].notes_len);
    assert_true(note_read(&r, &note));
    assert_int_equal(note.bit, 1);
    assert_int_equal(note.len, 6);
    assert_memory_equal(note.bytes, "intent", 6);
    assert_true(note_read(&r, &note));
    assert_int_equal(note.bit, 7);
    assert_int_equal(note.len, NOTE_BYTES_MAX);
    assert_true(note_read(&r, &note));
    assert_int_equal(note.len, 0);
    note.bit = UNTOUCHED;
    assert_false(note_read(&r, &note));
    assert_int_equal(note.bit, UNTOUCHED);
    /* One that is cut off is none, and neither is what follows it. */
    reader_init(&r, notes.data, 3);
    assert_false(note_read(&r, &note));
    assert_false(note_read(&r, &note));
    buffer_done(&notes);
}

static void notes_of_a_delivery_out_of_their_ranges(void **state)
{
    (void)state;
    expect(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[]]]]", 1);
    expect(deliver, "[10,[[900,1,5,3,0,\"bin:\",[1],[[0,\"bin:a\"],[7,\"bin:\"]]]]]", 1);
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[[1,\"bin:a\"],[0,\"bin:b\"],[1,\"bin:c\"]]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[[8,\"bin:a\"]]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[[0,\"a\"]]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[[0]]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[[0,\"bin:a\",1]]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[0]]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],\"bin:a\"]]]");
    refuse(deliver, "[10,[[900,1,5,3,0,\"bin:\",[],[],[]]]]");
    static const uint8_t large[NOTE_BYTES_MAX + 1];
    buffer_t notes;
    buffer_init(&notes);
    for (uint32_t len = NOTE_BYTES_MAX; len <= sizeof large; len++) {
        buffer_clear(&notes);
        buffer_clear(&b);
        add_note(&notes, 0, large, len);
        const delivery_record_t d = {.id = {1, 1},
                                     .body = "",
                                     .notes = notes.data,
                                     .notes_len = (uint32_t)notes.len,
                                     .notes_count = 1};
        deliver_begin(&batch, &b);
        deliver_add(&batch, &d);
        batch_end(&batch);
        assert_int_equal(deliver(&b), len == NOTE_BYTES_MAX ? 1 : -EPROTO);
        reader_t r;
        note_t note;
        reader_init(&r, notes.data, notes.len);
        assert_int_equal(note_read(&r, &note), len == NOTE_BYTES_MAX);
    }
    buffer_done(&notes);
    buffer_clear(&b);
}

static void a_body_of_65536_bytes_and_no_more(void **state)
{
    (void)state;
    static uint8_t large[BODY_BYTES_MAX + 1];
    delivery_record_t d = {.id = {1, 1}, .body = large};
    for (uint32_t extra = 0; extra <= 1; extra++) {
        buffer_clear(&b);
        d.body_len = BODY_BYTES_MAX + extra;
        deliver_begin(&batch, &b);
        deliver_add(&batch, &d);
        batch_end(&batch);
        assert_int_equal(deliver(&b), extra ? -EPROTO : 1);
    }
}

static void records_up_to_4096(void **state)
{
    (void)state;
    const delivery_record_t d = {.id = {1, 1}, .body = "", .body_len = 0};
    deliver_begin(&batch, &b);
    while (!batch_full(&batch)) {
        deliver_add(&batch, &d);
    }
    assert_int_equal(batch.count, RECORDS_MAX);
    batch_end(&batch);
    assert_int_equal(deliver(&b), RECORDS_MAX);
    /* One more than the limit is named for what it is. */
    deliver_add(&batch, &d);
    batch_end(&batch);
    assert_command(&b, CMD_DELIVER);
    assert_int_equal(deliver(&b), -E2BIG);
}

static void a_full_frame_is_below_the_limit(void **state)
{
    (void)state;
    static uint8_t large[BODY_BYTES_MAX];
    const delivery_record_t d = {.id = {1, 1}, .body = large, .body_len = sizeof large};
    deliver_begin(&batch, &b);
    while (!batch_full(&batch)) {
        deliver_add(&batch, &d);
    }
    assert_int_equal(batch.count, FRAME_BYTES_FULL / BODY_BYTES_MAX);
    batch_end(&batch);
    assert_true(b.len >= FRAME_BYTES_FULL && b.len < FRAME_BYTES_MAX);
    assert_int_equal(deliver(&b), batch.count);
}

/* --- PROGRESS --- */

static step_t steps[RECORDS_MAX];

static int progress(const buffer_t *frame)
{
    uint64_t no;
    memset(&no, UNTOUCHED, sizeof no);
    int rc = decode_progress(frame->data, frame->len, &no, steps);
    assert_untouched(rc, &no, sizeof no);
    return rc;
}

static void progress_comes_back(void **state)
{
    (void)state;
    uint64_t no;
    const step_t given[] = {
        {.id = {1, 1}, .text = {NULL, 0}},
        {.id = {CODEC_INT_MAX, SEQ_MAX}, .token = CODEC_INT_MAX, .done = 255, .text = {"", 0}},
        {.id = {900, 1}, .token = 5, .done = 1, .bad = 2, .text = {"gone", 4}},
        {.id = {900, 2}, .token = 6, .op = OP_EXTEND, .ms = 3000, .text = {"", 0}},
        {.id = {900, 3}, .token = 7, .op = OP_NACK, .ms = 0, .text = {"", 0}},
        {.id = {900, 4}, .token = 8, .bad = 255, .op = OP_RELEASE, .ms = DURATION_MS_MAX, .text = {"", 0}},
    };
    const uint32_t n = sizeof given / sizeof *given;
    progress_begin(&batch, &b, CODEC_INT_MAX);
    for (uint32_t i = 0; i < n; i++) {
        progress_add(&batch, &given[i]);
    }
    batch_end(&batch);
    assert_command(&b, CMD_PROGRESS);
    assert_int_equal(decode_progress(b.data, b.len, &no, steps), n);
    assert_true(no == CODEC_INT_MAX);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(steps[i].id.stream == given[i].id.stream && steps[i].id.seq == given[i].id.seq);
        assert_true(steps[i].token == given[i].token);
        assert_int_equal(steps[i].done, given[i].done);
        assert_int_equal(steps[i].bad, given[i].bad);
        assert_int_equal(steps[i].op, given[i].op);
        assert_int_equal(steps[i].ms, given[i].ms);
        assert_int_equal(steps[i].text.len, given[i].text.len);
        assert_non_null(steps[i].text.bytes);
        assert_int_equal(
            memcmp(steps[i].text.bytes, given[i].text.len ? given[i].text.bytes : "", given[i].text.len), 0);
    }
}

static void tries_of_a_step_come_back(void **state)
{
    (void)state;
    buffer_t events;
    buffer_init(&events);
    const event_t given[] = {
        {.bit = 0,
         .no = 1,
         .label = {"web-7:1", 7},
         .since_ms = 5,
         .took_ms = 7,
         .how = HOW_OK,
         .text = {"", 0}},
        {.bit = 7, .no = TRIES_MAX, .label = {"", 0}, .how = HOW_TIMEOUT, .text = {"no answer", 9}},
    };
    event_write(&events, &given[0]);
    event_write(&events, &given[1]);
    assert_int_equal(events_count(events.data, events.len), 2);
    const step_t s = {.id = {1, 1},
                      .text = {"", 0},
                      .events = events.data,
                      .events_len = (uint32_t)events.len,
                      .events_count = 2};
    progress_begin(&batch, &b, 1);
    progress_add(&batch, &s);
    batch_end(&batch);
    assert_int_equal(progress(&b), 1);
    assert_int_equal(steps[0].events_count, 2);
    assert_int_equal(steps[0].events_len, events.len);
    assert_memory_equal(steps[0].events, events.data, events.len);
    reader_t r;
    event_t e;
    reader_init(&r, steps[0].events, steps[0].events_len);
    for (int i = 0; i < 2; i++) {
        assert_true(event_read(&r, &e));
        assert_int_equal(e.bit, given[i].bit);
        assert_int_equal(e.no, given[i].no);
        assert_int_equal(e.how, given[i].how);
        assert_int_equal(e.since_ms, given[i].since_ms);
        assert_int_equal(e.took_ms, given[i].took_ms);
        assert_int_equal(e.label.len, given[i].label.len);
        assert_int_equal(e.text.len, given[i].text.len);
    }
    assert_false(event_read(&r, &e));
    assert_int_equal(events_count(events.data, events.len - 1), -EPROTO);
    buffer_done(&events);
}

static void tries_out_of_their_ranges(void **state)
{
    (void)state;
    expect_only(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[7,255,\"web-7:1\",1,86400000,5,\"why\"]]]]]", 1);
    expect(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,1,\"\",1,1,0,\"\"],[0,1,\"\",1,1,4,\"\"]]]]]", 1);
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[8,1,\"\",1,1,6,\"\"]]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[9,1,\"\",1,1,1,\"\"]]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,0,\"\",1,1,1,\"\"]]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,256,\"\",1,1,1,\"\"]]]]]");
    expect(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,1,\"\",1,1,3,\"\"]]]]]", 1);
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,1,\"\",1,1,6,\"\"]]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\",[[0,1,\"\",1,86400001,1,\"\"]]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,0,0,\"\"]]]");
    buffer_t events;
    buffer_init(&events);
    const event_t e = {.no = 1, .text = {"", 0}, .label = {"", 0}};
    for (uint32_t n = 1; n <= STEP_EVENTS_MAX + 1; n++) {
        event_write(&events, &e);
        const step_t s = {.id = {1, 1},
                          .text = {"", 0},
                          .events = events.data,
                          .events_len = (uint32_t)events.len,
                          .events_count = n};
        buffer_clear(&b);
        progress_begin(&batch, &b, 1);
        progress_add(&batch, &s);
        batch_end(&batch);
        assert_int_equal(progress(&b), n <= STEP_EVENTS_MAX ? 1 : -EPROTO);
    }
    buffer_done(&events);
}

static void a_note_of_a_step_comes_back(void **state)
{
    (void)state;
    static uint8_t large[NOTE_BYTES_MAX + 1];
    memset(large, 0xff, sizeof large);
    for (uint32_t len = 0; len <= sizeof large; len += len == 0 ? NOTE_BYTES_MAX : 1) {
        const step_t s = {.id = {900, 1},
                          .token = 5,
                          .done = 1,
                          .op = OP_NOTE,
                          .ms = DURATION_MS_MAX,
                          .text = {"", 0},
                          .note = {.bit = 7, .bytes = large, .len = len}};
        const step_t extend = {.id = {900, 2}, .op = OP_EXTEND, .ms = 1, .text = {"", 0}};
        buffer_clear(&b);
        progress_begin(&batch, &b, 1);
        progress_add(&batch, &s);
        progress_add(&batch, &extend);
        batch_end(&batch);
        memset(steps, UNTOUCHED, 2 * sizeof steps[0]);
        assert_int_equal(progress(&b), len <= NOTE_BYTES_MAX ? 2 : -EPROTO);
        if (len > NOTE_BYTES_MAX) {
            continue;
        }
        assert_int_equal(steps[0].op, OP_NOTE);
        assert_int_equal(steps[0].ms, DURATION_MS_MAX);
        assert_int_equal(steps[0].note.bit, 7);
        assert_int_equal(steps[0].note.len, len);
        assert_memory_equal(steps[0].note.bytes, large, len);
        assert_int_equal(steps[1].op, OP_EXTEND);
        assert_int_equal(steps[1].note.len, 0); /* the last one's is not taken for its own */
        assert_null(steps[1].note.bytes);
    }
}

static void notes_of_a_step_out_of_their_ranges(void **state)
{
    (void)state;
    expect_only(progress, "[11,1,[[900,1,5,1,2,4,3000,\"why\",[],[1,\"bin:intent\"]]]]", 1);
    expect(progress, "[11,1,[[900,1,5,1,0,4,0,\"\",[],[0,\"bin:\"]]]]", 1);
    refuse(progress, "[11,1,[[900,1,5,1,0,4,0,\"\",[],[8,\"bin:a\"]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,4,0,\"\",[],[0,\"a\"]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,4,0,\"\",[],[0]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,4,86400001,\"\",[],[0,\"bin:a\"]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,0,5,0,\"\",[],[0,\"bin:a\"]]]]");
    /* A note belongs to its op, and the op to a note. */
    refuse(progress, "[11,1,[[900,1,5,1,0,4,0,\"\",[]]]]");
    for (char op = '0'; op < '4'; op++) {
        char json[] = "[11,1,[[900,1,5,1,0,?,0,\"\",[],[0,\"bin:a\"]]]]";
        *strchr(json, '?') = op;
        refuse(progress, json);
    }
}

static void a_step_that_says_only_done_is_short(void **state)
{
    (void)state;
    const step_t brief = {.id = {1, 1}, .token = 1, .done = 3};
    progress_begin(&batch, &b, 1);
    size_t before = b.len;
    progress_add(&batch, &brief);
    batch_end(&batch);
    assert_int_equal(b.len - before, 5);
    memset(steps, UNTOUCHED, sizeof steps[0]);
    assert_int_equal(progress(&b), 1);
    assert_int_equal(steps[0].bad, 0);
    assert_int_equal(steps[0].op, OP_NONE);
    assert_int_equal(steps[0].ms, 0);
    assert_int_equal(steps[0].text.len, 0);
}

static void progress_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(progress, "[11,1,[[900,1,5,3]]]", 1);
    expect_only(progress, "[11,1,[[900,1,5,3],[900,1,5,1,2,1,3000,\"why\",[]]]]", 2);
    expect(progress, "[11,9223372036854775807,[]]", 0);
    refuse(progress, "[11,0,[]]");
    refuse(progress, "[11,1,[[0,1,5,3]]]");
    refuse(progress, "[11,1,[[900,0,5,3]]]");
    refuse(progress, "[11,1,[[900,1099511627776,5,3]]]");
    refuse(progress, "[11,1,[[900,1,5,256]]]");
    refuse(progress, "[11,1,[[900,1,5,1,256,1,3000,\"why\",[]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2,4,3000,\"why\",[]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2,1,86400001,\"why\",[]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2,1,3000,\"bin:why\",[]]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2,1]]]");
    refuse(progress, "[11,1,[[900,1,5,1,2,1,3000]]]");
    refuse(progress, "[11,1,[[900,1,5]]]");
}

static void a_frame_without_steps_has_its_number(void **state)
{
    (void)state;
    uint64_t no = 0;
    frame_json(&b, "[11,42,[]]");
    assert_int_equal(decode_progress(b.data, b.len, &no, steps), 0);
    assert_int_equal(no, 42);
}

static void one_bad_step_refuses_them_all(void **state)
{
    (void)state;
    refuse(progress, "[11,1,[[900,1,5,3],[900,2,6,3],[900,3,7]]]");
    progress_begin(&batch, &b, 1);
    const step_t good = {.id = {1, 1}, .done = 3};
    for (int i = 0; i < RECORDS_MAX; i++) {
        progress_add(&batch, &good);
    }
    batch_end(&batch);
    assert_int_equal(progress(&b), RECORDS_MAX);
    b.data[b.len - 1] = 0xff; /* -1 for the last mask */
    assert_int_equal(progress(&b), -EPROTO);
    b.data[b.len - 1] = 0x03;
    progress_add(&batch, &good);
    batch_end(&batch);
    assert_int_equal(progress(&b), -E2BIG);
}

/* --- SETTLED --- */

static int settled(const buffer_t *frame)
{
    struct {
        uint64_t no;
        const uint8_t *codes;
    } got;
    memset(&got, UNTOUCHED, sizeof got);
    int rc = decode_settled(frame->data, frame->len, &got.no, &got.codes);
    assert_untouched(rc, &got, sizeof got);
    return rc;
}

static void settled_comes_back(void **state)
{
    (void)state;
    static uint8_t codes[RECORDS_MAX];
    const uint32_t counts[] = {0, 1, STEP_CODES, RECORDS_MAX};
    for (uint32_t i = 0; i < RECORDS_MAX; i++) {
        codes[i] = (uint8_t)(i % STEP_CODES);
    }
    for (int i = 0; i < 4; i++) {
        uint64_t no;
        const uint8_t *got;
        buffer_clear(&b);
        encode_settled(&b, CODEC_INT_MAX, codes, counts[i]);
        assert_command(&b, CMD_SETTLED);
        assert_int_equal(decode_settled(b.data, b.len, &no, &got), counts[i]);
        assert_true(no == CODEC_INT_MAX);
        assert_int_equal(memcmp(got, codes, counts[i]), 0);
    }
}

static void settled_out_of_its_ranges(void **state)
{
    (void)state;
    static uint8_t codes[RECORDS_MAX + 1];
    expect_only(settled, "[12,1,\"bin:\\u0000\\u0006\"]", 2);
    refuse(settled, "[12,0,\"bin:\\u0000\"]");
    refuse(settled, "[12,1,\"bin:\\u0000\\u0007\"]");
    refuse(settled, "[12,1,\"bin:\\u007f\"]");
    refuse(settled, "[12,1,\"\\u0000\"]");
    encode_settled(&b, 1, codes, sizeof codes);
    assert_int_equal(settled(&b), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(deliver_comes_back, clear),
        cmocka_unit_test(deliver_out_of_its_ranges),
        cmocka_unit_test_teardown(tries_of_a_delivery_come_back, clear),
        cmocka_unit_test_teardown(notes_of_a_delivery_come_back, clear),
        cmocka_unit_test_teardown(notes_of_a_delivery_out_of_their_ranges, clear),
        cmocka_unit_test_teardown(tries_of_a_step_come_back, clear),
        cmocka_unit_test_teardown(tries_out_of_their_ranges, clear),
        cmocka_unit_test_teardown(a_body_of_65536_bytes_and_no_more, clear),
        cmocka_unit_test_teardown(records_up_to_4096, clear),
        cmocka_unit_test_teardown(a_full_frame_is_below_the_limit, clear),
        cmocka_unit_test_teardown(progress_comes_back, clear),
        cmocka_unit_test_teardown(a_note_of_a_step_comes_back, clear),
        cmocka_unit_test(notes_of_a_step_out_of_their_ranges),
        cmocka_unit_test_teardown(a_step_that_says_only_done_is_short, clear),
        cmocka_unit_test(progress_out_of_its_ranges),
        cmocka_unit_test_teardown(a_frame_without_steps_has_its_number, clear),
        cmocka_unit_test_teardown(one_bad_step_refuses_them_all, clear),
        cmocka_unit_test_teardown(settled_comes_back, clear),
        cmocka_unit_test_teardown(settled_out_of_its_ranges, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

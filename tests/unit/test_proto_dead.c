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

/* --- DEAD --- */

static int dead(const buffer_t *frame)
{
    dead_t d;
    memset(&d, UNTOUCHED, sizeof d);
    int rc = decode_dead(frame->data, frame->len, &d);
    assert_untouched(rc, &d, sizeof d);
    return rc;
}

static void dead_comes_back(void **state)
{
    (void)state;
    const dead_t given = {.version = 1,
                          .number = 7,
                          .act = ACT_DONE,
                          .filter = {.id = {900, 2},
                                     .host = {"web-*", 5},
                                     .reason = {"*refused*", 9},
                                     .older_ms = 5,
                                     .newer_ms = CODEC_INT_MAX},
                          .after = {900, 1},
                          .max = LETTERS_MAX,
                          .legs = 255};
    dead_t got;
    encode_dead(&b, &given);
    assert_command(&b, CMD_DEAD);
    assert_int_equal(decode_dead(b.data, b.len, &got), 0);
    assert_int_equal(got.version, 1);
    assert_int_equal(got.number, 7);
    assert_int_equal(got.act, ACT_DONE);
    assert_int_equal(got.filter.id.stream, 900);
    assert_int_equal(got.filter.id.seq, 2);
    assert_int_equal(got.filter.host.len, 5);
    assert_memory_equal(got.filter.reason.bytes, "*refused*", 9);
    assert_int_equal(got.filter.older_ms, 5);
    assert_true(got.filter.newer_ms == CODEC_INT_MAX);
    assert_int_equal(got.after.seq, 1);
    assert_int_equal(got.max, LETTERS_MAX);
    assert_int_equal(got.legs, 255);
}

static void dead_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(dead, "[42,1,7,0,[0,0,\"\",\"\",0,0],0,0,1000,0]", 0);
    expect(dead, "[42,1,7,4,[0,0,\"\",\"\",0,0],0,0,1000,255]", 0);
    refuse(dead, "[42,1,7,4,[0,0,\"\",\"\",0,0],0,0,1000,256]");
    for (char frame[] = "[42,1,7,0,[0,0,\"\",\"\",0,0],0,0,1000,1]"; frame[8] < '4'; frame[8]++)
        refuse(dead, frame);
    refuse(dead, "[42,1,7,5,[0,0,\"\",\"\",0,0],0,0,1000,0]");
    refuse(dead, "[42,1,7,0,[0,0,\"\",\"\",0,0],0,0,1001,0]");
    refuse(dead, "[42,1,7,0,[0,0,\"\",\"\",0,0],0,0,0,0]");
    refuse(dead, "[42,1,7,0,[1,0,\"\",\"\",0,0],0,0,1,0]");
    refuse(dead, "[42,1,7,0,[0,1,\"\",\"\",0,0],0,0,1,0]");
    refuse(dead, "[42,1,7,0,[0,0,\"\",\"\",0,0],1,0,1,0]");
    refuse(dead, "[42,1,7,0,[0,0,\"\",\"\",0,0],1,1099511627776,1,0]");
}

/* --- BURIED --- */

static letter_t letters[LETTERS_MAX];

static int buried(const buffer_t *frame)
{
    buried_t got;
    memset(&got, UNTOUCHED, sizeof got);
    int rc = decode_buried(frame->data, frame->len, &got, letters);
    assert_untouched(rc, &got, sizeof got);
    return rc;
}

static void buried_comes_back(void **state)
{
    (void)state;
    buffer_t events;
    buffer_init(&events);
    event_write(
        &events,
        &(event_t){
            .bit = EVENT_MESSAGE, .no = 2, .label = {"web", 3}, .how = HOW_LEASE_LOST, .text = {"", 0}});
    event_write(&events,
                &(event_t){.bit = 1, .no = 1, .label = {"", 0}, .how = HOW_PERMANENT, .text = {"no", 2}});
    const letter_t letter = {.id = {900, 3},
                             .died_ms = 12,
                             .legs = 3,
                             .done = 1,
                             .bad = 2,
                             .deliveries = 4,
                             .reason = {"permanent: no", 13},
                             .body = "body",
                             .body_len = 4,
                             .events = events.data,
                             .events_len = (uint32_t)events.len,
                             .events_count = 2};
    const buried_t rest = {
        .count = 2, .looked_to = {900, 9}, .more = true, .legs_count = 2, .legs = {"save", "restart"}};
    buried_t got;
    buried_begin(&batch, &b, 7);
    buried_add(&batch, &letter);
    buried_add(&batch, &letter);
    buried_end(&batch, &rest);
    assert_command(&b, CMD_BURIED);
    assert_int_equal(decode_buried(b.data, b.len, &got, letters), 2);
    assert_int_equal(got.number, 7);
    assert_int_equal(got.count, 2);
    assert_int_equal(got.looked_to.seq, 9);
    assert_true(got.more);
    assert_string_equal(got.legs[1], "restart");
    const letter_t *l = &letters[1];
    assert_int_equal(l->id.seq, 3);
    assert_int_equal(l->died_ms, 12);
    assert_int_equal(l->legs << 16 | l->done << 8 | l->bad, 0x030102);
    assert_int_equal(l->deliveries, 4);
    assert_memory_equal(l->reason.bytes, "permanent: no", 13);
    assert_memory_equal(l->body, "body", 4);
    assert_int_equal(l->events_count, 2);
    assert_int_equal(l->events_len, events.len);
    assert_memory_equal(l->events, events.data, events.len);
    buffer_done(&events);
}

static void buried_out_of_its_ranges(void **state)
{
    (void)state;
    expect(buried, "[43,7,[],0,0,0,0,[]]", 0);
    expect(buried,
           "[43,7,[[900,1,5,3,1,2,0,\"why\",\"bin:b\",[[8,3,\"\",1,1,9,\"\"]]]],1,900,1,1,[\"save\"]]", 1);
    refuse(buried, "[43,7,[],0,0,0,2,[]]");
    refuse(buried, "[43,7,[],0,0,1,0,[]]");
    refuse(buried, "[43,7,[],0,0,0,0,[\"save\",\"save\"]]");
    refuse(buried, "[43,7,[],0,0,0,0]");
    refuse(buried, "[43,7,[[900,1,5,3,1,2,0,\"why\",\"bin:b\",[[8,3,\"\",1,1,1,\"\"]]]],1,900,1,1,[]]");
    refuse(buried, "[43,7,[[900,1,5,3,1,2,0,\"why\",\"bin:b\",[[1,3,\"\",1,1,9,\"\"]]]],1,900,1,1,[]]");
    refuse(buried, "[43,7,[[900,1,5,256,1,2,0,\"why\",\"bin:b\",[]]],1,900,1,1,[]]");
    refuse(buried, "[43,7,[[0,1,5,3,1,2,0,\"why\",\"bin:b\",[]]],1,900,1,1,[]]");
    buffer_clear(&b);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test_teardown(dead_comes_back, clear),
        cmocka_unit_test(dead_out_of_its_ranges),
        cmocka_unit_test_teardown(buried_comes_back, clear),
        cmocka_unit_test_teardown(buried_out_of_its_ranges, clear),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

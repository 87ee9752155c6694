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

/* --- PUBLISH --- */

static text_t bodies[RECORDS_MAX];

static int publish(const buffer_t *frame)
{
    publish_t p;
    memset(&p, UNTOUCHED, sizeof p);
    int rc = decode_publish(frame->data, frame->len, &p, bodies);
    assert_untouched(rc, &p, sizeof p);
    return rc;
}

static void publish_comes_back(void **state)
{
    (void)state;
    static uint8_t large[BODY_BYTES_MAX + 1];
    publish_t got;
    const publish_t p = {.version = PROTO_VERSION, .session = CODEC_INT_MAX, .number = CODEC_INT_MAX};
    publish_begin(&batch, &b, &p);
    publish_add(&batch, "", 0);
    publish_add(&batch, "body", 4);
    /* Too long for a body: refused alone later, so it has to come through. */
    publish_add(&batch, large, sizeof large);
    batch_end(&batch);
    assert_command(&b, CMD_PUBLISH);
    assert_int_equal(decode_publish(b.data, b.len, &got, bodies), 3);
    assert_int_equal(got.version, PROTO_VERSION);
    assert_true(got.session == CODEC_INT_MAX);
    assert_true(got.number == CODEC_INT_MAX);
    assert_int_equal(bodies[0].len, 0);
    assert_int_equal(bodies[1].len, 4);
    assert_memory_equal(bodies[1].bytes, "body", 4);
    assert_int_equal(bodies[2].len, sizeof large);
}

static void publish_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(publish, "[30,1,77,1,[\"bin:body\",\"bin:\"]]", 2);
    expect_only(publish, "[30,9,77,1,[]]", 0);
    refuse(publish, "[30,1,0,1,[]]");
    refuse(publish, "[30,1,77,0,[]]");
    refuse(publish, "[30,1,77,1,[\"body\"]]");
}

static void a_frame_without_bodies_has_its_number(void **state)
{
    (void)state;
    publish_t got = {0};
    frame_json(&b, "[30,1,77,42,[]]");
    assert_int_equal(decode_publish(b.data, b.len, &got, bodies), 0);
    assert_int_equal(got.session, 77);
    assert_int_equal(got.number, 42);
}

static void publish_up_to_4096(void **state)
{
    (void)state;
    const publish_t p = {.version = 1, .session = 1, .number = 1};
    publish_begin(&batch, &b, &p);
    while (!batch_full(&batch)) {
        publish_add(&batch, "x", 1);
    }
    batch_end(&batch);
    assert_int_equal(publish(&b), RECORDS_MAX);
    publish_add(&batch, "x", 1);
    batch_end(&batch);
    assert_int_equal(publish(&b), -E2BIG);
}

/* --- CONFIRM --- */

static refusal_t refusals[RECORDS_MAX];

static int confirm(const buffer_t *frame)
{
    confirm_t c;
    memset(&c, UNTOUCHED, sizeof c);
    int rc = decode_confirm(frame->data, frame->len, &c, refusals);
    assert_untouched(rc, &c, sizeof c);
    return rc;
}

static void confirm_comes_back(void **state)
{
    (void)state;
    confirm_t got;
    const confirm_t c = {.session = CODEC_INT_MAX,
                         .number = CODEC_INT_MAX,
                         .first = {CODEC_INT_MAX, SEQ_MAX - RECORDS_MAX + 1},
                         .stored = RECORDS_MAX};
    const refusal_t given[] = {{0, ERR_BODY, {"neither instance nor host is given", 34}},
                               {RECORDS_MAX - 1, ERR_STORE, {"", 0}}};
    encode_confirm(&b, &c, given, 2);
    assert_command(&b, CMD_CONFIRM);
    assert_int_equal(decode_confirm(b.data, b.len, &got, refusals), 2);
    assert_true(got.session == CODEC_INT_MAX && got.number == CODEC_INT_MAX);
    assert_true(got.first.stream == c.first.stream && got.first.seq == c.first.seq);
    assert_int_equal(got.stored, RECORDS_MAX);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(refusals[i].place, given[i].place);
        assert_int_equal(refusals[i].code, given[i].code);
        assert_int_equal(refusals[i].text.len, given[i].text.len);
        assert_memory_equal(refusals[i].text.bytes, given[i].text.bytes, given[i].text.len);
    }
}

static void confirm_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(confirm, "[31,77,1,900,1,2,[[0,8,\"why\"],[4095,11,\"\"]]]", 2);
    expect_only(confirm, "[31,77,1,900,1,2,[]]", 0);
    expect(confirm, "[31,77,1,0,0,0,[]]", 0); /* confirmed before */
    expect(confirm, "[31,77,1,900,1099511627775,1,[]]", 0);
    refuse(confirm, "[31,0,1,900,1,2,[]]");
    refuse(confirm, "[31,77,0,900,1,2,[]]");
    refuse(confirm, "[31,77,1,0,1,1,[]]");
    refuse(confirm, "[31,77,1,900,0,1,[]]");
    refuse(confirm, "[31,77,1,900,1099511627776,0,[]]");
    refuse(confirm, "[31,77,1,900,1099511627775,2,[]]");
    refuse(confirm, "[31,77,1,900,1,4097,[]]");
    refuse(confirm, "[31,77,1,900,1,2,[[4096,8,\"why\"]]]");
    refuse(confirm, "[31,77,1,900,1,2,[[0,0,\"why\"]]]");
    refuse(confirm, "[31,77,1,900,1,2,[[0,12,\"why\"]]]");
    refuse(confirm, "[31,77,1,900,1,2,[[0,8,\"bin:why\"]]]");
    refuse(confirm, "[31,77,1,900,1,2,[[0,8,\"why\"],[0,8]]]");
}

static void a_confirm_without_refusals_has_its_ids(void **state)
{
    (void)state;
    confirm_t got = {0};
    frame_json(&b, "[31,77,42,900,5,3,[]]");
    assert_int_equal(decode_confirm(b.data, b.len, &got, refusals), 0);
    assert_int_equal(got.session, 77);
    assert_int_equal(got.number, 42);
    assert_int_equal(got.first.stream, 900);
    assert_int_equal(got.first.seq, 5);
    assert_int_equal(got.stored, 3);
}

static void refusals_up_to_4096(void **state)
{
    (void)state;
    static refusal_t many[RECORDS_MAX + 1];
    const confirm_t c = {.session = 1, .number = 1};
    for (uint32_t i = 0; i <= RECORDS_MAX; i++) {
        many[i] = (refusal_t){i % RECORDS_MAX, ERR_BODY, {"", 0}};
    }
    encode_confirm(&b, &c, many, RECORDS_MAX);
    assert_int_equal(confirm(&b), RECORDS_MAX);
    buffer_clear(&b);
    encode_confirm(&b, &c, many, RECORDS_MAX + 1);
    assert_int_equal(confirm(&b), -E2BIG);
}

/* --- STATUS, REPORT --- */

static int status(const buffer_t *frame)
{
    uint64_t version;
    memset(&version, UNTOUCHED, sizeof version);
    int rc = decode_status(frame->data, frame->len, &version);
    assert_untouched(rc, &version, sizeof version);
    return rc;
}

static int report(const buffer_t *frame)
{
    struct {
        text_t json;
    } got;
    memset(&got, UNTOUCHED, sizeof got);
    int rc = decode_report(frame->data, frame->len, &got.json);
    assert_untouched(rc, &got, sizeof got);
    return rc;
}

static void status_and_report_come_back(void **state)
{
    (void)state;
    uint64_t version;
    text_t json;
    encode_status(&b);
    assert_command(&b, CMD_STATUS);
    assert_int_equal(decode_status(b.data, b.len, &version), 0);
    assert_int_equal(version, PROTO_VERSION);
    buffer_clear(&b);
    encode_report(&b, "{\"a\":1}", 7);
    assert_command(&b, CMD_REPORT);
    assert_int_equal(decode_report(b.data, b.len, &json), 0);
    assert_int_equal(json.len, 7);
    assert_memory_equal(json.bytes, "{\"a\":1}", 7);
    expect_only(status, "[40,1]", 0);
    expect(status, "[40,9223372036854775807]", 0); /* another version is no fault of the frame */
    expect_only(report, "[41,\"{}\"]", 0);
    refuse(report, "[41,\"bin:{}\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(publish_comes_back, clear),
        cmocka_unit_test(publish_out_of_its_ranges),
        cmocka_unit_test_teardown(a_frame_without_bodies_has_its_number, clear),
        cmocka_unit_test_teardown(publish_up_to_4096, clear),
        cmocka_unit_test_teardown(confirm_comes_back, clear),
        cmocka_unit_test(confirm_out_of_its_ranges),
        cmocka_unit_test_teardown(a_confirm_without_refusals_has_its_ids, clear),
        cmocka_unit_test_teardown(refusals_up_to_4096, clear),
        cmocka_unit_test_teardown(status_and_report_come_back, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

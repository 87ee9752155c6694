#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto_cases.h"

static buffer_t b;

static int clear(void **state)
{
    (void)state;
    buffer_done(&b);
    return 0;
}

/* --- proto_command --- */

static void assert_no_command(const char *json, const char *expected)
{
    const char *why = NULL;
    frame_json(&b, json);
    assert_int_equal(proto_command(b.data, b.len, &why), -EPROTO);
    assert_string_equal(why, expected);
    assert_int_equal(proto_command(b.data, b.len, NULL), -EPROTO);
}

static void what_is_no_command(void **state)
{
    (void)state;
    assert_no_command("5", "is not an array of a command");
    assert_no_command("{}", "is not an array of a command");
    assert_no_command("[]", "is not an array of a command");
    assert_no_command("[null]", "has no command number");
    assert_no_command("[-1]", "has no command number");
    assert_no_command("[\"1\"]", "has no command number");
    assert_no_command("[[1]]", "has no command number");
    assert_no_command("[\"uint:9223372036854775808\"]", "has no command number");
    assert_no_command("[3,0]", "has fields where none belong");
    assert_no_command("[5,0]", "has fields where none belong");
    const char *why = NULL;
    assert_int_equal(proto_command("\x91\xc1", 2, &why), -EPROTO);
    assert_string_equal(why, "holds a byte that begins no value");
    assert_int_equal(proto_command("", 0, &why), -EPROTO);
}

static void unknown_numbers_are_the_callers(void **state)
{
    (void)state;
    frame_json(&b, "[0]");
    assert_command(&b, 0);
    frame_json(&b, "[99,{\"a\":1}]");
    assert_command(&b, 99);
    frame_json(&b, "[2147483647]");
    assert_command(&b, INT32_MAX);
    frame_json(&b, "[2147483648]");
    assert_command(&b, INT32_MAX);
    frame_json(&b, "[9223372036854775807]");
    assert_command(&b, INT32_MAX);
}

static void a_frame_of_two_mebibytes_and_no_more(void **state)
{
    (void)state;
    uint32_t text_len = FRAME_BYTES_MAX - 7; /* [41, str32 */
    for (uint32_t extra = 0; extra <= 1; extra++) {
        const char *why = NULL;
        buffer_clear(&b);
        write_array(&b, 2);
        write_uint(&b, CMD_REPORT);
        write_str_head(&b, text_len + extra);
        assert_int_equal(buffer_reserve(&b, text_len + extra), 0);
        memset(b.data + b.len, 'x', text_len + extra);
        b.len += text_len + extra;
        assert_int_equal(b.len, FRAME_BYTES_MAX + extra);
        assert_int_equal(proto_command(b.data, b.len, &why), extra ? -EPROTO : CMD_REPORT);
        assert_string_equal(extra ? why : "", extra ? "is longer than a frame may be" : "");
    }
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_equal(error_name(1), "MALFORMED");
    assert_string_equal(error_name(6), "LIMIT");
    assert_string_equal(error_name(11), "STORE");
    assert_string_equal(error_name(0), "no such error");
    assert_string_equal(error_name(12), "no such error");
    assert_string_equal(error_name(UINT32_MAX), "no such error");
}

/* --- HELLO --- */

static int hello(const buffer_t *frame)
{
    hello_t h;
    memset(&h, UNTOUCHED, sizeof h);
    int rc = decode_hello(frame->data, frame->len, &h);
    assert_untouched(rc, &h, sizeof h);
    return rc;
}

static void hello_of_a_worker_comes_back(void **state)
{
    (void)state;
    const uint64_t refs[] = {0, 1, CODEC_INT_MAX};
    hello_t got;
    const hello_t h = {.version_min = 0,
                       .version_max = CODEC_INT_MAX,
                       .role = ROLE_WORKER,
                       .session = CODEC_INT_MAX,
                       .window = WINDOW_MAX,
                       .kind = "restart-simulate",
                       .leg = "a1234567890123456789012345678901",
                       .held_count = 3,
                       .label = "web-7:4242"};
    encode_hello(&b, &h, refs);
    assert_command(&b, CMD_HELLO);
    assert_int_equal(decode_hello(b.data, b.len, &got), 0);
    assert_int_equal(got.version_min, 0);
    assert_true(got.version_max == CODEC_INT_MAX);
    assert_int_equal(got.role, ROLE_WORKER);
    assert_true(got.session == CODEC_INT_MAX);
    assert_int_equal(got.window, WINDOW_MAX);
    assert_string_equal(got.kind, h.kind);
    assert_string_equal(got.leg, h.leg);
    assert_int_equal(got.held_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(read_uint(&got.held, CODEC_INT_MAX) == refs[i]);
    }
    assert_string_equal(got.label, h.label);
}

static void hello_of_a_consumer_comes_back(void **state)
{
    (void)state;
    const uint64_t ids[] = {1, 1, CODEC_INT_MAX, SEQ_MAX};
    const hello_t h = {
        .version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = 1, .held_count = 4};
    hello_t got;
    encode_hello(&b, &h, ids);
    assert_command(&b, CMD_HELLO);
    assert_int_equal(decode_hello(b.data, b.len, &got), 0);
    assert_int_equal(got.role, ROLE_CONSUMER);
    assert_int_equal(got.session, 1);
    assert_int_equal(got.window, 0);
    assert_string_equal(got.kind, "");
    assert_string_equal(got.leg, "");
    assert_int_equal(got.held_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(read_uint(&got.held, CODEC_INT_MAX) == ids[i]);
    }
}

static void hello_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1088,\"\",\"\",[900,1],\"web-7:1\"]", 0);
    expect_only(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"k\",\"l\",[],\"web-7:1\"]", 0);
    expect(hello,
           "[1,\"mandrill\",1,1,\"consumer\",77,1088,\"\",\"\",[],"
           "\"1234567890123456789012345678901234567890123456789012345678901234\"]",
           0);
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1088,\"\",\"\",[],"
                  "\"12345678901234567890123456789012345678901234567890123456789012345\"]");
    refuse(hello, "[1,\"mandril\",1,1,\"consumer\",77,1088,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill2\",1,1,\"consumer\",77,1088,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"bin:mandrill\",1,1,\"consumer\",77,1088,\"\",\"\",[]]");
    refuse(hello, "[1,\"mandrill\",1,1,\"publisher\",77,1088,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"\",77,1088,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worke\",77,1088,\"k\",\"l\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",0,1088,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,65537,\"\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1088,\"k\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1088,\"\",\"l\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"\",\"l\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"k\",\"\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"K\",\"l\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"k\",\"-\",[],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"worker\",77,1088,\"k\",\"l\\u0000\",[],\"web-7:1\"]");
    refuse(
        hello,
        "[1,\"mandrill\",1,1,\"worker\",77,1088,\"k\",\"a12345678901234567890123456789012\",[],\"web-7:1\"]");
}

static void held_of_a_consumer_is_pairs_of_ids(void **state)
{
    (void)state;
    expect(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[1,1099511627775],\"web-7:1\"]", 0);
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[1],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[1,1,1],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[0,1],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[1,0],\"web-7:1\"]");
    refuse(hello, "[1,\"mandrill\",1,1,\"consumer\",77,1,\"\",\"\",[1,1099511627776],\"web-7:1\"]");
    expect(hello, "[1,\"mandrill\",1,1,\"worker\",77,1,\"k\",\"l\",[0,0,1],\"web-7:1\"]", 0);
}

static void as_many_held_as_two_windows(void **state)
{
    (void)state;
    static uint64_t held[HELD_MAX + 2];
    hello_t got;
    hello_t h = {.role = ROLE_CONSUMER, .session = 1};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        held[i] = SEQ_MAX;
    }
    h.held_count = HELD_MAX;
    encode_hello(&b, &h, held);
    assert_command(&b, CMD_HELLO);
    assert_int_equal(decode_hello(b.data, b.len, &got), 0);
    assert_int_equal(got.held_count, HELD_MAX);
    buffer_clear(&b);
    h.held_count = HELD_MAX + 2;
    encode_hello(&b, &h, held);
    assert_int_equal(decode_hello(b.data, b.len, &got), -EPROTO);
}

/* --- WELCOME --- */

static int welcome(const buffer_t *frame)
{
    welcome_t w;
    memset(&w, UNTOUCHED, sizeof w);
    int rc = decode_welcome(frame->data, frame->len, &w);
    assert_untouched(rc, &w, sizeof w);
    return rc;
}

static void welcome_comes_back(void **state)
{
    (void)state;
    welcome_t got;
    const welcome_t w = {.version = 1,
                         .session = CODEC_INT_MAX,
                         .ack_deadline_ms = DURATION_MS_MAX,
                         .lease_cap_ms = DURATION_MS_MAX - 1,
                         .legs_count = 8,
                         .legs = {"a", "b", "c", "d", "e", "f", "g", "a1234567890123456789012345678901"},
                         .asked = 0xff};
    encode_welcome(&b, &w);
    assert_command(&b, CMD_WELCOME);
    assert_int_equal(decode_welcome(b.data, b.len, &got), 0);
    assert_int_equal(got.version, 1);
    assert_true(got.session == CODEC_INT_MAX);
    assert_int_equal(got.ack_deadline_ms, DURATION_MS_MAX);
    assert_int_equal(got.lease_cap_ms, DURATION_MS_MAX - 1);
    assert_int_equal(got.legs_count, 8);
    assert_int_equal(got.asked, 0xff);
    for (int i = 0; i < 8; i++) {
        assert_string_equal(got.legs[i], w.legs[i]);
    }
}

static void welcome_out_of_its_ranges(void **state)
{
    (void)state;
    expect_only(welcome, "[2,1,900,10000,3600000,[\"save\",\"restart\"],2]", 0);
    expect(welcome, "[2,0,1,0,0,[],0]", 0);
    expect(welcome, "[2,1,900,0,0,[\"save\",\"restart\"],3]", 0);
    refuse(welcome, "[2,1,900,0,0,[\"save\",\"restart\"],4]");
    refuse(welcome, "[2,1,900,0,0,[],1]");
    refuse(welcome, "[2,1,0,10000,0,[],0]");
    refuse(welcome, "[2,1,900,86400001,0,[],0]");
    refuse(welcome, "[2,1,900,0,86400001,[],0]");
    refuse(welcome, "[2,1,900,0,0,[\"\"],0]");
    refuse(welcome, "[2,1,900,0,0,[\"Save\"],0]");
    refuse(welcome, "[2,1,900,0,0,[\"1save\"],0]");
    refuse(welcome, "[2,1,900,0,0,[\"save\",\"restart\",\"save\"],0]");
    refuse(welcome, "[2,1,900,0,0,[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"],0]");
}

/* --- the small ones --- */

static int ping(const buffer_t *frame)
{
    uint64_t seen;
    memset(&seen, UNTOUCHED, sizeof seen);
    int rc = decode_ping(frame->data, frame->len, &seen);
    assert_untouched(rc, &seen, sizeof seen);
    return rc;
}

static int window(const buffer_t *frame)
{
    uint32_t v;
    memset(&v, UNTOUCHED, sizeof v);
    int rc = decode_window(frame->data, frame->len, &v);
    assert_untouched(rc, &v, sizeof v);
    return rc;
}

static int error(const buffer_t *frame)
{
    peer_error_t e;
    memset(&e, UNTOUCHED, sizeof e);
    int rc = decode_error(frame->data, frame->len, &e);
    assert_untouched(rc, &e, sizeof e);
    return rc;
}

static void who_and_bye_are_only_their_numbers(void **state)
{
    (void)state;
    encode_who(&b);
    assert_int_equal(b.len, 2);
    assert_command(&b, CMD_WHO);
    buffer_clear(&b);
    encode_bye(&b);
    assert_int_equal(b.len, 2);
    assert_command(&b, CMD_BYE);
}

static void ping_and_window_come_back(void **state)
{
    (void)state;
    uint64_t seen;
    uint32_t size;
    const uint64_t edges[] = {0, 1, WINDOW_MAX, CODEC_INT_MAX};
    for (size_t i = 0; i < 4; i++) {
        buffer_clear(&b);
        encode_ping(&b, edges[i]);
        assert_command(&b, CMD_PING);
        assert_int_equal(decode_ping(b.data, b.len, &seen), 0);
        assert_true(seen == edges[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        buffer_clear(&b);
        encode_window(&b, (uint32_t)edges[i]);
        assert_command(&b, CMD_WINDOW);
        assert_int_equal(decode_window(b.data, b.len, &size), 0);
        assert_int_equal(size, edges[i]);
    }
    expect_only(ping, "[4,5]", 0);
    expect_only(window, "[7,5]", 0);
    refuse(window, "[7,65537]");
    refuse(window, "[7,4294967297]");
}

static void error_comes_back(void **state)
{
    (void)state;
    peer_error_t got;
    for (unsigned code = ERR_MALFORMED; code <= ERR_STORE; code++) {
        buffer_clear(&b);
        encode_error(&b, code, "no \xe2\x82\xac");
        assert_command(&b, CMD_ERROR);
        assert_int_equal(decode_error(b.data, b.len, &got), 0);
        assert_int_equal(got.code, code);
        assert_int_equal(got.text.len, 6);
        assert_memory_equal(got.text.bytes, "no \xe2\x82\xac", 6);
    }
    expect_only(error, "[6,1,\"why\"]", 0);
    expect(error, "[6,1,\"\"]", 0);
    refuse(error, "[6,0,\"why\"]");
    refuse(error, "[6,12,\"why\"]");
    refuse(error, "[6,1,\"bin:why\"]");
}

/* --- texts --- */

static void assert_text(const char *given, const char *expected)
{
    peer_error_t got;
    buffer_clear(&b);
    encode_error(&b, ERR_STORE, given);
    assert_command(&b, CMD_ERROR);
    assert_int_equal(decode_error(b.data, b.len, &got), 0);
    assert_int_equal(got.text.len, strlen(expected));
    assert_memory_equal(got.text.bytes, expected, got.text.len);
}

static void a_text_is_cut_and_made_utf8(void **state)
{
    (void)state;
    char given[TEXT_BYTES_MAX + 10];
    char expected[TEXT_BYTES_MAX + 1];
    assert_text("", "");
    assert_text("\xff", "?");
    assert_text("a\xff\xfe\xe2\x82\xac\xe2\x82", "a??\xe2\x82\xac??");
    memset(given, 'g', sizeof given);
    memset(expected, 'g', sizeof expected);
    given[TEXT_BYTES_MAX] = expected[TEXT_BYTES_MAX] = '\0';
    assert_text(given, expected);
    given[TEXT_BYTES_MAX] = 'h';
    given[TEXT_BYTES_MAX + 1] = '\0';
    assert_text(given, expected);
    /* The cut falls into a character. */
    memcpy(given + TEXT_BYTES_MAX - 2, "\xe2\x82\xac", 3);
    memcpy(expected + TEXT_BYTES_MAX - 2, "??", 2);
    assert_text(given, expected);
}

static void a_text_of_1024_bytes_and_no_more(void **state)
{
    (void)state;
    char text[TEXT_BYTES_MAX + 1];
    peer_error_t got;
    memset(text, 't', sizeof text);
    for (uint32_t extra = 0; extra <= 1; extra++) {
        buffer_clear(&b);
        write_array(&b, 3);
        write_uint(&b, CMD_ERROR);
        write_uint(&b, 1);
        write_str(&b, text, TEXT_BYTES_MAX + extra);
        assert_int_equal(decode_error(b.data, b.len, &got), extra ? -EPROTO : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_no_command, clear),
        cmocka_unit_test_teardown(unknown_numbers_are_the_callers, clear),
        cmocka_unit_test_teardown(a_frame_of_two_mebibytes_and_no_more, clear),
        cmocka_unit_test(errors_have_names),
        cmocka_unit_test_teardown(hello_of_a_worker_comes_back, clear),
        cmocka_unit_test_teardown(hello_of_a_consumer_comes_back, clear),
        cmocka_unit_test(hello_out_of_its_ranges),
        cmocka_unit_test(held_of_a_consumer_is_pairs_of_ids),
        cmocka_unit_test_teardown(as_many_held_as_two_windows, clear),
        cmocka_unit_test_teardown(welcome_comes_back, clear),
        cmocka_unit_test(welcome_out_of_its_ranges),
        cmocka_unit_test_teardown(who_and_bye_are_only_their_numbers, clear),
        cmocka_unit_test_teardown(ping_and_window_come_back, clear),
        cmocka_unit_test_teardown(error_comes_back, clear),
        cmocka_unit_test_teardown(a_text_is_cut_and_made_utf8, clear),
        cmocka_unit_test_teardown(a_text_of_1024_bytes_and_no_more, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

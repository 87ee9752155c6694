/* Dead letters as rows, pages and JSON. */
#include "cli/letter_text.h"
#include "tests/unit/letters.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static buffer_t bytes, events;
static char *text;
static letter_view_t view;

static int setup(void **state)
{
    (void)state;
    buffer_init(&bytes);
    buffer_init(&events);
    view = (letter_view_t){.names = &two_legs, .now_ms = 1795239967123 + 180000};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buffer_done(&bytes);
    buffer_done(&events);
    free(text);
    text = NULL;
    return 0;
}

static const char *shown(void (*print)(const letter_view_t *v, const letter_t *letter, FILE *out),
                         const letter_t *letter)
{
    size_t size;
    free(text);
    FILE *f = open_memstream(&text, &size);
    print(&view, letter, f);
    fclose(f);
    return text;
}

static void head(const letter_view_t *v, const letter_t *letter, FILE *out)
{
    (void)letter;
    letter_head(v, out);
}

static void assert_has(const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static json_t *as_json(const letter_t *letter)
{
    buffer_t out;
    buffer_init(&out);
    letter_json(&two_legs, letter, &out);
    assert_false(out.failed);
    assert_true(out.len > 0 && memchr(out.data, '\n', out.len) == out.data + out.len - 1);
    json_t *json = json_loadb((const char *)out.data, out.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
    buffer_done(&out);
    assert_non_null(json);
    return json;
}

static void a_row_under_its_head(void **state)
{
    (void)state;
    letter_t letter = letter_make(&bytes, 42, "web-1", "restart: connection refused");
    letter_widths(&view, &letter, 1);
    shown(head, NULL);
    assert_string_equal(text, "ID                   HOST               DIED          LOST  "
                              "LEGS                    REASON\n");
    shown(letter_row, &letter);
    assert_string_equal(text, "5d1e9a0c44f3b210-42  web-1.example.net  3 min ago        0  "
                              "save done, restart bad  restart: connection refused\n");
}

static void reasons_are_cut_to_the_terminal(void **state)
{
    (void)state;
    char reason[TEXT_BYTES_MAX + 1];
    memset(reason, 'r', TEXT_BYTES_MAX);
    reason[TEXT_BYTES_MAX] = '\0';
    letter_t letter = letter_make(&bytes, 42, "web-1", reason);
    letter_widths(&view, &letter, 1);
    for (view.columns = 110; view.columns < 200; view.columns++) {
        shown(letter_row, &letter);
        assert_int_equal(strlen(text), view.columns + 1);
        assert_has("rrr...\n");
    }
    /* Too narrow: the legs and the reason have a line of their own. */
    view.columns = 80;
    shown(letter_row, &letter);
    assert_has("3 min ago        0\n    save done, restart bad: rrr");
    assert_int_equal(strlen(strchr(text, '\n') + 1), view.columns + 1);
    /* Not a terminal: nothing is cut. */
    view.columns = 0;
    assert_non_null(strstr(shown(letter_row, &letter), reason));
}

static void what_comes_from_outside_moves_no_cursor(void **state)
{
    (void)state;
    static const char evil[] = "\033[2J\rok\n\xc2\x9b"
                               "31m\xff";
    letter_t letter = letter_make(&bytes, 1, "web-1", evil);
    letter_add_event(&events, &letter,
                     (event_t){.bit = 1, .no = 1, .label = text_of("w\033]0;x\a"), .text = text_of(evil)});
    buffer_t body;
    buffer_init(&body);
    write_map(&body, 3);
    write_str(&body, "host", 4);
    write_str(&body, "web-1.example.net", 17);
    write_str(&body, "published_at", 12);
    write_uint(&body, 5);
    write_str(&body, "k\033[1m", 5);
    write_str(&body, "v\033[1m\n", 6);
    letter.body = body.data;
    letter.body_len = (uint32_t)body.len;
    letter_widths(&view, &letter, 1);
    for (int i = 0; i < 2; i++) {
        shown(i == 0 ? letter_row : letter_page, &letter);
        for (const char *c = text; *c; c++) {
            if (*c != '\n' && (*c < 0x20 || *c > 0x7e))
                fail_msg("byte %02x in:\n%s", (unsigned char)*c, text);
        }
        assert_has("\\x1b[2J\\x0dok\\x0a\\xc2\\x9b31m");
    }
    assert_has("attributes  k\\x1b[1m = \"v\\u001b[1m\\n\"\n");
    buffer_done(&body);
}

static void a_page_has_it_all(void **state)
{
    (void)state;
    letter_t letter = letter_make(&bytes, 42, "web-1", "restart: gave up");
    letter.deliveries = 2;
    letter_add_event(&events, &letter, (event_t){.bit = EVENT_MESSAGE, .no = 12, .how = HOW_OMITTED});
    letter_add_event(&events, &letter,
                     (event_t){.bit = 1,
                               .no = 3,
                               .label = text_of("web-7:4242"),
                               .since_ms = 1795239907123,
                               .took_ms = 35,
                               .how = HOW_TRANSIENT,
                               .text = text_of("connection refused")});
    letter_add_event(&events, &letter,
                     (event_t){.bit = EVENT_MESSAGE,
                               .no = 2,
                               .label = text_of("c-1:1"),
                               .since_ms = 1795239909000,
                               .took_ms = 10000,
                               .how = HOW_LEASE_LOST});
    shown(letter_page, &letter);
    assert_string_equal(
        text,
        "id          5d1e9a0c44f3b210-42\n"
        "host        web-1.example.net\n"
        "published   2026-11-21T05:45:07.123Z  (4 min ago)\n"
        "died        2026-11-21T05:46:07.123Z  (3 min ago)\n"
        "reason      restart: gave up\n"
        "legs        save done, restart bad\n"
        "deliveries  2 lost\n"
        "\n"
        "history\n"
        "  LEG      TRY  WORKER      START                         TOOK  OUTCOME     TEXT\n"
        "  (12 earlier events are left out)\n"
        "  restart    3  web-7:4242  2026-11-21T05:45:07.123Z     35 ms  TRANSIENT   connection refused\n"
        "  message    2  c-1:1       2026-11-21T05:45:09.000Z      10 s  LEASE LOST  \n");
}

static void a_body_that_cant_be_read_leaves_the_letter(void **state)
{
    (void)state;
    letter_t letter = letter_make(&bytes, 42, "web-1", "r");
    letter.body = "\xc1";
    letter.body_len = 1;
    shown(letter_page, &letter);
    assert_has("body        1 bytes that can't be read\n");
    assert_has("no history\n");
    json_t *json = as_json(&letter);
    assert_string_equal(json_string_value(json_object_get(json, "host")), "?");
    assert_null(json_object_get(json, "attributes"));
    json_decref(json);
}

/* Of a publisher that has other legs by now. */
static void legs_without_a_name(void **state)
{
    (void)state;
    letter_t letter = letter_make(&bytes, 42, "web-1", "r");
    letter.legs = 7;
    letter.bad = 4;
    shown(letter_page, &letter);
    assert_has("legs        save done, restart open, leg 2 bad\n");
}

static void json_loses_nothing(void **state)
{
    (void)state;
    letter_t letter = letter_make(&bytes, 42, "web-1", "\"\033[2J\xc3\xbc");
    letter.deliveries = 2;
    letter_add_event(&events, &letter,
                     (event_t){.bit = 1,
                               .no = 3,
                               .label = text_of("w"),
                               .since_ms = 5,
                               .took_ms = 6,
                               .how = HOW_TIMEOUT,
                               .text = {"a\0b", 3}});
    letter_add_event(&events, &letter,
                     (event_t){.bit = EVENT_MESSAGE, .no = 4, .how = HOW_NACKED, .label = text_of("c")});
    letter_add_event(&events, &letter, (event_t){.bit = EVENT_MESSAGE, .no = 9, .how = HOW_OMITTED});
    json_t *json = as_json(&letter);
    json_t *expected = json_pack(
        "{s:s, s:s, s:I, s:{}, s:I, s:s, s:i, s:{s:s, s:s}, s:[{s:s, s:s, s:i, s:s, s:i, s:i, s:s#},"
        "{s:s, s:i, s:s, s:i, s:i, s:s}, {s:s, s:i}]}",
        "id", "5d1e9a0c44f3b210-42", "host", "web-1.example.net", "published_at", (json_int_t)1795239907123,
        "attributes", "died_at", (json_int_t)1795239967123, "reason", "\"\033[2J\xc3\xbc", "deliveries", 2,
        "legs", "save", "done", "restart", "bad", "history", "outcome", "TIMEOUT", "leg", "restart", "try", 3,
        "worker", "w", "started_at", 5, "took_ms", 6, "text", "a\0b", 3, "outcome", "NACKED", "delivery", 4,
        "consumer", "c", "started_at", 0, "took_ms", 0, "text", "", "outcome", "OMITTED", "events", 9);
    assert_non_null(expected);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
}

#define with_bytes(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bytes(a_row_under_its_head),
        with_bytes(reasons_are_cut_to_the_terminal),
        with_bytes(what_comes_from_outside_moves_no_cursor),
        with_bytes(a_page_has_it_all),
        with_bytes(a_body_that_cant_be_read_leaves_the_letter),
        with_bytes(legs_without_a_name),
        with_bytes(json_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

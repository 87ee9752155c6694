/* Every command of the wire: what a decoder takes is written again by its encoder, read again, and has to be
 * the same. A new command is one function and one row here. */
#include "common/core/history.h"
#include "common/core/proto.h"
#include "tests/fuzz/input.h"

#include <errno.h>

/* Decodes the frame and, when it is good, encodes it into `out`. What the decoder said. */
typedef int again_fn(const void *frame, size_t len, buffer_t *out);

static int again_hello(const void *frame, size_t len, buffer_t *out)
{
    static uint64_t held[HELD_MAX];
    hello_t h;
    int rc = decode_hello(frame, len, &h);
    if (rc == 0) {
        reader_t r = h.held;
        MUST(h.held_count <= HELD_MAX);
        for (uint32_t i = 0; i < h.held_count; i++)
            held[i] = read_uint(&r, CODEC_INT_MAX);
        MUST(!r.failed);
        encode_hello(out, &h, held);
    }
    return rc;
}

static int again_welcome(const void *frame, size_t len, buffer_t *out)
{
    welcome_t w;
    int rc = decode_welcome(frame, len, &w);
    if (rc == 0)
        encode_welcome(out, &w);
    return rc;
}

static int again_ping(const void *frame, size_t len, buffer_t *out)
{
    uint64_t count;
    int rc = decode_ping(frame, len, &count);
    if (rc == 0)
        encode_ping(out, count);
    return rc;
}

static int again_error(const void *frame, size_t len, buffer_t *out)
{
    peer_error_t e;
    char text[TEXT_BYTES_MAX + 1] = "";
    int rc = decode_error(frame, len, &e);
    if (rc == 0) {
        MUST(e.text.len <= TEXT_BYTES_MAX && error_name(e.code) != NULL);
        /* A text is written up to its first NUL. */
        memcpy(text, e.text.bytes, e.text.len);
        encode_error(out, e.code, text);
    }
    return rc;
}

static int again_window(const void *frame, size_t len, buffer_t *out)
{
    uint32_t window;
    int rc = decode_window(frame, len, &window);
    if (rc == 0)
        encode_window(out, window);
    return rc;
}

/* What is kept of them can be read one by one. */
static void read_notes(const delivery_record_t *d)
{
    reader_t r;
    note_t note;
    uint32_t n = 0, seen = 0;
    reader_init(&r, d->notes, d->notes_len);
    while (note_read(&r, &note)) {
        MUST(note.len <= NOTE_BYTES_MAX && note.bit < LEGS_MAX && (seen >> note.bit & 1) == 0);
        seen |= 1u << note.bit;
        n++;
    }
    MUST(n == d->notes_count && reader_end(&r) == 0);
}

static int again_deliver(const void *frame, size_t len, buffer_t *out)
{
    static delivery_record_t records[RECORDS_MAX];
    batch_t batch;
    int n = decode_deliver(frame, len, records);
    if (n >= 0) {
        deliver_begin(&batch, out);
        for (int i = 0; i < n; i++) {
            read_notes(&records[i]);
            deliver_add(&batch, &records[i]);
        }
        batch_end(&batch);
    }
    return n;
}

/* A message that has gone through these events again and again. */
static void remember(const void *events, uint32_t len)
{
    enum { TIMES = 40 };
    uint8_t tries[LEGS_MAX] = {0};
    char reason[REASON_BYTES_MAX];
    buffer_t history, changed;
    buffer_init(&history);
    buffer_init(&changed);
    for (uint32_t no = 1; no <= TIMES; no++) {
        reader_t r;
        event_t e;
        buffer_clear(&changed);
        reader_init(&r, events, len);
        while (event_read(&r, &e)) {
            e.no = no;
            event_write(&changed, &e);
        }
        MUST(history_add(&history, changed.data, changed.len) >= 0);
        MUST(history.len <= HISTORY_BYTES_MAX && events_count(history.data, history.len) >= 0);
    }
    history_tries(history.data, history.len, tries);
    for (int i = 0; i < 4; i++)
        MUST(history_reason(history.data, history.len, (uint8_t)(i & 1 ? 255 : 1), i & 2, 5, reason) <=
             sizeof reason);
    buffer_done(&history);
    buffer_done(&changed);
}

static void read_events(const void *events, uint32_t events_len, uint32_t count)
{
    reader_t r;
    event_t e;
    uint32_t n = 0;
    buffer_t again;
    buffer_init(&again);
    reader_init(&r, events, events_len);
    while (event_read(&r, &e)) {
        MUST(how_name(e.how) != NULL);
        event_write(&again, &e);
        n++;
    }
    MUST(n == count && reader_end(&r) == 0);
    MUST(events_count(again.data, again.len) == (int)count);
    if (count > 0)
        remember(again.data, (uint32_t)again.len);
    buffer_done(&again);
}

static int again_progress(const void *frame, size_t len, buffer_t *out)
{
    static step_t steps[RECORDS_MAX];
    batch_t batch;
    uint64_t no;
    int n = decode_progress(frame, len, &no, steps);
    if (n >= 0) {
        progress_begin(&batch, out, no);
        for (int i = 0; i < n; i++) {
            read_events(steps[i].events, steps[i].events_len, steps[i].events_count);
            progress_add(&batch, &steps[i]);
        }
        batch_end(&batch);
    }
    return n;
}

static int again_settled(const void *frame, size_t len, buffer_t *out)
{
    uint64_t no;
    const uint8_t *codes;
    int n = decode_settled(frame, len, &no, &codes);
    if (n >= 0)
        encode_settled(out, no, codes, (uint32_t)n);
    return n;
}

static int again_tasks(const void *frame, size_t len, buffer_t *out)
{
    static task_record_t records[RECORDS_MAX];
    batch_t batch;
    tasks_t head;
    int n = decode_tasks(frame, len, &head, records);
    if (n >= 0) {
        tasks_begin(&batch, out, &head);
        for (int i = 0; i < n; i++)
            tasks_add(&batch, &records[i]);
        batch_end(&batch);
    }
    return n;
}

static int again_results(const void *frame, size_t len, buffer_t *out)
{
    static result_record_t records[RECORDS_MAX];
    batch_t batch;
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    if (n >= 0) {
        results_begin(&batch, out, no);
        for (int i = 0; i < n; i++)
            results_add(&batch, &records[i]);
        batch_end(&batch);
    }
    return n;
}

static int again_notes(const void *frame, size_t len, buffer_t *out)
{
    static note_record_t records[RECORDS_MAX];
    batch_t batch;
    int n = decode_notes(frame, len, records);
    if (n >= 0) {
        notes_begin(&batch, out);
        for (int i = 0; i < n; i++) {
            MUST(records[i].len <= NOTE_BYTES_MAX);
            notes_add(&batch, &records[i]);
        }
        batch_end(&batch);
    }
    return n;
}

static int again_grants(const void *frame, size_t len, buffer_t *out)
{
    static grant_record_t records[RECORDS_MAX];
    batch_t batch;
    int n = decode_grants(frame, len, records);
    if (n >= 0) {
        grants_begin(&batch, out);
        for (int i = 0; i < n; i++)
            grants_add(&batch, &records[i]);
        batch_end(&batch);
    }
    return n;
}

static int again_publish(const void *frame, size_t len, buffer_t *out)
{
    static text_t bodies[RECORDS_MAX];
    batch_t batch;
    publish_t p;
    int n = decode_publish(frame, len, &p, bodies);
    if (n >= 0) {
        publish_begin(&batch, out, &p);
        for (int i = 0; i < n; i++)
            publish_add(&batch, bodies[i].bytes, bodies[i].len);
        batch_end(&batch);
    }
    return n;
}

static int again_confirm(const void *frame, size_t len, buffer_t *out)
{
    static refusal_t refusals[RECORDS_MAX];
    confirm_t c;
    int n = decode_confirm(frame, len, &c, refusals);
    if (n >= 0)
        encode_confirm(out, &c, refusals, (uint32_t)n);
    return n;
}

static int again_status(const void *frame, size_t len, buffer_t *out)
{
    uint64_t version;
    int rc = decode_status(frame, len, &version);
    if (rc == 0 && version == PROTO_VERSION) /* the only one that is written */
        encode_status(out);
    return rc;
}

static int again_report(const void *frame, size_t len, buffer_t *out)
{
    text_t json;
    int rc = decode_report(frame, len, &json);
    if (rc == 0)
        encode_report(out, json.bytes, json.len);
    return rc;
}

static int again_dead(const void *frame, size_t len, buffer_t *out)
{
    dead_t d;
    int rc = decode_dead(frame, len, &d);
    if (rc == 0)
        encode_dead(out, &d);
    return rc;
}

static int again_buried(const void *frame, size_t len, buffer_t *out)
{
    static letter_t letters[LETTERS_MAX];
    batch_t batch;
    buried_t rest;
    int n = decode_buried(frame, len, &rest, letters);
    if (n >= 0) {
        buried_begin(&batch, out, rest.number);
        for (int i = 0; i < n; i++) {
            read_events(letters[i].events, letters[i].events_len, letters[i].events_count);
            buried_add(&batch, &letters[i]);
        }
        buried_end(&batch, &rest);
    }
    return n;
}

static const struct {
    int command;
    again_fn *again;
} commands[] = {
    {CMD_HELLO, again_hello},       {CMD_WELCOME, again_welcome}, {CMD_PING, again_ping},
    {CMD_ERROR, again_error},       {CMD_WINDOW, again_window},   {CMD_DELIVER, again_deliver},
    {CMD_PROGRESS, again_progress}, {CMD_SETTLED, again_settled}, {CMD_TASKS, again_tasks},
    {CMD_RESULTS, again_results},   {CMD_NOTES, again_notes},     {CMD_GRANTS, again_grants},
    {CMD_PUBLISH, again_publish},   {CMD_CONFIRM, again_confirm}, {CMD_STATUS, again_status},
    {CMD_REPORT, again_report},     {CMD_DEAD, again_dead},       {CMD_BURIED, again_buried},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static bool same_value(const value_t *a, const value_t *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == VALUE_STR || a->type == VALUE_BIN)
        return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
    if (a->type == VALUE_INT)
        return a->as.integer == b->as.integer;
    return a->type == VALUE_ARRAY && a->as.count == b->as.count;
}

/* What a short form leaves out: zeros and empty texts. */
static bool is_nothing(reader_t *r, uint32_t values)
{
    for (; values > 0; values--) {
        value_t v;
        MUST(read_value(r, &v));
        if (v.type == VALUE_ARRAY)
            values += v.as.count;
        else if (v.type == VALUE_INT ? v.as.integer != 0 : v.len != 0)
            return false;
    }
    return true;
}

/* An array that was written with fewer fields than it came with. */
static bool same_but_shorter(reader_t *a, uint32_t a_count, reader_t *b, uint32_t b_count)
{
    for (uint32_t i = 0; i < b_count; i++) {
        value_t x, y;
        MUST(read_value(a, &x) && read_value(b, &y));
        if (!same_value(&x, &y))
            return false;
    }
    return a_count > b_count && is_nothing(a, a_count - b_count);
}

/* Whether both say the same, one value after the other. */
static bool same_values(const void *frame, size_t len, const buffer_t *written)
{
    reader_t a, b;
    reader_init(&a, frame, len);
    reader_init(&b, written->data, written->len);
    while (reader_end(&b) != 0) {
        value_t x, y;
        MUST(read_value(&a, &x) && read_value(&b, &y));
        if (x.type == VALUE_ARRAY && y.type == VALUE_ARRAY && x.as.count != y.as.count) {
            if (!same_but_shorter(&a, x.as.count, &b, y.as.count))
                return false;
        } else if (!same_value(&x, &y)) {
            /* The text of an ERROR ends at its first NUL. */
            return x.type == VALUE_STR && y.type == VALUE_STR && memchr(x.bytes, 0, x.len) != NULL;
        }
    }
    return reader_end(&a) == 0;
}

/* The first writing may be shorter than what came, for there are many ways to write one number; the second is
 * like the first. */
static void check_again(again_fn *again, int command, int rc, const buffer_t *written)
{
    buffer_t twice;
    const char *why;
    uint8_t *frame = exact_copy(written->data, written->len);
    buffer_init(&twice);
    MUST(proto_command(frame, written->len, &why) == command);
    MUST(again(frame, written->len, &twice) == rc);
    MUST(twice.len == written->len && memcmp(twice.data, frame, twice.len) == 0);
    free(frame);
    buffer_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const char *why = NULL;
    uint8_t *frame = exact_copy(bytes, len);
    int command = proto_command(frame, len, &why);
    MUST(command >= 0 || (command == -EPROTO && why != NULL));
    for (size_t i = 0; command >= 0 && i < sizeof commands / sizeof *commands; i++) {
        buffer_t out;
        buffer_init(&out);
        int rc = commands[i].again(frame, len, &out);
        MUST(rc >= 0 ? commands[i].command == command : rc == -EPROTO || rc == -E2BIG);
        MUST(rc < 0 || out.len == 0 || same_values(frame, len, &out));
        if (rc >= 0 && out.len > 0)
            check_again(commands[i].again, command, rc, &out);
        buffer_done(&out);
    }
    free(frame);
    return 0;
}

#include "cli/letter_text.h"
#include "cli/human.h"
#include "common/core/json.h"
#include "common/runtime/clock.h"
#include <inttypes.h>
#include <string.h>

enum {
    ESCAPED_MAX = TEXT_BYTES_MAX * 4 + 1, /* each byte as \xNN */
    HOST_WIDTH_MAX = 40,
    LEGS_WIDTH_MAX = 40,
    DIED_WIDTH = 12,
    LOST_WIDTH = 4,
    REASON_WIDTH_MIN = 24,
    GAP = 2, /* between columns */
    INDENT = 4,
    LEGS_TEXT = LEGS_MAX * (NAME_BYTES_MAX + sizeof(", open ")),
};

/* --- parts */

static const char *leg_name(const buried_t *names, uint32_t bit, char text[static NAME_BYTES_MAX + 1])
{
    if (bit < names->legs_count)
        return names->legs[bit];
    snprintf(text, NAME_BYTES_MAX + 1, "leg %" PRIu32, bit);
    return text;
}

static const char *leg_end(const letter_t *letter, uint32_t bit)
{
    uint8_t mask = (uint8_t)(1U << bit);
    return letter->done & mask ? "done" : letter->bad & mask ? "bad" : "open";
}

/* "save done, restart bad". */
static void legs_text(const buried_t *names, const letter_t *letter, char *text)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++) {
        char name[NAME_BYTES_MAX + 1];
        if (letter->legs >> bit & 1)
            at += (size_t)snprintf(text + at, LEGS_TEXT - at, "%s%s %s", at > 0 ? ", " : "",
                                   leg_name(names, bit, name), leg_end(letter, bit));
    }
}

/* What the outbox holds was checked when it came in; a damaged body still leaves the letter to be seen. */
static bool letter_body(const letter_t *letter, body_t *ret)
{
    if (body_parse(letter->body, letter->body_len, ret) == 0)
        return true;
    *ret = (body_t){.host = "?", .host_len = 1};
    return false;
}

static char *escape(text_t t, char *text, size_t size)
{
    return text_escape(t.bytes, t.len, text, size);
}

static const char *age(const letter_view_t *v, uint64_t then_ms, char text[static HUMAN_TEXT])
{
    int64_t ms = v->now_ms - (int64_t)then_ms;
    return human_duration(ms > 0 ? ms : 0, text); /* the publisher's clock may be ahead of ours */
}

/* --- rows */

static int wider(int width, size_t len, int max)
{
    return (int)len <= width ? width : (int)len < max ? (int)len : max;
}

void letter_widths(letter_view_t *v, const letter_t *letters, uint32_t n)
{
    v->id_width = (int)strlen("ID");
    v->host_width = (int)strlen("HOST");
    v->legs_width = (int)strlen("LEGS");
    for (uint32_t i = 0; i < n; i++) {
        char id[MESSAGE_ID_TEXT];
        char legs[LEGS_TEXT];
        body_t body;
        message_id_format(letters[i].id, id);
        legs_text(v->names, &letters[i], legs);
        letter_body(&letters[i], &body);
        v->id_width = wider(v->id_width, strlen(id), MESSAGE_ID_TEXT);
        v->host_width = wider(v->host_width, body.host_len, HOST_WIDTH_MAX);
        v->legs_width = wider(v->legs_width, strlen(legs), LEGS_WIDTH_MAX);
    }
}

/* With few columns the legs and the reason have a line of their own. */
static bool is_narrow(const letter_view_t *v)
{
    int least =
        v->id_width + v->host_width + DIED_WIDTH + LOST_WIDTH + v->legs_width + 5 * GAP + REASON_WIDTH_MIN;
    return v->columns > 0 && v->columns < least;
}

void letter_head(const letter_view_t *v, FILE *out)
{
    fprintf(out, "%-*s  %-*s  %-*s  %*s", v->id_width, "ID", v->host_width, "HOST", DIED_WIDTH, "DIED",
            LOST_WIDTH, "LOST");
    if (is_narrow(v))
        fprintf(out, "\n%*sLEGS: REASON\n", INDENT, "");
    else
        fprintf(out, "  %-*s  REASON\n", v->legs_width, "LEGS");
}

/* As much as the line has room for. */
static void print_cut(const letter_view_t *v, const char *text, int at, FILE *out)
{
    int room = v->columns - at;
    if (v->columns > 0 && (int)strlen(text) > room)
        fprintf(out, "%.*s...\n", room > 3 ? room - 3 : 0, text);
    else
        fprintf(out, "%s\n", text);
}

void letter_row(const letter_view_t *v, const letter_t *letter, FILE *out)
{
    char id[MESSAGE_ID_TEXT];
    char host[HOST_BYTES_MAX * 4 + 1];
    char died[HUMAN_TEXT];
    char ago[HUMAN_TEXT + 8];
    char legs[LEGS_TEXT];
    char reason[ESCAPED_MAX];
    body_t body;
    letter_body(letter, &body);
    message_id_format(letter->id, id);
    text_escape(body.host, body.host_len, host, sizeof(host));
    snprintf(ago, sizeof(ago), "%s ago", age(v, letter->died_ms, died));
    legs_text(v->names, letter, legs);
    escape(letter->reason, reason, sizeof(reason));
    int at = fprintf(out, "%-*s  %-*s  %-*s  %*" PRIu32, v->id_width, id, v->host_width, host, DIED_WIDTH,
                     ago, LOST_WIDTH, letter->deliveries);
    if (is_narrow(v))
        at = fprintf(out, "\n%*s%s: ", INDENT, "", legs) - 1;
    else
        at += fprintf(out, "  %-*s  ", v->legs_width, legs);
    print_cut(v, reason, at, out);
}

/* --- a page */

static void print_time(const letter_view_t *v, const char *label, uint64_t wall_ms, FILE *out)
{
    char text[WALL_TEXT];
    char ago[HUMAN_TEXT];
    clock_wall_text((int64_t)wall_ms, text);
    fprintf(out, "%-12s%s  (%s ago)\n", label, text, age(v, wall_ms, ago));
}

static void print_attributes(const body_t *body, FILE *out)
{
    reader_t r;
    buffer_t json;
    value_t value;
    buffer_init(&json);
    reader_init(&r, body->attributes_at, body->attributes_len);
    for (uint32_t i = 0; i < body->attributes; i++) {
        char shown[ATTRIBUTE_KEY_BYTES_MAX * 4 + 1];
        uint32_t len;
        const char *key = read_str(&r, ATTRIBUTE_KEY_BYTES_MAX, &len);
        if (!read_value(&r, &value))
            break;
        fprintf(out, "%-12s%s = ", i == 0 ? "attributes" : "", text_escape(key, len, shown, sizeof(shown)));
        buffer_clear(&json);
        json_put_value(&json, &value);
        /* In pieces: a value may be as long as a body. */
        for (size_t at = 0; at < json.len; at += TEXT_BYTES_MAX) {
            char piece[ESCAPED_MAX];
            size_t n = json.len - at < TEXT_BYTES_MAX ? json.len - at : TEXT_BYTES_MAX;
            fputs(text_escape((const char *)json.data + at, n, piece, sizeof(piece)), out);
        }
        fputc('\n', out);
    }
    buffer_done(&json);
}

/* The widths of the history's columns. */
typedef struct {
    int leg, label;
} history_widths_t;

static const char *event_leg(const buried_t *names, const event_t *e, char text[static NAME_BYTES_MAX + 1])
{
    return e->bit == EVENT_MESSAGE ? "message" : leg_name(names, e->bit, text);
}

static history_widths_t history_widths(const buried_t *names, const letter_t *letter)
{
    history_widths_t w = {.leg = (int)strlen("LEG"), .label = (int)strlen("WORKER")};
    reader_t r;
    event_t e;
    reader_init(&r, letter->events, letter->events_len);
    while (event_read(&r, &e)) {
        char name[NAME_BYTES_MAX + 1];
        char label[LABEL_BYTES_MAX * 4 + 1];
        w.leg = wider(w.leg, strlen(event_leg(names, &e, name)), NAME_BYTES_MAX);
        w.label = wider(w.label, strlen(escape(e.label, label, sizeof(label))), LABEL_BYTES_MAX);
    }
    return w;
}

static void print_event(const letter_view_t *v, const history_widths_t *w, const event_t *e, FILE *out)
{
    char name[NAME_BYTES_MAX + 1];
    char label[LABEL_BYTES_MAX * 4 + 1];
    char start[WALL_TEXT];
    char took[HUMAN_TEXT];
    char text[ESCAPED_MAX];
    if (e->how == HOW_OMITTED) {
        fprintf(out, "  (%" PRIu32 " earlier event%s left out)\n", e->no, e->no == 1 ? " is" : "s are");
        return;
    }
    clock_wall_text((int64_t)e->since_ms, start);
    fprintf(out, "  %-*s  %3" PRIu32 "  %-*s  %-24s  %8s  %-10s  %s\n", w->leg, event_leg(v->names, e, name),
            e->no, w->label, escape(e->label, label, sizeof(label)), start, human_duration(e->took_ms, took),
            how_name(e->how), escape(e->text, text, sizeof(text)));
}

static void print_history(const letter_view_t *v, const letter_t *letter, FILE *out)
{
    reader_t r;
    event_t e;
    if (letter->events_count == 0) {
        fprintf(out, "\nno history\n");
        return;
    }
    history_widths_t w = history_widths(v->names, letter);
    fprintf(out, "\nhistory\n  %-*s  %3s  %-*s  %-24s  %8s  %-10s  %s\n", w.leg, "LEG", "TRY", w.label,
            "WORKER", "START", "TOOK", "OUTCOME", "TEXT");
    reader_init(&r, letter->events, letter->events_len);
    while (event_read(&r, &e))
        print_event(v, &w, &e, out);
}

void letter_page(const letter_view_t *v, const letter_t *letter, FILE *out)
{
    char id[MESSAGE_ID_TEXT];
    char host[HOST_BYTES_MAX * 4 + 1];
    char legs[LEGS_TEXT];
    char reason[ESCAPED_MAX];
    body_t body;
    bool readable = letter_body(letter, &body);
    message_id_format(letter->id, id);
    legs_text(v->names, letter, legs);
    fprintf(out, "%-12s%s\n", "id", id);
    fprintf(out, "%-12s%s\n", "host", text_escape(body.host, body.host_len, host, sizeof(host)));
    if (readable)
        print_time(v, "published", (uint64_t)body.published_ms, out);
    else
        fprintf(out, "%-12s%" PRIu32 " bytes that can't be read\n", "body", letter->body_len);
    print_time(v, "died", letter->died_ms, out);
    fprintf(out, "%-12s%s\n", "reason", escape(letter->reason, reason, sizeof(reason)));
    fprintf(out, "%-12s%s\n", "legs", legs);
    fprintf(out, "%-12s%" PRIu32 " lost\n", "deliveries", letter->deliveries);
    if (readable)
        print_attributes(&body, out);
    print_history(v, letter, out);
}

/* --- JSON */

static void put_key(buffer_t *out, const char *key)
{
    json_put_raw(out, ",\"");
    json_put_raw(out, key);
    json_put_raw(out, "\":");
}

static void put_text(buffer_t *out, const char *key, const char *bytes, size_t len)
{
    put_key(out, key);
    json_put_string(out, bytes, len);
}

static void put_int(buffer_t *out, const char *key, uint64_t n)
{
    char text[24];
    put_key(out, key);
    snprintf(text, sizeof(text), "%" PRIu64, n);
    json_put_raw(out, text);
}

static void put_event(const buried_t *names, const event_t *e, buffer_t *out)
{
    char name[NAME_BYTES_MAX + 1];
    const char *how = how_name(e->how);
    json_put_raw(out, "{\"outcome\":");
    json_put_string(out, how, strlen(how));
    if (e->how == HOW_OMITTED) {
        put_int(out, "events", e->no);
        json_put_raw(out, "}");
        return;
    }
    if (e->bit == EVENT_MESSAGE) {
        put_int(out, "delivery", e->no);
        put_text(out, "consumer", e->label.bytes, e->label.len);
    } else {
        const char *leg = leg_name(names, e->bit, name);
        put_text(out, "leg", leg, strlen(leg));
        put_int(out, "try", e->no);
        put_text(out, "worker", e->label.bytes, e->label.len);
    }
    put_int(out, "started_at", e->since_ms);
    put_int(out, "took_ms", (uint64_t)e->took_ms);
    put_text(out, "text", e->text.bytes, e->text.len);
    json_put_raw(out, "}");
}

static void put_legs(const buried_t *names, const letter_t *letter, buffer_t *out)
{
    bool any = false;
    put_key(out, "legs");
    json_put_raw(out, "{");
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++) {
        char text[NAME_BYTES_MAX + 1];
        if (!(letter->legs >> bit & 1))
            continue;
        const char *name = leg_name(names, bit, text);
        json_put_raw(out, any ? "," : "");
        json_put_string(out, name, strlen(name));
        json_put_raw(out, ":");
        json_put_string(out, leg_end(letter, bit), strlen(leg_end(letter, bit)));
        any = true;
    }
    json_put_raw(out, "}");
}

void letter_json(const buried_t *names, const letter_t *letter, buffer_t *out)
{
    char id[MESSAGE_ID_TEXT];
    body_t body;
    reader_t r;
    event_t e;
    bool readable = letter_body(letter, &body);
    message_id_format(letter->id, id);
    json_put_raw(out, "{\"id\":");
    json_put_string(out, id, strlen(id));
    put_text(out, "host", body.host, body.host_len);
    if (readable) {
        put_int(out, "published_at", (uint64_t)body.published_ms);
        put_key(out, "attributes");
        body_attributes_json(&body, out);
    }
    put_int(out, "died_at", letter->died_ms);
    put_text(out, "reason", letter->reason.bytes, letter->reason.len);
    put_int(out, "deliveries", letter->deliveries);
    put_legs(names, letter, out);
    put_key(out, "history");
    json_put_raw(out, "[");
    reader_init(&r, letter->events, letter->events_len);
    for (bool any = false; event_read(&r, &e); any = true) {
        json_put_raw(out, any ? "," : "");
        put_event(names, &e, out);
    }
    json_put_raw(out, "]}\n");
}

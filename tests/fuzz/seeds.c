/* Writes the first inputs of the targets that read bytes, with the encoders themselves, so that none have to
 * be kept: seeds FOLDER makes FOLDER/wire, FOLDER/codec and so on. Those of the targets that read text are in
 * tests/fuzz/seeds. */
#include "common/core/codec.h"
#include "common/core/proto.h"
#include "tests/fuzz/input.h"

#include <sys/stat.h>

enum { PATH_BYTES = 1024 };

static const char *folder;

/* Also as a frame of the target `codec`, which reads any of them. */
static void put(const char *target, const char *name, const void *bytes, size_t len)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *f = fopen(path, "wb");
    MUST(f != NULL && fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

static void put_frame(const char *name, buffer_t *b)
{
    MUST(!b->failed);
    put("wire", name, b->data, b->len);
    put("codec", name, b->data, b->len);
    buffer_clear(b);
}

static void session_frames(buffer_t *b)
{
    static const uint64_t held[] = {7, 1, 7, 2};
    const hello_t consumer = {
        .version_min = 1, .version_max = 1, .session = 5, .window = 100, .held_count = 4};
    const hello_t worker = {.version_min = 1,
                            .version_max = 2,
                            .role = ROLE_WORKER,
                            .session = 6,
                            .window = 9,
                            .kind = "save-sqlite",
                            .leg = "save",
                            .label = "a-host:12"};
    const welcome_t welcome = {.version = 1,
                               .session = 8,
                               .ack_deadline_ms = 10000,
                               .lease_cap_ms = 3600000,
                               .legs_count = 2,
                               .legs = {"save", "restart"},
                               .asked = 3};
    encode_hello(b, &consumer, held);
    put_frame("hello-consumer", b);
    encode_hello(b, &worker, NULL);
    put_frame("hello-worker", b);
    encode_welcome(b, &welcome);
    put_frame("welcome", b);
    encode_who(b);
    put_frame("who", b);
    encode_bye(b);
    put_frame("bye", b);
    encode_ping(b, 300);
    put_frame("ping", b);
    encode_error(b, ERR_KIND, "another kind");
    put_frame("error", b);
    encode_window(b, 64);
    put_frame("window", b);
}

static const message_id_t id = {0x5d1e9a0c44f3b210, 42};

static void write_event(buffer_t *b)
{
    const event_t e = {.bit = 1,
                       .no = 2,
                       .label = {"worker", 6},
                       .since_ms = 1700000000000,
                       .took_ms = 20,
                       .how = HOW_TRANSIENT,
                       .text = {"no answer", 9}};
    event_write(b, &e);
}

/* What brings notes along, asks for grants, and answers. */
static void noted_frames(buffer_t *b)
{
    batch_t batch;
    buffer_t notes;
    buffer_init(&notes);
    note_write(&notes, &(note_t){.bit = 0, .bytes = "a", .len = 1});
    note_write(&notes, &(note_t){.bit = 1, .bytes = "intent", .len = 6});
    const delivery_record_t delivery = {.id = id,
                                        .token = 3,
                                        .legs = 3,
                                        .body = "body",
                                        .body_len = 4,
                                        .notes = notes.data,
                                        .notes_len = (uint32_t)notes.len,
                                        .notes_count = 2};
    const task_record_t task = {
        .ref = 9, .try_no = 2, .id = id, .body = "body", .body_len = 4, .note = "intent", .note_len = 6};
    const note_record_t note = {.ref = 9, .try_no = 2, .grant_ms = 60000, .bytes = "intent", .len = 6};
    const note_record_t empty = {.ref = 10, .try_no = 1, .bytes = "", .len = 0};
    const grant_record_t grant = {.ref = 9, .try_no = 2, .granted = true};
    deliver_begin(&batch, b);
    deliver_add(&batch, &delivery);
    batch_end(&batch);
    put_frame("deliver-notes", b);
    tasks_begin(&batch, b, &(tasks_t){.seen = 4});
    tasks_add(&batch, &task);
    batch_end(&batch);
    put_frame("tasks-note", b);
    notes_begin(&batch, b);
    notes_add(&batch, &note);
    notes_add(&batch, &empty);
    batch_end(&batch);
    put_frame("notes", b);
    grants_begin(&batch, b);
    grants_add(&batch, &grant);
    batch_end(&batch);
    put_frame("grants", b);
    buffer_done(&notes);
}

static void record_frames(buffer_t *b)
{
    static const uint8_t codes[] = {STEP_KEPT, STEP_DONE, STEP_GONE};
    const tasks_t head = {.seen = 4, .limit_ms = 60000};
    batch_t batch;
    buffer_t events;
    buffer_init(&events);
    write_event(&events);
    const delivery_record_t delivery = {
        .id = id, .token = 3, .legs = 3, .deliveries = 1, .body = "body", .body_len = 4, .tries = {1, 2}};
    const step_t brief = {.id = id, .token = 3, .done = 3, .text = {"", 0}};
    const step_t full = {.id = id,
                         .token = 3,
                         .done = 1,
                         .bad = 2,
                         .op = OP_NACK,
                         .ms = 500,
                         .text = {"why", 3},
                         .events = events.data,
                         .events_len = (uint32_t)events.len,
                         .events_count = 1};
    const step_t extend = {.id = id, .token = 3, .op = OP_EXTEND, .ms = 3000, .text = {"", 0}};
    const step_t note = {.id = id,
                         .token = 3,
                         .op = OP_NOTE,
                         .ms = 60000,
                         .text = {"", 0},
                         .note = {.bit = 1, .bytes = "intent", .len = 6}};
    const task_record_t task = {.ref = 9, .try_no = 2, .id = id, .body = "body", .body_len = 4};
    const result_record_t good = {.ref = 9, .try_no = 2, .text = {"", 0}};
    const result_record_t bad = {
        .ref = 10, .try_no = 1, .outcome = OUTCOME_TRANSIENT, .ms = 100, .text = {"why", 3}};
    deliver_begin(&batch, b);
    deliver_add(&batch, &delivery);
    batch_end(&batch);
    put_frame("deliver", b);
    noted_frames(b);
    progress_begin(&batch, b, 1);
    progress_add(&batch, &brief);
    progress_add(&batch, &full);
    batch_end(&batch);
    put_frame("progress", b);
    progress_begin(&batch, b, 2);
    progress_add(&batch, &extend);
    batch_end(&batch);
    put_frame("extend", b);
    progress_begin(&batch, b, 3);
    progress_add(&batch, &note);
    batch_end(&batch);
    put_frame("note", b);
    encode_settled(b, 1, codes, sizeof codes);
    put_frame("settled", b);
    tasks_begin(&batch, b, &head);
    tasks_add(&batch, &task);
    batch_end(&batch);
    put_frame("tasks", b);
    results_begin(&batch, b, 1);
    results_add(&batch, &good);
    results_add(&batch, &bad);
    batch_end(&batch);
    put_frame("results", b);
    buffer_done(&events);
}

static void client_frames(buffer_t *b, const buffer_t *body)
{
    const publish_t publish = {.version = 1, .session = 5, .number = 1};
    const confirm_t confirm = {.session = 5, .number = 1, .first = id, .stored = 2};
    const refusal_t refusal = {.place = 1, .code = ERR_BODY, .text = {"no host", 7}};
    batch_t batch;
    publish_begin(&batch, b, &publish);
    publish_add(&batch, body->data, body->len);
    batch_end(&batch);
    put_frame("publish", b);
    encode_confirm(b, &confirm, &refusal, 1);
    put_frame("confirm", b);
    encode_status(b);
    put_frame("status", b);
    encode_report(b, "{}", 2);
    put_frame("report", b);
}

static void dead_frames(buffer_t *b, const buffer_t *body)
{
    const dead_t dead = {.version = 1,
                         .number = 2,
                         .act = ACT_REDRIVE,
                         .max = 100,
                         .filter = {.host = {"*.example.net", 13}, .reason = {"no*", 3}, .older_ms = 1}};
    const buried_t rest = {
        .number = 2, .count = 1, .looked_to = id, .more = true, .legs_count = 1, .legs = {"save"}};
    batch_t batch;
    buffer_t events;
    buffer_init(&events);
    write_event(&events);
    const letter_t letter = {.id = id,
                             .died_ms = 5,
                             .legs = 3,
                             .done = 1,
                             .bad = 2,
                             .deliveries = 5,
                             .reason = {"why", 3},
                             .body = body->data,
                             .body_len = (uint32_t)body->len,
                             .events = events.data,
                             .events_len = (uint32_t)events.len,
                             .events_count = 1};
    encode_dead(b, &dead);
    put_frame("dead", b);
    buried_begin(&batch, b, 2);
    buried_add(&batch, &letter);
    buried_end(&batch, &rest);
    put_frame("buried", b);
    buffer_done(&events);
}

/* A body with each type of attribute; the first byte says how the target takes it. */
static void put_body(buffer_t *body)
{
    char why[WHY_BYTES];
    static const char given[] =
        "\0\x85\xa8instance\xa3"
        "db1\xa1n\xcb\x3f\xf8\0\0\0\0\0\0\xa1t\xc3\xa1i\xd3\xff\xff\xff\xff\xff\xff\xff\xf0\xa1z\xc0";
    put("body", "given", given, sizeof given - 1);
    MUST(body_normalise(given + 1, sizeof given - 2, "example.net", 1700000000000, body, why) == 0);
}

/* Sessions that come about and end; an outbox that is whole, and some that are not. */
static void put_scripts(void)
{
    static const char server[] = "\0\x10\0\1\x10\4\5\x10\3\0\x10\0\2\x05\x20\0\1\x0b";
    static const char dialer[] = "\1\2\1\1\2\4\1\4\1\1\1\2\2\0\x0b\2\1\2\1\6\3\0";
    put("session", "server", server, sizeof server - 1);
    put("session", "dialer", dialer, sizeof dialer - 1);
    for (unsigned i = 0; i < 64; i++) {
        char name[32];
        const char script[] = {(char)i,
                               1,
                               (char)(i * 5),
                               1,
                               (char)(i * 37),
                               0,
                               (char)(i * 3),
                               (char)(i * 11),
                               (char)(i * 7),
                               1,
                               2,
                               3,
                               7,
                               4,
                               15,
                               5,
                               23,
                               6};
        snprintf(name, sizeof name, "script-%u", i);
        put("outbox", name, script, sizeof script);
    }
}

int main(int argc, char **argv)
{
    buffer_t b, body;
    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    buffer_init(&b);
    buffer_init(&body);
    put_body(&body);
    session_frames(&b);
    record_frames(&b);
    client_frames(&b, &body);
    dead_frames(&b, &body);
    put_scripts();
    buffer_done(&b);
    buffer_done(&body);
    return 0;
}

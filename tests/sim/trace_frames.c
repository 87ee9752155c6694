/* Frames in words, for the trace. */
#include "common/core/proto.h"
#include "tests/sim/check_internal.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { TEXT_BYTES = 420, NAMES = CMD_BURIED + 1 };

static char text[TEXT_BYTES];

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, sizeof text - len, format, args);
    va_end(args);
}

static void add_deliver(const void *frame, size_t len)
{
    static delivery_record_t records[RECORDS_MAX];
    int n = decode_deliver(frame, len, records);
    for (int i = 0; i < n; i++)
        add(" %s (token %" PRIx64 ", legs %x, deliveries %u, notes %u)", id_text(records[i].id),
            records[i].token, records[i].legs, records[i].deliveries, records[i].notes_count);
}

static void add_progress(const void *frame, size_t len)
{
    static const char *const ops[] = {"", ", extend", ", nack", ", release", ", note"};
    static step_t steps[RECORDS_MAX];
    uint64_t no;
    int n = decode_progress(frame, len, &no, steps);
    if (n >= 0)
        add(" %" PRIu64 ":", no);
    for (int i = 0; i < n; i++)
        add(" %s (token %" PRIx64 ", done %x, bad %x%s %" PRId64 " ms)", id_text(steps[i].id), steps[i].token,
            steps[i].done, steps[i].bad, ops[steps[i].op], steps[i].ms);
}

static void add_settled(const void *frame, size_t len)
{
    static const char *const codes_text[] = {"kept", "done", "dead", "returned", "stale", "gone", "granted"};
    const uint8_t *codes;
    uint64_t no;
    int n = decode_settled(frame, len, &no, &codes);
    if (n >= 0)
        add(" %" PRIu64 ":", no);
    for (int i = 0; i < n; i++)
        add(" %s", codes[i] < STEP_CODES ? codes_text[codes[i]] : "?");
}

static void add_tasks(const void *frame, size_t len)
{
    static task_record_t records[RECORDS_MAX];
    tasks_t head;
    int n = decode_tasks(frame, len, &head, records);
    if (n >= 0)
        add(" (seen %" PRIu64 ")", head.seen);
    for (int i = 0; i < n; i++)
        add(" %s (ref %" PRIx64 ", try %u%s)", id_text(records[i].id), records[i].ref, records[i].try_no,
            records[i].note_len > 0 ? ", noted" : "");
}

static void add_results(const void *frame, size_t len)
{
    static const char *const outcomes[] = {"ok", "transient", "permanent", "blocked", "unknown"};
    static result_record_t records[RECORDS_MAX];
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    if (n >= 0)
        add(" %" PRIu64 ":", no);
    for (int i = 0; i < n; i++)
        add(" (ref %" PRIx64 ", try %u, %s %" PRId64 " ms)", records[i].ref, records[i].try_no,
            outcomes[records[i].outcome], records[i].ms);
}

static void add_notes(const void *frame, size_t len)
{
    static note_record_t records[RECORDS_MAX];
    int n = decode_notes(frame, len, records);
    for (int i = 0; i < n; i++)
        add(" (ref %" PRIx64 ", try %u, %u bytes, %" PRId64 " ms)", records[i].ref, records[i].try_no,
            records[i].len, records[i].grant_ms);
}

static void add_grants(const void *frame, size_t len)
{
    static grant_record_t records[RECORDS_MAX];
    int n = decode_grants(frame, len, records);
    for (int i = 0; i < n; i++)
        add(" (ref %" PRIx64 ", try %u, %s)", records[i].ref, records[i].try_no,
            records[i].granted ? "granted" : "refused");
}

static void add_session(int command, const void *frame, size_t len)
{
    hello_t hello;
    uint32_t window;
    uint64_t count;
    if (command == CMD_HELLO && decode_hello(frame, len, &hello) == 0)
        add(" session %" PRIx64 ", window %u, %u numbers held", hello.session, hello.window,
            hello.held_count);
    if (command == CMD_WINDOW && decode_window(frame, len, &window) == 0)
        add(" %u", window);
    if (command == CMD_PING && decode_ping(frame, len, &count) == 0)
        add(" %" PRIu64, count);
}

static void add_client(int command, const void *frame, size_t len)
{
    static refusal_t refusals[RECORDS_MAX];
    confirm_t c;
    if (command == CMD_CONFIRM && decode_confirm(frame, len, &c, refusals) >= 0)
        add(" number %" PRIu64 ": %u from %s on", c.number, c.stored, id_text(c.first));
}

void trace_frame(const conn_t *c, int end, bool sends, int command, const void *frame, size_t len)
{
    static const char *const names[NAMES] = {
        [CMD_HELLO] = "HELLO",     [CMD_WELCOME] = "WELCOME", [CMD_WHO] = "WHO",
        [CMD_PING] = "PING",       [CMD_BYE] = "BYE",         [CMD_ERROR] = "ERROR",
        [CMD_WINDOW] = "WINDOW",   [CMD_DELIVER] = "DELIVER", [CMD_PROGRESS] = "PROGRESS",
        [CMD_SETTLED] = "SETTLED", [CMD_TASKS] = "TASKS",     [CMD_RESULTS] = "RESULTS",
        [CMD_NOTES] = "NOTES",     [CMD_GRANTS] = "GRANTS",   [CMD_PUBLISH] = "PUBLISH",
        [CMD_CONFIRM] = "CONFIRM", [CMD_STATUS] = "STATUS",   [CMD_REPORT] = "REPORT",
        [CMD_DEAD] = "DEAD",       [CMD_BURIED] = "BURIED",
    };
    text[0] = '\0';
    switch (command) {
    case CMD_DELIVER:
        add_deliver(frame, len);
        break;
    case CMD_PROGRESS:
        add_progress(frame, len);
        break;
    case CMD_SETTLED:
        add_settled(frame, len);
        break;
    case CMD_TASKS:
        add_tasks(frame, len);
        break;
    case CMD_RESULTS:
        add_results(frame, len);
        break;
    case CMD_NOTES:
        add_notes(frame, len);
        break;
    case CMD_GRANTS:
        add_grants(frame, len);
        break;
    default:
        add_session(command, frame, len);
        add_client(command, frame, len);
        break;
    }
    const process_t *other = conn_process(c, 1 - end);
    const char *name = command > 0 && command < NAMES && names[command] != NULL ? names[command] : "?";
    trace_line("%s %s %s %s%s [%u]", sends ? "sends" : "reads", name, sends ? "to" : "from",
               other != NULL ? other->name : "nobody", text, conn_id(c));
}

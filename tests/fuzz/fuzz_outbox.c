/* An outbox that is opened over damaged files: bytes changed, cut off or moved in a copy of a good one and of
 * its WAL, and values that no program of ours has written. It has to be refused, or to go on as an outbox:
 * what is committed then is there when it is opened again.
 *
 * The good one is made at the start; the input says what is done to it, and then to the outbox. Files lie in
 * memory where there is such a file system. */
#include "common/core/notes.h"
#include "publisher/backlog.h"
#include "publisher/outbox.h"
#include "tests/fuzz/input.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#define NOW_MS INT64_C(1700000000000)

enum {
    FILE_BYTES_MAX = 1024 * 1024,
    PATH_BYTES = 64,
    DAMAGES_MAX = 8,
    ACTS_MAX = 24,
    READS_MAX = 4,
    ROWS_MAX = 64
};

typedef struct {
    uint8_t *bytes;
    size_t len;
} image_t;

/* An outbox as a killed process leaves it, its rows partly in the WAL; and one that was closed. */
static struct {
    image_t db, wal;
} images[2];

static char path[PATH_BYTES], wal_path[PATH_BYTES + 8];
static const char *const legs[] = {"save", "restart"};
static uint8_t *scratch;
static buffer_t events; /* one, as a history holds them */

static image_t read_image(const char *name)
{
    image_t image = {0};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return image;
    ssize_t n = read(fd, scratch, FILE_BYTES_MAX);
    MUST(n >= 0 && n < FILE_BYTES_MAX);
    close(fd);
    image.len = (size_t)n;
    image.bytes = exact_copy(scratch, image.len);
    return image;
}

static void write_image(const char *name, const uint8_t *bytes, size_t len)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static outbox_t *open_outbox(int *ret_error)
{
    outbox_t *o = NULL;
    char why[WHY_BYTES] = "";
    int rc = outbox_open(&o, path, legs, 2, INT64_C(1) << 30, why);
    MUST((rc == 0) == (o != NULL) && (rc == 0 || why[0] != '\0'));
    *ret_error = rc;
    return o;
}

static const note_t intent = {.bit = 1, .bytes = "intent", .len = 6};

/* Some of everything that an outbox holds. */
static void fill(outbox_t *o)
{
    uint64_t ids[40];
    MUST(outbox_begin(o) == 0);
    for (size_t i = 0; i < 40; i++) {
        char body[300];
        memset(body, 'b', sizeof body);
        MUST(outbox_insert(o, 3, body, 20 + i * 7, &ids[i]) == 0);
    }
    MUST(outbox_commit(o) == 0 && outbox_begin(o) == 0);
    for (size_t i = 0; i < 10; i++) {
        delivery_change_t mark = {
            .id = ids[i], .kind = CHANGE_MARK, .done = 1, .deliveries = 1, .wait_ms = 100};
        delivery_change_t bury = {.id = ids[10 + i], .kind = CHANGE_BURY, .bad = 2, .deliveries = 5};
        delivery_change_t done = {.id = ids[20 + i], .kind = CHANGE_DELETE, .done = 3};
        MUST(outbox_change(o, &mark, 1000) == 0 && outbox_change(o, &bury, 1000) == 0);
        MUST(outbox_change(o, &done, 1000) == 0);
        MUST(outbox_history(o, ids[i], events.data, events.len, true) == 0);
        MUST(outbox_note(o, ids[i], &intent, 5) == 0);
        MUST(outbox_client_set(o, 1000 + i, 1, ids[0], 40, 1000) == 0);
    }
    MUST(outbox_load_set(o, "a-load", 40) == 0 && outbox_dispatch(o, ids[35]) == 0);
    MUST(outbox_commit(o) == 0);
}

static void finish(void)
{
    buffer_done(&events);
    char reserve[PATH_BYTES + 16];
    snprintf(reserve, sizeof reserve, "%s.reserve", path);
    unlink(path);
    unlink(wal_path);
    unlink(reserve);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    int rc;
    snprintf(path, sizeof path, "%s/mandrill-fuzz-outbox-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    snprintf(wal_path, sizeof wal_path, "%s-wal", path);
    scratch = malloc(FILE_BYTES_MAX);
    MUST(scratch != NULL);
    const event_t failed = {.no = 1,
                            .label = {"worker", 6},
                            .since_ms = 1700000000000,
                            .how = HOW_PERMANENT,
                            .text = {"it could not be done", 20}};
    buffer_init(&events);
    event_write(&events, &failed);
    atexit(finish);
    /* The second start has the rows of the first in its file and its own in the WAL. */
    for (size_t i = 0; i < 2; i++) {
        outbox_t *o = open_outbox(&rc);
        MUST(o != NULL);
        fill(o);
        images[0].db = read_image(path);
        images[0].wal = read_image(wal_path);
        outbox_close(&o, i == 1);
        if (i == 0) {
            free(images[0].db.bytes);
            free(images[0].wal.bytes);
        }
    }
    images[1].db = read_image(path);
    return 0;
}

/* --- damage --- */

static void damage(image_t *image, input_t *in)
{
    uint8_t how = take_byte(in);
    size_t at = image->len > 0 ? take(in, 3) % image->len : 0, from, len;
    char *run;
    switch (how % 5) {
    case 0: /* other bytes */
        run = take_run(in, how / 8 + 1, &len);
        len = len < image->len - at ? len : image->len - at;
        memcpy(image->bytes + at, run, len);
        free(run);
        return;
    case 1: /* a bit */
        if (image->len > 0)
            image->bytes[at] ^= (uint8_t)(1u << how / 8 % 8);
        return;
    case 2: /* a file that ends too early */
        image->len = at;
        return;
    case 3: /* a sector of another place */
        from = image->len > 0 ? take(in, 3) % image->len : 0;
        len = 512 < image->len - (at > from ? at : from) ? 512 : image->len - (at > from ? at : from);
        memmove(image->bytes + at, image->bytes + from, len);
        return;
    default: /* zeros, as of a block that was never written */
        len = 4096 < image->len - at ? 4096 : image->len - at;
        memset(image->bytes + at, 0, len);
        return;
    }
}

/* Values that the tables can hold and we do not write. */
static void distort(input_t *in)
{
    static const char *const columns[] = {
        "meta SET epoch",        "meta SET dispatched_to",   "meta SET rows",
        "meta SET dead",         "meta SET states",          "meta SET clients",
        "streams SET epoch",     "streams SET stream",       "legs SET bit",
        "legs SET name",         "messages SET id",          "messages SET legs",
        "messages SET body",     "states SET done",          "states SET bad",
        "states SET deliveries", "states SET not_before_ms", "states SET delay_ms",
        "states SET history",    "states SET notes",         "states SET noted",
        "dead SET notes",        "states SET tries",         "dead SET reason",
        "dead SET died_ms",      "dead SET epoch",           "dead SET legs",
        "dead SET body",         "dead SET history",         "clients SET number",
        "clients SET first_id",  "clients SET stored",       "loads SET position",
        "loads SET id"};
    static const char *const values[] = {"-1",
                                         "0",
                                         "1",
                                         "255",
                                         "256",
                                         "65536",
                                         "4294967296",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "1e300",
                                         "''",
                                         "'a'",
                                         "x'00'",
                                         "zeroblob(70000)",
                                         "zeroblob(65537)",
                                         "'save,x'",
                                         "printf('%.5000c', 'x')",
                                         "8388607",
                                         "(1 << 62) + rowid",
                                         "'(99999999999999999999 earlier)'"};
    char sql[256];
    sqlite3 *db = NULL;
    const char *column = columns[take_byte(in) % (sizeof columns / sizeof *columns)];
    const char *value = values[take_byte(in) % (sizeof values / sizeof *values)];
    unsigned row = take_byte(in);
    if (sqlite3_open(path, &db) == SQLITE_OK) {
        /* A column of the key of a table without rowids is told by its own value. */
        snprintf(sql, sizeof sql, strncmp(column, "loads", 5) == 0 ? "UPDATE %s = 'x'" : "UPDATE %s = %s",
                 column, value);
        if (row < 48 && strncmp(column, "loads", 5) != 0)
            snprintf(sql + strlen(sql), sizeof sql - strlen(sql), " WHERE rowid & 63 = %u", row);
        sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA ignore_check_constraints = 1", NULL, NULL,
                     NULL);
        sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    sqlite3_close(db);
}

static void make_files(input_t *in)
{
    uint8_t how = take_byte(in);
    size_t which = how & 1;
    image_t db = images[which].db, wal = images[which].wal;
    db.bytes = exact_copy(db.bytes, db.len);
    wal.bytes = exact_copy(wal.bytes, wal.len);
    for (unsigned n = how >> 1 & 7; n > 0; n--)
        damage(take_byte(in) % 3 == 0 && wal.len > 0 ? &wal : &db, in);
    write_image(path, db.bytes, db.len);
    unlink(wal_path);
    if (wal.len > 0)
        write_image(wal_path, wal.bytes, wal.len);
    free(db.bytes);
    free(wal.bytes);
    for (unsigned n = how >> 4 & 3; n > 0; n--)
        distort(in);
}

/* --- what is done with it --- */

typedef struct {
    uint64_t ids[ROWS_MAX];
    size_t count;
} seen_t;

/* They are to be brought with a DELIVER, and whatever is stored, none of them is lost unseen. */
static void see_notes(const outbox_row_t *row)
{
    static delivery_record_t read[RECORDS_MAX];
    buffer_t notes, frame;
    batch_t batch;
    buffer_init(&notes);
    buffer_init(&frame);
    delivery_record_t d = {
        .id = {1, 1}, .body = "", .notes_count = notes_of(row->notes, row->notes_len, 3, &notes)};
    d.notes = notes.data;
    d.notes_len = (uint32_t)notes.len;
    deliver_begin(&batch, &frame);
    deliver_add(&batch, &d);
    batch_end(&batch);
    MUST(!frame.failed && decode_deliver(frame.data, frame.len, read) == 1);
    MUST(read[0].notes_count == d.notes_count);
    buffer_done(&notes);
    buffer_done(&frame);
}

static bool see(void *arg, const outbox_row_t *row)
{
    seen_t *seen = arg;
    body_t body;
    body_parse(row->body, row->body_len, &body);
    see_notes(row);
    MUST(outbox_wait_ms(row, NOW_MS) >= 0);
    seen->ids[seen->count++] = row->id;
    return seen->count < ROWS_MAX;
}

/* It is to be told to a client: nothing that is stored may make a frame that the other side refuses. */
static bool see_letter(void *arg, const outbox_letter_t *l)
{
    seen_t *seen = arg;
    buffer_t frame;
    batch_t batch;
    buried_t rest = {0};
    int count = events_count(l->events, l->events_len);
    letter_t letter = {.id = {1, 1},
                       .legs = l->legs,
                       .done = l->done,
                       .bad = l->bad,
                       .deliveries = l->deliveries,
                       .died_ms = (uint64_t)l->died_ms,
                       .reason = l->reason,
                       .body = l->body,
                       .body_len = l->body_len,
                       .events = l->events,
                       .events_len = count < 0 ? 0 : l->events_len,
                       .events_count = count < 0 ? 0 : (uint32_t)count};
    buffer_init(&frame);
    buried_begin(&batch, &frame, 1);
    buried_add(&batch, &letter);
    buried_end(&batch, &rest);
    MUST(!frame.failed);
    MUST(decode_buried(frame.data, frame.len, &rest, &letter) == 1);
    buffer_done(&frame);
    seen->ids[seen->count++] = l->id;
    return seen->count < ROWS_MAX;
}

static bool see_due(void *arg, const outbox_row_t *row)
{
    size_t *rows = arg;
    MUST(outbox_wait_ms(row, NOW_MS) >= 0);
    return ++*rows < ROWS_MAX;
}

static bool is_answer(int rc)
{
    return rc >= 0 || rc == -EIO || rc == -ENOENT || rc == -EINVAL || rc == -ENOSPC;
}

/* Into memory, as a publisher does after its start. */
static void recover(outbox_t *o)
{
    static const delivery_limits_t limits = {.table_max = 32,
                                             .ready_max = 16,
                                             .ready_bytes_max = 65536,
                                             .parked_max = 8,
                                             .ack_deadline_ms = 1000,
                                             .lease_cap_ms = 10000,
                                             .max_deliveries = 5};
    backlog_t backlog;
    delivery_t *delivery = delivery_new(&limits, outbox_epoch(o));
    MUST(delivery != NULL && backlog_init(&backlog, o, delivery, 1000, 5000, NOW_MS) == 0);
    for (int64_t now_ms = 5000; now_ms < 5000 + READS_MAX * 1000; now_ms += 1000)
        MUST(is_answer(backlog_read(&backlog, RECORDS_MAX, true, now_ms)));
    backlog_done(&backlog);
    delivery_destroy(&delivery);
}

static int act(outbox_t *o, input_t *in, const seen_t *seen)
{
    static const change_kind_t kinds[] = {CHANGE_DELETE, CHANGE_MARK, CHANGE_BURY};
    uint8_t what = take_byte(in);
    uint64_t id = seen->count > 0 ? seen->ids[take_byte(in) % seen->count] : take(in, 8) >> 1, number, first;
    uint32_t stored;
    int64_t due_ms;
    outbox_row_t row;
    outbox_resolved_t resolved;
    delivery_change_t change = {
        .id = id, .kind = kinds[what / 8 % 3], .done = 1, .bad = 2, .deliveries = what, .wait_ms = what};
    switch (what % 8) {
    case 0:
        return outbox_insert(o, 3, "body", 4, &number);
    case 1:
        return outbox_find(o, id, &row);
    case 2:
        switch (what / 8 % 6) {
        case 0:
            return outbox_redrive(o, id, events.data, events.len, NOW_MS);
        case 1:
            return outbox_purge(o, id);
        case 2:
            return outbox_next_due(o, (int64_t)id, 0, &due_ms);
        case 3:
            return outbox_note(o, id, &intent, what);
        case 4:
            return outbox_resolve(o, id, what, &resolved);
        default:
            return outbox_history(o, id, events.data, events.len, what & 1);
        }
    case 3:
        return outbox_client_set(o, 1000 + what, 2, id, 1, 5000000);
    case 4:
        return outbox_client(o, 1000 + what, &number, &first, &stored);
    case 5:
        return outbox_load_set(o, "a-load", what);
    case 6:
        return outbox_load(o, "a-load", &number);
    default:
        return outbox_change(o, &change, 1000);
    }
}

/* Whatever a late step may ask of a message that is there. */
static int visit(outbox_t *o, uint64_t id)
{
    outbox_row_t row;
    int rc = outbox_find(o, id, &row);
    MUST(is_answer(rc));
    if (rc == 0)
        rc = outbox_history(o, id, events.data, events.len, false);
    MUST(is_answer(rc));
    return rc == -EIO ? rc : 0;
}

/* One round; the id that it has inserted last and committed, or 0. */
static uint64_t play_round(outbox_t *o, input_t *in, const seen_t *seen)
{
    uint64_t id = 0;
    int rc = outbox_begin(o);
    for (size_t i = 0; rc == 0 && i < seen->count; i++)
        rc = visit(o, seen->ids[i]);
    for (int i = 0; rc == 0 && i < ACTS_MAX && in->left > 0; i++) {
        int answer = act(o, in, seen);
        MUST(is_answer(answer));
        rc = answer == -EIO ? answer : 0;
    }
    if (rc == 0)
        rc = outbox_insert(o, 3, "last", 4, &id);
    MUST(is_answer(rc));
    if (rc != 0) {
        outbox_rollback(o);
        return 0;
    }
    rc = outbox_commit(o);
    MUST(is_answer(rc));
    return rc == 0 ? id : 0;
}

static void check_kept(uint64_t id)
{
    int rc;
    outbox_row_t row;
    outbox_t *o = open_outbox(&rc);
    if (o != NULL && id > 0) {
        rc = outbox_find(o, id, &row);
        MUST(rc == -EIO || rc == -EINVAL || (rc == 0 && row.id == id && row.body_len == 4));
    }
    outbox_close(&o, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    int rc;
    input_t in = {bytes, len};
    make_files(&in);
    bool clean = take_byte(&in) & 1;
    outbox_t *o = open_outbox(&rc);
    MUST(rc == 0 || rc == -EINVAL || rc == -EIO);
    if (o == NULL)
        return 0;
    seen_t seen = {.count = 0};
    outbox_gauges_t gauges;
    const char *const *names;
    size_t due = 0;
    MUST(is_answer(outbox_scan(o, 0, UINT64_MAX, ROWS_MAX / 2, see, &seen)));
    MUST(is_answer(outbox_letters(o, 0, UINT64_MAX, ROWS_MAX / 2, see_letter, &seen)));
    MUST(is_answer(outbox_due(o, 0, 0, INT64_MAX, ROWS_MAX, see_due, &due)));
    recover(o);
    outbox_gauges(o, &gauges);
    outbox_legs(o, &names);
    outbox_has_room(o);
    uint64_t id = play_round(o, &in, &seen);
    MUST(is_answer(outbox_idle(o)));
    outbox_close(&o, clean);
    check_kept(id);
    return 0;
}

/* Rounds of the outbox on a real disk: so many messages of 100 bytes inserted by a commit, and so many
 * deleted by one. With fsync, as always. */
#include "publisher/outbox.h"
#include "tests/bench/micro.h"

#include <stdio.h>

enum { BATCHES = 3, WHY = WHY_BYTES };

static const struct {
    unsigned batch, rounds;
    const char *insert, *delete;
} sizes[BATCHES] = {
    {1, 500, "insert 1, commit", "delete 1, commit"},
    {64, 300, "insert 64, commit", "delete 64, commit"},
    {1024, 100, "insert 1024, commit", "delete 1024, commit"},
};

static uint64_t insert(outbox_t *o, unsigned batch)
{
    uint64_t id = 0;

    EXPECT(outbox_begin(o) == 0);
    for (unsigned i = 0; i < batch; i++)
        EXPECT(outbox_insert(o, 3, micro_body(), MICRO_BODY_BYTES, &id) == 0);
    EXPECT(outbox_commit(o) == 0);
    return id;
}

/* The `batch` messages up to `last`. */
static void delete (outbox_t *o, unsigned batch, uint64_t last)
{
    EXPECT(outbox_begin(o) == 0);
    for (unsigned i = 0; i < batch; i++)
        EXPECT(outbox_change(o, &(delivery_change_t){.id = last - i, .kind = CHANGE_DELETE}, 0) == 0);
    EXPECT(outbox_commit(o) == 0);
}

static void run(outbox_t *o, micro_row_t *rows)
{
    for (unsigned size = 0; size < BATCHES; size++) {
        const unsigned batch = sizes[size].batch, rounds = sizes[size].rounds;
        uint64_t last = 0;
        int64_t from_ns = micro_now_ns();
        for (unsigned i = 0; i < rounds; i++)
            last = insert(o, batch);
        micro_lap(&rows[2 * size], (uint64_t)rounds * batch, &from_ns);
        const uint64_t first = last - (uint64_t)rounds * batch;
        for (unsigned i = 1; i <= rounds; i++)
            delete (o, batch, first + (uint64_t)i * batch);
        micro_lap(&rows[2 * size + 1], (uint64_t)rounds * batch, &from_ns);
    }
}

void micro_outbox(unsigned runs)
{
    static const char *const legs[] = {"save", "restart"};
    micro_row_t rows[2 * BATCHES] = {0};
    rig_t *rig = measure_begin("ipc");
    char path[TEST_PATH_MAX], why[WHY];
    outbox_t *o;

    for (unsigned size = 0; size < BATCHES; size++) {
        rows[2 * size].name = sizes[size].insert;
        rows[2 * size + 1].name = sizes[size].delete;
    }
    if (outbox_open(&o, rig_path(rig, "outbox.db", path), legs, 2, INT64_MAX, why) < 0)
        fail_msg("%s", why);
    for (unsigned n = 0; n < runs; n++) {
        run(o, rows);
        micro_end(rows, 2 * BATCHES);
    }
    micro_print("Outbox: rounds with fsync, a message", rows, 2 * BATCHES);
    outbox_close(&o, true);
    measure_end(rig);
}

/* The two tables that every message passes: the publisher's leases, the consumer's gather. Nothing is on disk
 * and nothing is sent. */
#include "common/core/delivery.h"
#include "common/core/gather.h"
#include "tests/bench/micro.h"

#include <stdlib.h>

enum { BOTH = 3, LEGS = 2, EXTEND_MS = 3000, ACK_MS = 10000 };

/* --- leases --- */

enum { ADD, TAKE, EXTEND, SETTLE, EXPIRE, DELIVERY_ROWS, LEASES = 131072 };
#define FIRST_ID (UINT64_C(1) << EPOCH_SHIFT)

static void add_and_take(delivery_t *d, delivery_item_t *items, micro_row_t *rows)
{
    int64_t from_ns = micro_now_ns();

    for (unsigned n = 0; n < LEASES; n += MICRO_BATCH) {
        for (unsigned i = 0; i < MICRO_BATCH; i++) {
            const delivery_message_t m = {
                .id = FIRST_ID + 1 + n + i, .legs = BOTH, .body = micro_body(), .body_len = MICRO_BODY_BYTES};
            EXPECT(delivery_add(d, &m, 0) == 0);
        }
        micro_lap(&rows[ADD], MICRO_BATCH, &from_ns);
        EXPECT(delivery_take(d, 0, UINT64_MAX, MICRO_BATCH, 0, items + n) == MICRO_BATCH);
        delivery_sent(d, items + n, MICRO_BATCH);
        micro_lap(&rows[TAKE], MICRO_BATCH, &from_ns);
    }
}

static void say(delivery_t *d, const delivery_item_t *item, uint8_t done, step_op_t op, int64_t now_ms)
{
    const delivery_step_t s = {.id = item->id, .token = item->token, .done = done, .op = op, .ms = EXTEND_MS};

    EXPECT(delivery_progress(d, 0, &s, now_ms) == (done == BOTH ? STEP_DONE : STEP_KEPT));
}

static void extend_and_settle(delivery_t *d, const delivery_item_t *items, micro_row_t *rows)
{
    int64_t from_ns = micro_now_ns();

    for (unsigned i = 0; i < LEASES; i++)
        say(d, &items[i], 0, OP_EXTEND, 2000);
    micro_lap(&rows[EXTEND], LEASES, &from_ns);
    for (unsigned n = 0; n < LEASES; n += MICRO_BATCH) {
        for (unsigned i = 0; i < MICRO_BATCH; i++)
            say(d, &items[n + i], BOTH, OP_NONE, 2000);
        delivery_commit(d, 2000, 2000000, NULL);
    }
    micro_lap(&rows[SETTLE], LEASES, &from_ns);
}

static void expire(delivery_t *d, micro_row_t *rows)
{
    size_t left = LEASES;
    int64_t from_ns = micro_now_ns();

    while (left > 0) {
        const size_t n = delivery_expire(d, ACK_MS, MICRO_BATCH);
        EXPECT(n > 0);
        delivery_commit(d, ACK_MS, ACK_MS * INT64_C(1000), NULL);
        left -= n;
    }
    micro_lap(&rows[EXPIRE], LEASES, &from_ns);
}

static delivery_t *new_delivery(void)
{
    const delivery_limits_t limits = {
        .table_max = 2 * LEASES,
        .ready_max = 16384,
        .ready_bytes_max = 32 << 20,
        .ack_deadline_ms = ACK_MS,
        .lease_cap_ms = 3600000,
        .max_deliveries = 5,
    };
    delivery_t *d = delivery_new(&limits, 1);

    assert_non_null(d);
    delivery_session_open(d, 0, LEASES);
    return d;
}

void micro_delivery(unsigned runs)
{
    micro_row_t rows[DELIVERY_ROWS] = {
        [ADD] = {.name = "add, with its body"},           [TAKE] = {.name = "lease, and send"},
        [EXTEND] = {.name = "extend for the first time"}, [SETTLE] = {.name = "settle, 1024 a commit"},
        [EXPIRE] = {.name = "run out, 1024 a commit"},
    };
    delivery_item_t *items = micro_room(LEASES * sizeof *items);

    for (unsigned n = 0; n < runs; n++) {
        delivery_t *d = new_delivery();
        add_and_take(d, items, rows);
        extend_and_settle(d, items, rows);
        add_and_take(d, items, rows);
        expire(d, rows);
        delivery_destroy(&d);
        micro_end(rows, DELIVERY_ROWS);
    }
    free(items);
    micro_print("Lease table: 131,072 leases of one consumer, a message", rows, DELIVERY_ROWS);
}

/* --- gather --- */

enum { DELIVER, GIVE, RESULT, STEP, GATHER_ROWS, HELD = 8192, ROUNDS = 16, STEPS = 1024 };

static void deliver(gather_t *g, uint64_t first, micro_row_t *row)
{
    int64_t from_ns = micro_now_ns();

    for (uint64_t i = 0; i < HELD; i++) {
        const gather_message_t m = {.id = {.stream = 900, .seq = first + i},
                                    .token = first + i,
                                    .legs = BOTH,
                                    .body = micro_body(),
                                    .body_len = MICRO_BODY_BYTES};
        EXPECT(gather_deliver(g, &m, 0) == 1);
    }
    micro_lap(row, HELD, &from_ns);
}

static void give_and_answer(gather_t *g, uint64_t *refs, micro_row_t *rows)
{
    int64_t from_ns = micro_now_ns();
    gather_task_t task;
    bool freed;

    for (uint32_t leg = 0; leg < LEGS; leg++) {
        for (unsigned i = 0; i < HELD; i++) {
            EXPECT(gather_give(g, leg, leg, false, 0, &task));
            refs[i] = task.record.ref;
        }
        micro_lap(&rows[GIVE], HELD, &from_ns);
        for (unsigned i = 0; i < HELD; i++) {
            const result_record_t r = {.ref = refs[i], .try_no = 1};
            EXPECT(gather_result(g, leg, &r, 1, NULL, &freed) == TAKEN_OK);
        }
        micro_lap(&rows[RESULT], HELD, &from_ns);
    }
}

static void settle(gather_t *g, gather_step_t *steps, micro_row_t *row)
{
    int64_t from_ns = micro_now_ns();
    size_t n, all = 0;

    while ((n = gather_steps(g, 0, 1, steps, STEPS)) > 0) {
        for (size_t i = 0; i < n; i++)
            EXPECT(gather_settled(g, steps[i].slot, steps[i].lease, steps[i].final, STEP_DONE));
        all += n;
    }
    assert_int_equal(all, HELD);
    micro_lap(row, HELD, &from_ns);
}

static gather_t *new_gather(void)
{
    const gather_limits_t limits = {
        .messages_max = 2 * HELD,
        .extend_ms = EXTEND_MS,
        .extend_every_ms = 2000,
        .report_after_ms = 100,
        .release_after_ms = 1000,
        .policy = {.max_tries = 5,
                   .backoff = {.base_ms = 200, .factor = 2, .cap_ms = 30000},
                   .limit_ms = 30000,
                   .limit_hard_ms = 60000},
        .seed = 1,
    };
    gather_t *g = gather_new(&limits);

    assert_non_null(g);
    for (uint32_t worker = 0; worker < LEGS; worker++)
        gather_worker_joined(g, worker, "worker", NULL, 0, 0);
    return g;
}

void micro_gather(unsigned runs)
{
    micro_row_t rows[GATHER_ROWS] = {
        [DELIVER] = {.name = "take a message in"},
        [GIVE] = {.name = "give a task to a worker"},
        [RESULT] = {.name = "take its result"},
        [STEP] = {.name = "report a message, and let it go"},
    };
    uint64_t *refs = micro_room(HELD * sizeof *refs);
    gather_step_t *steps = micro_room(STEPS * sizeof *steps);
    gather_t *g = new_gather();
    uint64_t first = 1;

    for (unsigned n = 0; n < runs; n++) {
        for (unsigned i = 0; i < ROUNDS; i++, first += HELD) {
            deliver(g, first, &rows[DELIVER]);
            give_and_answer(g, refs, rows);
            settle(g, steps, &rows[STEP]);
        }
        micro_end(rows, GATHER_ROWS);
    }
    micro_print("Gather: 8,192 messages of two legs in hand", rows, GATHER_ROWS);
    gather_destroy(&g);
    free(steps);
    free(refs);
}

/* Frames of 1024 records with bodies of 100 bytes, written and read as the programs do: a read checks the
 * frame first. */
#include "common/core/proto.h"
#include "tests/bench/micro.h"

#include <stdlib.h>

enum { FRAMES = 200, STREAM = 900, TOKEN = 7 };

enum {
    DELIVER_OUT,
    DELIVER_IN,
    TASKS_OUT,
    TASKS_IN,
    RESULTS_OUT,
    RESULTS_IN,
    PROGRESS_OUT,
    PROGRESS_IN,
    ROWS
};

typedef struct {
    buffer_t frame;
    batch_t batch;
    delivery_record_t deliveries[RECORDS_MAX];
    task_record_t tasks[RECORDS_MAX];
    result_record_t results[RECORDS_MAX];
    step_t steps[RECORDS_MAX];
} codec_t;

static void write_deliver(codec_t *c)
{
    deliver_begin(&c->batch, &c->frame);
    for (uint64_t i = 0; i < MICRO_BATCH; i++)
        deliver_add(&c->batch, &(delivery_record_t){.id = {.stream = STREAM, .seq = 100000 + i},
                                                    .token = TOKEN + i,
                                                    .legs = 3,
                                                    .body = micro_body(),
                                                    .body_len = MICRO_BODY_BYTES});
    batch_end(&c->batch);
}

static int read_deliver(codec_t *c)
{
    return decode_deliver(c->frame.data, c->frame.len, c->deliveries);
}

static void write_tasks(codec_t *c)
{
    tasks_begin(&c->batch, &c->frame, &(tasks_t){.seen = 1, .limit_ms = 30000});
    for (uint64_t i = 0; i < MICRO_BATCH; i++)
        tasks_add(&c->batch, &(task_record_t){.ref = i << 32 | i,
                                              .try_no = 1,
                                              .id = {.stream = STREAM, .seq = 100000 + i},
                                              .body = micro_body(),
                                              .body_len = MICRO_BODY_BYTES});
    batch_end(&c->batch);
}

static int read_tasks(codec_t *c)
{
    tasks_t head;

    return decode_tasks(c->frame.data, c->frame.len, &head, c->tasks);
}

static void write_results(codec_t *c)
{
    results_begin(&c->batch, &c->frame, 1);
    for (uint64_t i = 0; i < MICRO_BATCH; i++)
        results_add(&c->batch, &(result_record_t){.ref = i << 32 | i, .try_no = 1});
    batch_end(&c->batch);
}

static int read_results(codec_t *c)
{
    uint64_t no;

    return decode_results(c->frame.data, c->frame.len, &no, c->results);
}

static void write_progress(codec_t *c)
{
    progress_begin(&c->batch, &c->frame, 1);
    for (uint64_t i = 0; i < MICRO_BATCH; i++)
        progress_add(&c->batch,
                     &(step_t){.id = {.stream = STREAM, .seq = 100000 + i}, .token = TOKEN + i, .done = 3});
    batch_end(&c->batch);
}

static int read_progress(codec_t *c)
{
    uint64_t no;

    return decode_progress(c->frame.data, c->frame.len, &no, c->steps);
}

static const struct {
    void (*write)(codec_t *c);
    int (*read)(codec_t *c);
} frames[] = {
    {write_deliver, read_deliver},
    {write_tasks, read_tasks},
    {write_results, read_results},
    {write_progress, read_progress},
};

static void run(codec_t *c, micro_row_t *rows)
{
    for (size_t kind = 0; kind < sizeof frames / sizeof frames[0]; kind++) {
        const char *why = "";
        int64_t from_ns = micro_now_ns();
        for (unsigned i = 0; i < FRAMES; i++) {
            buffer_clear(&c->frame);
            frames[kind].write(c);
        }
        micro_lap(&rows[2 * kind], (uint64_t)FRAMES * MICRO_BATCH, &from_ns);
        assert_false(c->frame.failed);
        for (unsigned i = 0; i < FRAMES; i++) {
            EXPECT(proto_command(c->frame.data, c->frame.len, &why) > 0);
            EXPECT(frames[kind].read(c) == MICRO_BATCH);
        }
        micro_lap(&rows[2 * kind + 1], (uint64_t)FRAMES * MICRO_BATCH, &from_ns);
    }
}

void micro_codec(unsigned runs)
{
    micro_row_t rows[ROWS] = {
        [DELIVER_OUT] = {.name = "DELIVER, write a record"}, [DELIVER_IN] = {.name = "DELIVER, read one"},
        [TASKS_OUT] = {.name = "TASKS, write a record"},     [TASKS_IN] = {.name = "TASKS, read one"},
        [RESULTS_OUT] = {.name = "RESULTS, write a record"}, [RESULTS_IN] = {.name = "RESULTS, read one"},
        [PROGRESS_OUT] = {.name = "PROGRESS, write a step"}, [PROGRESS_IN] = {.name = "PROGRESS, read one"},
    };
    codec_t *c = micro_room(sizeof *c);

    buffer_init(&c->frame);
    for (unsigned n = 0; n < runs; n++) {
        run(c, rows);
        micro_end(rows, ROWS);
    }
    micro_print("Codec: frames of 1024 records, bodies of 100 bytes", rows, ROWS);
    buffer_done(&c->frame);
    free(c);
}

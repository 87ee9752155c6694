#include "tests/support/frames.h"

#include "common/core/backoff.h"
#include "common/core/proto.h"
#include "common/runtime/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOISE_MAX = 200, NESTING_MAX = 3000, CHANGES_MAX = 4 };

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return random_next(seed) % n;
}

static void noise(uint64_t *seed, buffer_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)random_next(seed);
        buffer_append(out, &byte, 1);
    }
}

static void valid_hello(uint64_t *seed, bool worker, buffer_t *out)
{
    const uint64_t held[] = {random_next(seed) >> 1, 1 + below(seed, SEQ_MAX)};
    /* Of a leg that no pipeline has, and without credit: should it be taken, it takes no work away. */
    hello_t hello = {.version_min = 1,
                     .version_max = 1,
                     .role = worker ? ROLE_WORKER : ROLE_CONSUMER,
                     .session = 1 + (random_next(seed) >> 2),
                     .held_count = below(seed, 2) == 0 ? 2 : 0};

    if (worker) {
        snprintf(hello.kind, sizeof hello.kind, "noise");
        snprintf(hello.leg, sizeof hello.leg, "noise");
    }
    encode_hello(out, &hello, held);
}

static void valid_progress(uint64_t *seed, buffer_t *out)
{
    batch_t batch;

    progress_begin(&batch, out, 1 + below(seed, 100));
    for (uint64_t n = below(seed, 5); n > 0; n--) {
        const step_t step = {.id = {.stream = 1 + (random_next(seed) >> 2), .seq = 1 + below(seed, 1000)},
                             .token = random_next(seed) >> 1,
                             .done = (uint8_t)below(seed, 4),
                             .op = (step_op_t)below(seed, OP_NOTE + 1),
                             .ms = (int64_t)below(seed, 1000),
                             .text = {.bytes = "no answer", .len = 9},
                             .note = {.bit = 1, .bytes = "intent", .len = 6}};
        progress_add(&batch, &step);
    }
    batch_end(&batch);
}

static void valid_results(uint64_t *seed, buffer_t *out)
{
    batch_t batch;

    results_begin(&batch, out, 1 + below(seed, 100));
    for (uint64_t n = below(seed, 5); n > 0; n--) {
        const result_record_t result = {.ref = random_next(seed) >> 1,
                                        .try_no = 1,
                                        .outcome = (outcome_t)below(seed, OUTCOMES),
                                        .text = {.bytes = "refused", .len = 7}};
        results_add(&batch, &result);
    }
    batch_end(&batch);
}

static void valid_notes(uint64_t *seed, buffer_t *out)
{
    batch_t batch;

    notes_begin(&batch, out);
    for (uint64_t n = below(seed, 5); n > 0; n--) {
        const note_record_t note = {.ref = random_next(seed) >> 1,
                                    .try_no = 1,
                                    .grant_ms = (int64_t)below(seed, 1000),
                                    .bytes = "intent",
                                    .len = (uint32_t)below(seed, 7)};
        notes_add(&batch, &note);
    }
    batch_end(&batch);
}

static void valid_publish(uint64_t *seed, buffer_t *out)
{
    /* A number that a fresh session may not begin with: where a mutation spares it, nothing is stored. */
    const publish_t publish = {.version = 1, .session = 1 + (random_next(seed) >> 2), .number = 7};
    buffer_t body;
    batch_t batch;

    buffer_init(&body);
    publish_begin(&batch, out, &publish);
    for (uint64_t n = 1 + below(seed, 4); n > 0; n--) {
        buffer_clear(&body);
        write_map(&body, 2);
        write_str(&body, "instance", 8);
        write_str(&body, "noise-1", 7);
        write_str(&body, "reason", 6);
        write_real(&body, 1.5);
        publish_add(&batch, body.data, body.len);
    }
    batch_end(&batch);
    buffer_done(&body);
}

static void valid(frames_place_t place, uint64_t *seed, buffer_t *out)
{
    switch (place) {
    case FRAMES_LEASES:
        if (below(seed, 3) == 0)
            valid_hello(seed, false, out);
        else
            valid_progress(seed, out);
        break;
    case FRAMES_TASKS:
        if (below(seed, 3) == 0)
            valid_hello(seed, true, out);
        else if (below(seed, 3) == 0)
            valid_notes(seed, out);
        else
            valid_results(seed, out);
        break;
    case FRAMES_CLIENTS:
        valid_publish(seed, out);
        break;
    }
}

static void any_value(uint64_t *seed, buffer_t *out, int depth)
{
    static const uint8_t odd[][4] = {{0xc1}, {0xd4, 1, 2}, {0xa2, 0xff, 0xfe}, {0xc0}};
    static const size_t odd_len[] = {1, 3, 3, 1};
    uint64_t n = below(seed, depth < 4 ? 9 : 6);

    switch (n) {
    case 0:
        write_uint(out, random_next(seed) >> below(seed, 64));
        break;
    case 1:
        write_int(out, -(int64_t)below(seed, 1000));
        break;
    case 2:
        write_str(out, "consumer", 8);
        break;
    case 3:
        write_bin(out, "\0\1\2", 3);
        break;
    case 4:
        write_real(out, 0.5);
        break;
    case 5:
        n = below(seed, 4);
        buffer_append(out, odd[n], odd_len[n]);
        break;
    case 6:
        n = below(seed, 4);
        write_map(out, (uint32_t)n);
        for (; n > 0; n--) {
            write_str(out, "a", 1);
            any_value(seed, out, depth + 1);
        }
        break;
    default:
        n = below(seed, 6);
        write_array(out, (uint32_t)n);
        for (; n > 0; n--)
            any_value(seed, out, depth + 1);
    }
}

static void any_fields(uint64_t *seed, buffer_t *out, uint64_t command)
{
    uint64_t n = below(seed, 10);

    write_array(out, (uint32_t)n + 1);
    write_uint(out, command);
    for (; n > 0; n--)
        any_value(seed, out, 1);
}

static void announce_too_much(uint64_t *seed, buffer_t *out)
{
    static const uint8_t headers[] = {0xdd, 0xdf, 0xdb, 0xc6, 0xdc, 0xde, 0xda, 0xc5, 0xc9, 0x9f, 0x8f};
    uint8_t frame[5] = {headers[below(seed, sizeof headers)], 0xff, 0xff, (uint8_t)random_next(seed), 0xff};

    if (below(seed, 2) == 0)
        write_array(out, 2);
    buffer_append(out, frame, sizeof frame);
}

static void nest(uint64_t *seed, buffer_t *out)
{
    for (uint64_t n = CODEC_DEPTH_MAX + 1 + below(seed, NESTING_MAX); n > 0; n--)
        write_array(out, 1);
    write_uint(out, 1);
}

static void mutate(uint64_t *seed, buffer_t *out)
{
    for (uint64_t n = 1 + below(seed, CHANGES_MAX); n > 0 && out->len > 1; n--) {
        size_t at = (size_t)below(seed, out->len);
        size_t count = 1 + (size_t)below(seed, out->len - at);

        switch (below(seed, 4)) {
        case 0:
            out->data[at] ^= (uint8_t)(1U << below(seed, 8));
            break;
        case 1:
            out->data[at] = (uint8_t)random_next(seed);
            break;
        case 2:
            memmove(out->data + at, out->data + at + count, out->len - at - count);
            out->len -= count;
            break;
        default:
            /* Some of it once more, at the end of the frame. */
            buffer_reserve(out, count);
            buffer_append(out, out->data + at, count);
        }
    }
}

bad_kind_t frames_bad(frames_place_t place, uint64_t *seed, buffer_t *out)
{
    static const uint8_t commands[] = {1,  2,  3,  4,  5,  6,  7,  10, 11, 12,
                                       20, 21, 22, 23, 30, 31, 40, 41, 42, 43};
    /* Half of them mutations, which reach the furthest. */
    bad_kind_t kind = (bad_kind_t)below(seed, 2 * BAD_KINDS);

    if (kind >= BAD_KINDS)
        kind = BAD_MUTATED;
    buffer_clear(out);
    switch (kind) {
    case BAD_EMPTY:
        break;
    case BAD_TRUNCATED:
        valid(place, seed, out);
        out->len = 1 + (size_t)below(seed, out->len - 1);
        break;
    case BAD_TRAILING:
        valid(place, seed, out);
        noise(seed, out, 1 + (size_t)below(seed, 20));
        break;
    case BAD_COUNT:
        announce_too_much(seed, out);
        break;
    case BAD_NESTING:
        nest(seed, out);
        break;
    case BAD_TYPES:
        any_fields(seed, out, commands[below(seed, sizeof commands)]);
        break;
    case BAD_UNKNOWN:
        any_fields(seed, out, 50 + below(seed, 1000));
        break;
    case BAD_NOISE:
        noise(seed, out, 1 + (size_t)below(seed, NOISE_MAX));
        break;
    default:
        valid(place, seed, out);
        mutate(seed, out);
    }
    return kind;
}

bool frames_surely_bad(bad_kind_t kind)
{
    return kind <= BAD_NESTING;
}

uint64_t frames_seed(void)
{
    const char *given = getenv("MANDRILL_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : clock_random_id();

    fprintf(stderr, "MANDRILL_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

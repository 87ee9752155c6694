/* Redis Streams: XADD in pipelines, a consumer group each, XREADGROUP and XACK in batches.
 *
 * Ids are given by the publisher (1-NUMBER), as an outbox would: a repeat is refused by the server. What both
 * groups have acked is trimmed with each batch of the group "save", as far as whole nodes of the stream go:
 * that costs next to nothing and bounds the server's memory as an outbox's deletion does. */
#include "common/core/buffer.h"
#include "common/runtime/log.h"
#include "tests/bench/peers/peer.h"
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STREAM "m"
#define SOCKET                                                                                               \
    "redis.sock" /* in the run's directory, which is the current one: paths of sockets are short             \
                  */

enum {
    BLOCK_MS = 1000,
    PIPELINE_MAX = 16,
    WORD_BYTES = 64,
};

static const char *const group_names[GROUPS] = {"save", "nothing"};

/* --- commands and replies */

static void bulk(buffer_t *out, const void *data, size_t len)
{
    char head[WORD_BYTES];
    buffer_append(out, head, (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len));
    buffer_append(out, data, len);
    buffer_append(out, "\r\n", 2);
}

static void word(buffer_t *out, const char *text)
{
    bulk(out, text, strlen(text));
}

static void words(buffer_t *out, uint32_t n)
{
    char head[WORD_BYTES];
    buffer_append(out, head, (size_t)snprintf(head, sizeof(head), "*%" PRIu32 "\r\n", n));
}

static void id(buffer_t *out, uint64_t number)
{
    char text[WORD_BYTES];
    bulk(out, text, (size_t)snprintf(text, sizeof(text), "1-%" PRIu64, number));
}

static redisContext *dial(const peer_run_t *run)
{
    redisContext *c = run->ipc ? redisConnectUnix(SOCKET) : redisConnect("127.0.0.1", run->port);
    if (c && c->err) {
        redisFree(c);
        c = NULL;
    }
    return c;
}

static int broken(const redisContext *c, const char *doing)
{
    log_error("%s: %s", doing, c ? c->errstr : "no connection");
    return -EIO;
}

/* Writes all that was appended, without waiting for a reply. */
static int flush(redisContext *c, buffer_t *commands)
{
    int done = 0;
    if (commands->failed ||
        redisAppendFormattedCommand(c, (const char *)commands->data, commands->len) != REDIS_OK)
        return broken(c, "no memory for commands");
    buffer_clear(commands);
    while (!done) {
        if (redisBufferWrite(c, &done) != REDIS_OK)
            return broken(c, "write");
    }
    return 0;
}

/* An error that a reply is or, as of a transaction, has among its elements; or NULL. */
static const char *error_of(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            return reply->element[i]->str;
    }
    return NULL;
}

/* The next reply, which tells of no error; to be freed. */
static int take(redisContext *c, redisReply **ret)
{
    void *reply;
    if (redisGetReply(c, &reply) != REDIS_OK)
        return broken(c, "read");
    const char *error = error_of(reply);
    if (error) {
        log_error("Redis: %s", error);
        freeReplyObject(reply);
        return -EPROTO;
    }
    *ret = reply;
    return 0;
}

/* Takes n replies of which nothing is wanted but that they are no errors. */
static int drop(redisContext *c, uint32_t n)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        redisReply *reply;
        r = take(c, &reply);
        if (r == 0)
            freeReplyObject(reply);
    }
    return r;
}

/* --- the server */

static int server(peer_run_t *run)
{
    const struct {
        const char *name, *value;
    } settings[] = {
        {"--bind", "127.0.0.1"},
        {"--unixsocket", SOCKET},
        {"--save", ""}, /* no snapshots beside the log */
        {"--appendonly", "yes"},
        {"--appendfsync", config_text(run->config, "fsync")},
        {"--io-threads", config_text(run->config, "io-threads")},
        {"--stream-node-max-bytes", config_text(run->config, "node-bytes")},
        {"--stream-node-max-entries", config_text(run->config, "node-entries")},
    };
    peer_arg(run, "redis-server");
    peer_arg(run, "--port");
    peer_arg(run, "%d", run->port);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        peer_arg(run, "%s", settings[i].name);
        peer_arg(run, "%s", settings[i].value);
    }
    return 0;
}

static int prepare(peer_run_t *run)
{
    redisContext *c = dial(run);
    if (!c)
        return -EAGAIN;
    int r = 0;
    for (group_t group = 0; r == 0 && group < GROUPS; group++) {
        if (redisAppendCommand(c, "XGROUP CREATE " STREAM " %s 0 MKSTREAM", group_names[group]) != REDIS_OK)
            r = broken(c, "no memory for commands");
    }
    if (r == 0)
        r = drop(c, GROUPS);
    redisFree(c);
    return r;
}

/* --- publishing */

static void alone(buffer_t *out, const char *command)
{
    words(out, 1);
    word(out, command);
}

static void add(buffer_t *out, const peer_run_t *run, uint64_t number)
{
    words(out, 5);
    word(out, "XADD");
    word(out, STREAM);
    id(out, number);
    word(out, "b");
    bulk(out, peer_body(run, number), run->size_bytes);
}

/* A batch, as one transaction if so asked: its readers are then woken once, and the log is synced once, while
 * of single commands the server takes 16 kB at a time. Returns how many replies it gets. */
static uint32_t add_batch(buffer_t *out, const peer_run_t *run, uint64_t next, uint32_t n)
{
    const bool whole = n > 1 && config_flag(run->config, "transactions");
    if (whole)
        alone(out, "MULTI");
    for (uint32_t i = 0; i < n; i++)
        add(out, run, next + i);
    if (whole)
        alone(out, "EXEC");
    return whole ? n + 2 : n;
}

static int publish(peer_run_t *run)
{
    redisContext *c = dial(run);
    buffer_t commands;
    const uint32_t pipeline = (uint32_t)config_int(run->config, "pipeline");
    uint32_t sent[PIPELINE_MAX] = {0}, at = 0; /* batches whose replies are out, the oldest at `at` */
    uint64_t next = 1;
    int r = c ? 0 : broken(c, "publisher");
    buffer_init(&commands);
    while (r == 0) {
        const uint32_t n = peer_next(run, next);
        sent[at] = add_batch(&commands, run, next, n);
        next += n;
        r = n > 0 ? flush(c, &commands) : 0;
        at = (at + 1) % pipeline;
        if (r == 0)
            r = drop(c, sent[at]);
        sent[at] = 0;
        if (n == 0)
            break;
    }
    for (uint32_t i = 0; r == 0 && i < pipeline; i++)
        r = drop(c, sent[i]);
    buffer_done(&commands);
    if (c)
        redisFree(c);
    return r;
}

/* --- consuming */

/* Entries of [[stream, [[id, [name, body]], ...]]]; of nothing: none. */
static int receive(redisContext *c, peer_batch_t *batch)
{
    redisReply *reply;
    int r = take(c, &reply);
    if (r < 0)
        return r;
    const bool any =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 2;
    const redisReply *entries = any ? reply->element[0]->element[1] : NULL;
    for (size_t i = 0; r == 0 && entries && i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;
        if (fields && fields->elements == 2 && fields->element[1]->type == REDIS_REPLY_STRING)
            r = peer_batch_add(batch, fields->element[1]->str, fields->element[1]->len);
        else
            r = -EPROTO;
    }
    freeReplyObject(reply);
    return r;
}

static void ask_for_more(buffer_t *out, const char *group)
{
    char number[WORD_BYTES];
    words(out, 11);
    word(out, "XREADGROUP");
    word(out, "GROUP");
    word(out, group);
    word(out, "one");
    word(out, "COUNT");
    snprintf(number, sizeof(number), "%d", BATCH_MAX);
    word(out, number);
    word(out, "BLOCK");
    snprintf(number, sizeof(number), "%d", BLOCK_MS);
    word(out, number);
    word(out, "STREAMS");
    word(out, STREAM);
    word(out, ">");
}

/* The acks of a batch; how many replies they get. */
static uint32_t ack(buffer_t *out, const peer_run_t *run, const peer_batch_t *batch, group_t group)
{
    const uint32_t n = peer_batch_count(batch);
    if (n == 0)
        return 0;
    words(out, 3 + n);
    word(out, "XACK");
    word(out, STREAM);
    word(out, group_names[group]);
    for (uint32_t i = 0; i < n; i++)
        id(out, peer_batch_number(batch, i));
    if (group != GROUP_SAVE)
        return 1;
    words(out, 5);
    word(out, "XTRIM");
    word(out, STREAM);
    word(out, "MINID");
    word(out, "~");
    id(out, tally_finished(run->tally) + 1);
    return 2;
}

/* A round trip acks one batch and asks for the next. */
static int round_trip(redisContext *c, peer_run_t *run, peer_batch_t *batch, buffer_t *commands,
                      group_t group)
{
    const uint32_t replies = ack(commands, run, batch, group);
    ask_for_more(commands, group_names[group]);
    int r = flush(c, commands);
    if (r == 0)
        r = drop(c, replies);
    if (r < 0)
        return r;
    peer_batch_acked(batch);
    return tally_is_done(run->tally, group) ? 0 : receive(c, batch);
}

static int consume(peer_run_t *run, group_t group)
{
    redisContext *c = dial(run);
    peer_batch_t *batch = NULL;
    buffer_t commands;
    buffer_init(&commands);
    int r = c ? peer_batch_new(&batch, run, group) : broken(c, group_names[group]);
    if (r == 0)
        peer_batch_ready(batch);
    while (r == 0 && !tally_is_done(run->tally, group)) {
        r = round_trip(c, run, batch, &commands, group);
        if (r == 0)
            r = peer_batch_work(batch);
    }
    peer_batch_destroy(&batch);
    buffer_done(&commands);
    if (c)
        redisFree(c);
    return r;
}

/* --- the program */

static void settings(const peer_run_t *run, FILE *out)
{
    fprintf(out,
            "\"fsync\":\"%s\",\"transactions\":%s,\"pipeline\":%" PRId64 ",\"io_threads\":%" PRId64
            ",\"node_bytes\":%" PRId64 ",\"node_entries\":%" PRId64 ",",
            config_text(run->config, "fsync"), config_flag(run->config, "transactions") ? "true" : "false",
            config_int(run->config, "pipeline"), config_int(run->config, "io-threads"),
            config_int(run->config, "node-bytes"), config_int(run->config, "node-entries"));
}

static const config_option_t options[] = {
    {.name = "transport",
     .type = CONFIG_TEXT,
     .fallback = "ipc",
     .argument = "T",
     .help = "how the processes talk to the server",
     .choices = "ipc|tcp"},
    {.name = "fsync",
     .type = CONFIG_TEXT,
     .fallback = "always",
     .argument = "WHEN",
     .help = "the server's appendfsync",
     .choices = "always|everysec"},
    {.name = "transactions",
     .type = CONFIG_FLAG,
     .fallback = "true",
     .help = "publish each batch between MULTI and EXEC"},
    {.name = "pipeline",
     .type = CONFIG_INT,
     .fallback = "2",
     .argument = "N",
     .help = "batches on their way at once, while they are published as fast as possible",
     .min = 2,
     .max = PIPELINE_MAX},
    {.name = "io-threads",
     .type = CONFIG_INT,
     .fallback = "1",
     .argument = "N",
     .help = "the server's threads for sockets",
     .min = 1,
     .max = 16},
    {.name = "node-bytes",
     .type = CONFIG_INT,
     .fallback = "4096",
     .argument = "N",
     .help = "the server's stream-node-max-bytes"},
    {.name = "node-entries",
     .type = CONFIG_INT,
     .fallback = "100",
     .argument = "N",
     .help = "the server's stream-node-max-entries"},
};

static const peer_t redis = {
    .program = {.name = "bench-redis",
                .section = "bench-redis",
                .summary =
                    "Measures Redis Streams at the work of `mandrill bench`: a publisher, a group that "
                    "saves to SQLite, a group that does nothing, all acked. Starts and stops a server "
                    "of its own. Exit status 0: all were acked and saved.",
                .arguments = "[options]",
                .examples = "  bench-redis --fsync everysec --count 100000\n",
                .options = options,
                .options_count = sizeof(options) / sizeof(options[0])},
    .server = server,
    .prepare = prepare,
    .publish = publish,
    .consume = consume,
    .settings = settings,
};

int main(int argc, char **argv)
{
    return peer_main(&redis, argc, argv);
}

/* NATS JetStream: asynchronous publishing into a stream on disk, a durable consumer for each group.
 *
 * The stream's retention is Interest: what both consumers have acked goes, as from an outbox. A batch is
 * acked by the ack of its last message (AckAll). Consumers are pushed to under flow control, which is the
 * faster way, or pull batches. */
#include "common/runtime/log.h"
#include "tests/bench/peers/peer.h"
#include <errno.h>
#include <inttypes.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM  "M"
#define SUBJECT "m"

enum {
    WAIT_MS = 1000,
    CONNECT_MS = 200,
    PUBLISH_WAIT_MS = 30000,
    URL_BYTES = 64,
    PURGE_EACH = 16384,
};

static const char *const group_names[GROUPS] = {"save", "nothing"};

static int broken(natsStatus s, const char *doing)
{
    log_error("NATS: %s: %s", doing, natsStatus_GetText(s));
    return -EIO;
}

/* The library holds what it writes back for up to a millisecond, for more to come. `prompt`: it does not,
 * which costs a system call for each message. */
static natsStatus dial(const peer_run_t *run, bool prompt, natsConnection **ret)
{
    char url[URL_BYTES];
    natsOptions *options = NULL;
    snprintf(url, sizeof(url), "nats://127.0.0.1:%d", run->port);
    natsStatus s = natsOptions_Create(&options);
    if (s == NATS_OK)
        s = natsOptions_SetURL(options, url);
    if (s == NATS_OK)
        s = natsOptions_SetAllowReconnect(options, false);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(options, prompt);
    if (s == NATS_OK)
        s = natsConnection_Connect(ret, options);
    natsOptions_Destroy(options);
    return s;
}

/* --- the server */

static int server(peer_run_t *run)
{
    FILE *f = fopen("server.conf", "we");
    if (!f) {
        log_error("server.conf: %s", strerror(errno));
        return -EIO;
    }
    fprintf(f, "listen: \"127.0.0.1:%d\"\njetstream { store_dir: \"%s/store\" }\n", run->port, run->dir);
    if (fclose(f) != 0)
        return -EIO;
    peer_arg(run, "nats-server");
    peer_arg(run, "--config");
    peer_arg(run, "server.conf");
    return 0;
}

static int prepare(peer_run_t *run)
{
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    jsErrCode code = 0;
    jsStreamConfig config;
    const char *subjects[] = {SUBJECT};
    if (dial(run, true, &nc) != NATS_OK)
        return -EAGAIN;
    natsStatus s = natsConnection_JetStream(&js, nc, NULL);
    jsStreamConfig_Init(&config);
    config.Name = STREAM;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Retention =
        strcmp(config_text(run->config, "retention"), "interest") == 0 ? js_InterestPolicy : js_LimitsPolicy;
    if (s == NATS_OK)
        s = js_AddStream(NULL, js, &config, NULL, &code);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    /* The server answers before JetStream does. */
    return s == NATS_OK ? 0 : s == NATS_TIMEOUT || s == NATS_NO_RESPONDERS ? -EAGAIN : broken(s, "stream");
}

/* --- publishing */

static void on_refused(jsCtx *js, jsPubAckErr *error, void *arg)
{
    (void)js;
    log_error("NATS: a message was refused: %s", error->ErrText);
    *(atomic_bool *)arg = true;
}

static int publish(peer_run_t *run)
{
    atomic_bool refused = false;
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    jsOptions options;
    jsPubOptions wait;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = config_int(run->config, "pending");
    options.PublishAsync.StallWait = PUBLISH_WAIT_MS;
    options.PublishAsync.ErrHandler = on_refused;
    options.PublishAsync.ErrHandlerClosure = &refused;
    jsPubOptions_Init(&wait);
    wait.MaxWait = PUBLISH_WAIT_MS;
    natsStatus s = dial(run, run->rate > 0, &nc);
    if (s == NATS_OK)
        s = natsConnection_JetStream(&js, nc, &options);
    for (uint64_t next = 1; s == NATS_OK && !refused;) {
        const uint32_t n = peer_next(run, next);
        if (n == 0)
            break;
        for (uint32_t i = 0; s == NATS_OK && i < n; i++)
            s = js_PublishAsync(js, SUBJECT, peer_body(run, next + i), (int)run->size_bytes, NULL);
        next += n;
    }
    if (s == NATS_OK)
        s = js_PublishAsyncComplete(js, &wait);
    return s == NATS_OK && !refused ? 0 : broken(s, "publish");
}

/* --- consuming */

typedef struct {
    natsConnection *nc;
    jsCtx *js;
    natsSubscription *sub;
    natsMsg *last; /* of the batch */
    bool pulls, acks_late, purges;
    uint64_t purged; /* messages */
} reader_t;

static natsStatus subscribe(const peer_run_t *run, reader_t *reader, group_t group)
{
    jsSubOptions options;
    jsErrCode code = 0;
    jsSubOptions_Init(&options);
    options.Stream = STREAM;
    options.ManualAck = true;
    options.Config.Durable = group_names[group];
    options.Config.AckPolicy = js_AckAll;
    options.Config.MaxAckPending = run->in_flight;
    reader->pulls = strcmp(config_text(run->config, "consumers"), "pull") == 0;
    reader->purges = group == GROUP_SAVE && strcmp(config_text(run->config, "retention"), "purge") == 0;
    reader->acks_late = strcmp(config_text(run->config, "ack"), "sync") != 0;
    natsStatus s = dial(run, true, &reader->nc);
    if (s == NATS_OK)
        s = natsConnection_JetStream(&reader->js, reader->nc, NULL);
    if (s == NATS_OK && reader->pulls)
        return js_PullSubscribe(&reader->sub, reader->js, SUBJECT, group_names[group], NULL, &options, &code);
    options.Config.FlowControl = true;
    options.Config.Heartbeat = (int64_t)WAIT_MS * 1000000;
    if (s == NATS_OK)
        s = js_SubscribeSync(&reader->sub, reader->js, SUBJECT, NULL, &options, &code);
    /* Of the library's own bound; MaxAckPending is one already. */
    return s == NATS_OK ? natsSubscription_SetPendingLimits(reader->sub, -1, -1) : s;
}

static int keep(reader_t *reader, peer_batch_t *batch, natsMsg *message)
{
    natsMsg_Destroy(reader->last);
    reader->last = message;
    return peer_batch_add(batch, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
}

/* What has been pushed by now; waits for the first. */
static int receive_pushed(reader_t *reader, peer_batch_t *batch)
{
    uint64_t queued = 1;
    int r = 0;
    while (r == 0 && queued > 0 && peer_batch_count(batch) < BATCH_MAX) {
        natsMsg *message;
        const natsStatus s = natsSubscription_NextMsg(&message, reader->sub, WAIT_MS);
        if (s == NATS_TIMEOUT)
            return 0;
        r = s == NATS_OK ? keep(reader, batch, message) : broken(s, "next message");
        if (r == 0 && natsSubscription_QueuedMsgs(reader->sub, &queued) != NATS_OK)
            queued = 0;
    }
    return r;
}

static int receive_pulled(reader_t *reader, peer_batch_t *batch)
{
    natsMsgList list = {0};
    jsErrCode code = 0;
    int r = 0;
    const natsStatus s = natsSubscription_Fetch(&list, reader->sub, BATCH_MAX, WAIT_MS, &code);
    if (s != NATS_OK && s != NATS_TIMEOUT)
        r = broken(s, "fetch");
    for (int i = 0; r == 0 && i < list.Count; i++) {
        r = keep(reader, batch, list.Msgs[i]);
        list.Msgs[i] = NULL;
    }
    natsMsgList_Destroy(&list);
    return r;
}

static int ack(reader_t *reader, peer_batch_t *batch)
{
    jsErrCode code = 0;
    if (peer_batch_count(batch) == 0)
        return 0;
    const natsStatus s =
        reader->acks_late ? natsMsg_Ack(reader->last, NULL) : natsMsg_AckSync(reader->last, NULL, &code);
    if (s != NATS_OK)
        return broken(s, "ack");
    peer_batch_acked(batch);
    return 0;
}

/* Deletes what both groups have acked, once it is worth a request. */
static int purge(reader_t *reader, const tally_t *tally)
{
    jsOptions options;
    jsErrCode code = 0;
    const uint64_t finished = tally_finished(tally);
    if (!reader->purges || finished < reader->purged + PURGE_EACH)
        return 0;
    jsOptions_Init(&options);
    options.Stream.Purge.Sequence = finished + 1;
    reader->purged = finished;
    const natsStatus s = js_PurgeStream(reader->js, STREAM, &options, &code);
    return s == NATS_OK ? 0 : broken(s, "purge");
}

static int consume(peer_run_t *run, group_t group)
{
    reader_t reader = {0};
    peer_batch_t *batch = NULL;
    int r = peer_batch_new(&batch, run, group);
    if (r == 0) {
        const natsStatus s = subscribe(run, &reader, group);
        r = s == NATS_OK ? 0 : broken(s, group_names[group]);
    }
    if (r == 0)
        peer_batch_ready(batch);
    while (r == 0 && !tally_is_done(run->tally, group)) {
        r = reader.pulls ? receive_pulled(&reader, batch) : receive_pushed(&reader, batch);
        if (r == 0)
            r = peer_batch_work(batch);
        if (r == 0)
            r = ack(&reader, batch);
        if (r == 0)
            r = purge(&reader, run->tally);
    }
    natsMsg_Destroy(reader.last);
    peer_batch_destroy(&batch);
    /* Acks may still be on their way to the server. */
    if (reader.nc)
        natsConnection_FlushTimeout(reader.nc, WAIT_MS);
    return r;
}

/* --- the program */

static void settings(const peer_run_t *run, FILE *out)
{
    fprintf(out, "\"retention\":\"%s\",\"consumers\":\"%s\",\"ack\":\"%s\",\"pending\":%" PRId64 ",",
            config_text(run->config, "retention"), config_text(run->config, "consumers"),
            config_text(run->config, "ack"), config_int(run->config, "pending"));
}

static const config_option_t options[] = {
    {.name = "transport",
     .type = CONFIG_TEXT,
     .fallback = "tcp",
     .argument = "T",
     .help = "how the processes talk to the server, which knows no other way",
     .choices = "tcp"},
    {.name = "retention",
     .type = CONFIG_TEXT,
     .fallback = "purge",
     .argument = "R",
     .help = "of the stream: `interest` deletes what both groups have acked, with `purge` the group \"save\" "
             "has it deleted, "
             "with `limits` nothing is",
     .choices = "interest|purge|limits"},
    {.name = "consumers",
     .type = CONFIG_TEXT,
     .fallback = "push",
     .argument = "KIND",
     .help = "of the groups",
     .choices = "push|pull"},
    {.name = "ack",
     .type = CONFIG_TEXT,
     .fallback = "sync",
     .argument = "HOW",
     .help = "of a batch: whether the server's answer is waited for",
     .choices = "sync|async"},
    {.name = "pending",
     .type = CONFIG_INT,
     .fallback = "2048",
     .argument = "N",
     .help = "messages published and not confirmed, at most",
     .min = 1,
     .max = IN_FLIGHT_MAX},
};

static const peer_t jetstream = {
    .program = {.name = "bench-jetstream",
                .section = "bench-jetstream",
                .summary =
                    "Measures NATS JetStream at the work of `mandrill bench`: a publisher, a group that "
                    "saves to SQLite, a group that does nothing, all acked. Starts and stops a server "
                    "of its own. Exit status 0: all were acked and saved.",
                .arguments = "[options]",
                .examples = "  bench-jetstream --consumers pull --count 100000\n",
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
    return peer_main(&jetstream, argc, argv);
}

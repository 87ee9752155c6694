/* `mandrill publish`: what is printed on stdout is safe; a checker may take it for a journal. */
#include "cli/command.h"
#include "cli/publish_client.h"
#include "cli/publish_input.h"
#include "common/runtime/body_line.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 65536 };

static const config_option_t options[] = {
    {.name = "from",
     .type = CONFIG_TEXT,
     .argument = "FILE",
     .help = "publish the lines of a file, or of standard input (-): a name, or a JSON object, on each"},
    {.name = "clients",
     .type = CONFIG_TEXT,
     .fallback = "tcp://127.0.0.1:5557",
     .argument = "EP",
     .help = "where the publisher serves clients"},
    {.name = "timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .argument = "TIME",
     .help = "how long to try until a message is confirmed",
     .min = 1,
     .max = 86400000},
};

static const config_program_t program = {
    .name = "mandrill publish",
    .section = "publish",
    .summary = "Publishes restart requests and waits until they are on the publisher's disk. Prints a line "
               "\"ID HOST\" for each that is; what is refused is told on stderr with its place and the "
               "reason. Exit status 0: all are safe, 1: some are not, 2: usage.",
    .arguments = "[options] HOST... | --from FILE|-",
    .examples = "  mandrill publish web-1 db.example.org\n"
                "  mandrill publish '{\"instance\":\"web-1\",\"why\":\"kernel\"}'\n"
                "  mandrill publish --from hosts.txt >journal.txt\n"
                "  tail -f requests.ndjson | mandrill publish --from -\n",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .arguments_max = ARGUMENTS_MAX,
};

/* A message on its way. */
typedef struct {
    uint64_t number; /* of its line or argument */
    char name[HOST_BYTES_MAX + 1];
} item_t;

typedef struct {
    publish_input_t *input;
    publish_client_t *client;
    buffer_t body;
    item_t items[RECORDS_MAX];
    uint32_t count;
    bool ended;   /* no more input */
    bool refused; /* something was, or could not be read */
} publish_run_t;

static void tell(publish_run_t *run, uint64_t number, const char *what, const char *why)
{
    fprintf(stderr, "mandrill publish: %s %" PRIu64 " %s: %s\n", publish_input_unit(run->input), number, what,
            why);
    run->refused = true;
}

static void add(publish_run_t *run, const publish_line_t *line)
{
    char why[WHY_BYTES];
    item_t *item = &run->items[run->count];
    buffer_clear(&run->body);
    if (line->cut) {
        tell(run, line->number, "refused", "longer than any message can be");
        return;
    }
    int r = body_from_line(line->text, line->len, &run->body, item->name, why);
    if (r < 0) {
        tell(run, line->number, "refused", r == -ENOMEM ? "out of memory" : why);
        return;
    }
    item->number = line->number;
    publish_client_add(run->client, run->body.data, run->body.len);
    run->count++;
}

/* As many lines as are there now; waits for the first only, so that a slow writer's lines are not held back.
 */
static void fill(publish_run_t *run)
{
    publish_line_t line;
    run->count = 0;
    publish_client_begin(run->client);
    while (!run->ended && run->count < RECORDS_MAX && !publish_client_full(run->client)) {
        input_result_t r = publish_input_next(run->input, run->count == 0, &line);
        if (r == INPUT_LATER)
            return;
        if (r == INPUT_LINE) {
            add(run, &line);
            continue;
        }
        if (r == INPUT_FAILED) {
            fprintf(stderr, "mandrill publish: the input can't be read: %s\n", strerror(errno));
            run->refused = true;
        }
        run->ended = true;
    }
}

static void print_stored(const confirm_t *confirm, uint64_t nth, const item_t *item)
{
    char id[MESSAGE_ID_TEXT];
    message_id_format((message_id_t){confirm->first.stream, confirm->first.seq + nth}, id);
    printf("%s %s\n", id, item->name);
}

/* The ids count up over the items that were not refused. */
static void print_confirm(publish_run_t *run, const confirm_t *confirm, const refusal_t *refusals, int n)
{
    uint64_t nth = 0;
    int next = 0;
    for (uint32_t place = 0; place < run->count; place++) {
        if (next < n && refusals[next].place == place) {
            char why[WHY_BYTES];
            text_escape(refusals[next].text.bytes, refusals[next].text.len, why, sizeof(why));
            tell(run, run->items[place].number, "refused", why);
            next++;
        } else if (nth < confirm->stored) {
            print_stored(confirm, nth++, &run->items[place]);
        } else {
            tell(run, run->items[place].number, "is not sure", "the publisher's answer does not name it");
        }
    }
}

static void tell_unconfirmed(publish_run_t *run, const char *why)
{
    const char *unit = publish_input_unit(run->input);
    uint64_t first = run->items[0].number;
    uint64_t last = run->items[run->count - 1].number;
    if (first == last)
        fprintf(stderr, "mandrill publish: %s %" PRIu64 " is not confirmed: %s\n", unit, first, why);
    else
        fprintf(stderr, "mandrill publish: %ss %" PRIu64 " to %" PRIu64 " are not confirmed: %s\n", unit,
                first, last, why);
    if (!run->ended)
        fprintf(stderr, "mandrill publish: what follows was not sent\n");
}

static int publish_all(publish_run_t *run)
{
    char why[WHY_BYTES];
    while (!run->ended) {
        confirm_t confirm;
        const refusal_t *refusals;
        int n;
        fill(run);
        if (run->count == 0)
            continue;
        int r = publish_client_send(run->client, &confirm, &refusals, &n, why);
        if (r < 0) {
            tell_unconfirmed(run, why);
            return EXIT_FAILED;
        }
        print_confirm(run, &confirm, refusals, n);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "mandrill publish: standard output can't be written: %s\n", strerror(errno));
            return EXIT_FAILED;
        }
    }
    return run->refused ? EXIT_FAILED : EXIT_OK;
}

static int open_input(publish_run_t *run, const config_t *config, bool check)
{
    const char *const *words;
    const char *path = config_text(config, "from");
    size_t n = config_arguments(config, &words);
    if (path && n > 0)
        return command_usage(&program, "either HOST... or --from, not both");
    if (!path && n == 0)
        return command_usage(&program, "what is to be published? HOST... or --from FILE|-");
    if (check)
        return EXIT_OK;
    int r = 0;
    if (path)
        r = publish_input_file(&run->input, path);
    else if (!(run->input = publish_input_words(words, n)))
        r = -ENOMEM;
    if (r < 0)
        fprintf(stderr, "mandrill publish: %s: %s\n", path ? path : "arguments", strerror(-r));
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int run_publish(const config_t *config, bool check)
{
    char why[WHY_BYTES];
    const char *endpoint = config_text(config, "clients");
    publish_run_t *run = calloc(1, sizeof(*run));
    if (!run)
        return EXIT_FAILED;
    buffer_init(&run->body);
    int exit_status = EXIT_OK;
    if (endpoint_check(endpoint, why) < 0)
        exit_status = command_usage(&program, "%s: %s", config_origin(config, "clients"), why);
    if (exit_status == EXIT_OK)
        exit_status = open_input(run, config, check);
    if (exit_status == EXIT_OK && !check) {
        if (publish_client_open(&run->client, endpoint, config_int(config, "timeout"), why) < 0) {
            fprintf(stderr, "mandrill publish: %s\n", why);
            exit_status = EXIT_FAILED;
        } else {
            exit_status = publish_all(run);
        }
    }
    publish_client_close(&run->client);
    publish_input_destroy(&run->input);
    buffer_done(&run->body);
    free(run);
    return exit_status;
}

int command_publish(int argc, char **argv)
{
    config_t *config;
    int exit_status;
    int r = command_config(&config, &program, argc, argv, &exit_status);
    if (r != CONFIG_RUN && r != CONFIG_CHECK)
        return exit_status;
    exit_status = run_publish(config, r == CONFIG_CHECK);
    config_destroy(&config);
    return exit_status;
}

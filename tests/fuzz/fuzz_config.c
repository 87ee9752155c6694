/* Configuration: the words of a command line, the environment and a ZPL file, over a table with every type.
 *
 * The input is text: lines before the first empty one are words, or with a '$' before them the value of a
 * variable ("$ack-deadline 3s"); what is behind it is the file. */
#include "common/runtime/config_values.h"
#include "tests/fuzz/input.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { WORDS_MAX = 16 };

static const config_option_t options[] = {
    {.name = "listen", .type = CONFIG_TEXT, .fallback = "tcp://*:1", .argument = "EP", .help = "text"},
    {.name = "peer", .type = CONFIG_LIST, .fallback = "a,b", .argument = "EP", .help = "list"},
    {.name = "tries", .type = CONFIG_INT, .fallback = "5", .help = "int", .min = 1, .max = 255},
    {.name = "seed", .type = CONFIG_INT, .help = "any int that is not negative"},
    {.name = "rate", .type = CONFIG_REAL, .help = "real", .reloads = true, .own_variable = true},
    {.name = "stay", .type = CONFIG_FLAG, .help = "flag"},
    {.name = "progress", .type = CONFIG_FLAG, .fallback = "true", .help = "flag that is on"},
    {.name = "ack-deadline",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .help = "time",
     .min = 1,
     .max = 86400000},
    {.name = "outbox-max", .type = CONFIG_SIZE, .fallback = "10G", .help = "size"},
    {.name = "report",
     .type = CONFIG_TEXT,
     .fallback = "text",
     .help = "choice",
     .choices = "text|json|none"},
};

static const config_program_t program = {
    .name = "mandrill-fuzz",
    .section = "publisher",
    .summary = "A table with every type.",
    .examples = "  none\n",
    .options = options,
    .options_count = sizeof options / sizeof *options,
    .arguments_max = 2,
};

static char file[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(file, sizeof file, "%s/mandrill-fuzz-config-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    return 0;
}

static void write_file(const char *text, size_t len)
{
    int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
}

static void set_variable(char *line)
{
    char name[CONFIG_VARIABLE_MAX];
    char *value = strchr(line, ' ');
    if (value == NULL)
        return;
    *value = '\0';
    for (size_t i = 0; i < program.options_count; i++) {
        if (strcmp(options[i].name, line) == 0) {
            config_variable(&program, &options[i], name);
            setenv(name, value + 1, 1);
        }
    }
}

static void unset_variables(void)
{
    for (size_t i = 0; i < program.options_count; i++) {
        char name[CONFIG_VARIABLE_MAX];
        config_variable(&program, &options[i], name);
        unsetenv(name);
    }
}

/* What was taken has been checked. */
static void ask_everything(const config_t *c)
{
    const char *const *list;
    size_t n = config_list(c, "peer", &list);
    MUST(n > 0);
    for (size_t i = 0; i < n; i++)
        MUST(list[i][0] != '\0' && strchr(list[i], ',') == NULL);
    MUST(config_int(c, "tries") >= 1 && config_int(c, "tries") <= 255);
    MUST(config_int(c, "seed") >= 0 && config_int(c, "outbox-max") >= 0);
    MUST(config_int(c, "ack-deadline") >= 1 && config_int(c, "ack-deadline") <= 86400000);
    MUST(config_real(c, "rate") >= 0);
    MUST(config_is_choice("text|json|none", config_text(c, "report")));
    for (size_t i = 0; i < program.options_count; i++)
        MUST(config_origin(c, options[i].name)[0] != '\0');
    n = config_arguments(c, &list);
    MUST(n <= program.arguments_max);
}

static int take_all(void *arg, const config_t *fresh)
{
    (void)arg;
    ask_everything(fresh);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char name[] = "mandrill-fuzz", flag[] = "--config";
    char *words[WORDS_MAX + 3] = {name};
    int count = 1;
    input_t in = {bytes, len};
    char *text = take_run(&in, len, &len);
    char *at = text, *end = text + len;
    while (at < end && *at != '\n') {
        char *line = at;
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? end : at;
        if (at < end)
            *at++ = '\0';
        if (*line == '$')
            set_variable(line + 1);
        else if (count <= WORDS_MAX)
            words[count++] = line;
    }
    if (at < end) {
        write_file(at + 1, (size_t)(end - at - 1));
        /* First, so that a word that takes no more flags does not hide it. */
        memmove(words + 3, words + 1, (size_t)(count - 1) * sizeof *words);
        words[1] = flag;
        words[2] = file;
        count += 2;
    }
    config_t *c = NULL;
    int rc = config_load(&c, &program, count, words);
    MUST((rc == CONFIG_RUN || rc == CONFIG_CHECK) == (c != NULL));
    MUST(rc == CONFIG_RUN || rc == CONFIG_CHECK || rc == CONFIG_EXIT || rc == -EINVAL || rc == -EIO);
    if (c != NULL) {
        ask_everything(c);
        MUST(config_reload(c, take_all, NULL) == 0);
        ask_everything(c);
    }
    config_destroy(&c);
    unset_variables();
    unlink(file);
    free(text);
    return 0;
}

/* mandrill: the operator's command. */
#include "cli/command.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} command_t;

static const command_t commands[] = {
    {"up", command_up, "run and supervise the whole pipeline on this machine"},
    {"publish", command_publish, "publish messages and wait until they are safe"},
    {"load", command_load, "publish many messages to a running pipeline, wait until they are acked"},
    {"status", command_status, "show what a running pipeline, or an idle outbox, holds"},
    {"health", command_health, "tell whether a program lives, by exit status"},
    {"dead", command_dead, "list, show, redrive, purge or settle dead letters"},
    {"bench", command_bench, "measure the whole pipeline"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *out)
{
    fputs("Usage: mandrill COMMAND [options]\n\n"
          "Restart requests: kept on disk until each is saved and carried out.\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("  help      show this help, or with a command that command's\n"
          "  version   show the version\n\n"
          "Examples:\n"
          "  mandrill up                            publish at random moments until Ctrl-C\n"
          "  mandrill up --count 1000               publish 1000 messages, finish them, tell what was done\n"
          "  mandrill up --count 0                  serve clients; in another terminal:\n"
          "  mandrill publish web-1 db.example.org\n"
          "  mandrill status\n",
          out);
}

static const command_t *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int tell_unknown(const char *word)
{
    const char *names[COMMANDS + 2] = {"help", "version"};
    for (size_t i = 0; i < COMMANDS; i++)
        names[i + 2] = commands[i].name;
    const char *near = config_nearest_word(word, names, COMMANDS + 2);
    fprintf(stderr, "mandrill: unknown command \"%s\"", word);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?", near);
    fputs("\nTry 'mandrill help'.\n", stderr);
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        usage(stdout);
        return EXIT_OK;
    }
    const command_t *command = find(argv[1]);
    char flag[] = "--help";
    char *words[] = {argv[1], flag, NULL};
    return command ? command->run(2, words) : tell_unknown(argv[1]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0) {
        printf("mandrill %s\n", MANDRILL_VERSION);
        return EXIT_OK;
    }
    const command_t *command = find(word);
    return command ? command->run(argc - 1, argv + 1) : tell_unknown(word);
}

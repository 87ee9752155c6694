/* `mandrill dead`: what its files share. dead.c reads the words, dead_link.c asks, dead_look.c (list, show)
 * and dead_act.c (redrive, purge, done) do it; dead_done.c knows which letters the last is about. */
#ifndef MANDRILL_DEAD_H
#define MANDRILL_DEAD_H

#include "cli/letters.h"
#include "cli/maintain.h"
#include <stdio.h>

typedef enum { DEAD_LIST, DEAD_SHOW, DEAD_REDRIVE, DEAD_PURGE, DEAD_DONE, DEAD_WORDS } dead_word_t;

typedef struct {
    dead_word_t word;
    letter_filter_t filter; /* without an id; its texts are the configuration's */
    bool filtered;          /* by anything */
    message_id_t *ids;      /* owned; NULL: all that the filter lets through */
    size_t ids_count;
    uint64_t limit;  /* UINT64_MAX: none */
    double rate;     /* letters a second */
    const char *leg; /* done: this leg only; NULL: all that have ended badly */
    bool bulk;       /* purge of all that the filter lets through, as fast as it goes */
    bool dry_run, yes, json;
    const char *endpoint;
    const char *data_dir; /* NULL: a running publisher is asked */
    int64_t timeout_ms;
} dead_settings_t;

/* The way to the letters: a connection, perhaps to a publisher of our own, and Ctrl-C. */
typedef struct {
    const dead_settings_t *settings;
    letters_t *letters;
    maintain_t *maintain;
    int signals_fd;
    uint8_t legs; /* done: those that are meant, by bit; known with the first answer */
    bool stopped; /* somebody wants this to end */
    bool hurried; /* and at once */
} dead_link_t;

/* 0, or -1: told. */
int dead_link_open(dead_link_t *link, const dead_settings_t *settings);
void dead_link_close(dead_link_t *link);
/* Waits for the next answer: 1; 0: `until_ms` has come, or a signal; -1: it failed, which is told. */
int dead_link_wait(dead_link_t *link, int64_t until_ms, answer_t *ret);
/* One question and its answer: 0, or -1: failed or stopped, both told. */
int dead_link_ask(dead_link_t *link, const dead_t *question, answer_t *ret);
/* Reads what signals have come. */
void dead_link_signals(dead_link_t *link);

/* Letters of the settings, one after the other: of the ids, or in pages of what the filter lets through. */
typedef struct {
    dead_link_t *link;
    letter_filter_t filter;
    uint64_t left; /* of the limit */
    size_t next_id;
    message_id_t after;
    bool ended;
    uint64_t missing; /* ids that are no dead letters, each told */
} dead_walk_t;
void dead_walk_init(dead_walk_t *walk, dead_link_t *link, const letter_filter_t *filter, uint64_t limit);
/* The next ones, at most `max` (LETTERS_MAX): with `act` ACT_COUNT only their number (ret->buried.count),
 * with ACT_LIST themselves. There may be none though it has not ended. 0 or -1. */
int dead_walk(dead_walk_t *walk, act_t act, uint32_t max, answer_t *ret);

/* `done`: leaves those letters in the answer that are meant. 0, or -1: told. */
int dead_done_keep(dead_link_t *link, answer_t *answer);

/* That there is nothing to be seen. */
void dead_tell_none(const dead_settings_t *settings);
/* Each returns the exit status. */
int dead_list(dead_link_t *link, uint64_t *ret_shown);
int dead_show(dead_link_t *link);
int dead_act(dead_link_t *link);

#endif

/* Redrive, purge and done. What is to be done is counted first, so that it can be asked for; then letter
 * after letter is done by its id, a few out at a time: so a question that had to be repeated does nothing to
 * others, and what is told at the end is exact. */
#include "cli/command.h"
#include "cli/dead.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/progress.h"
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PAGE = 256,
    AGAIN_MS = 200,    /* after "no room" */
    FINISH_MS = 5000,  /* for what is out when it is stopped */
    BEHIND_MS_MAX = 50 /* how much of a pause is made good at once: a rate is no quota */
};

typedef struct {
    const char *verb, *verb_past; /* "redrive", "redriven" */
    const char *ask, *ask_end;    /* around "3 dead letters" */
    act_t act;
} deed_t;

static const deed_t deeds[DEAD_WORDS] = {
    [DEAD_REDRIVE] = {"redrive", "redriven", "Redrive", "", ACT_REDRIVE},
    [DEAD_PURGE] = {"purge", "purged", "Purge", " for good", ACT_PURGE},
    [DEAD_DONE] = {"done", "marked as done", "Mark", " as done", ACT_DONE},
};

typedef struct {
    dead_link_t *link;
    const deed_t *deed;
    dead_walk_t walk;
    bool missing;               /* some of the ids are no dead letters */
    uint64_t found, done, gone; /* gone: no dead letter any more, or not one the filter lets through */
    int64_t counted_ms;
    double due_ms;      /* when the next letter may be done */
    int64_t no_room_ms; /* not before */
    int64_t last_ms;    /* when something was last done */
    message_id_t *ids;  /* those of the settings that are dead letters; NULL: a filter */
    size_t ids_count, ids_at;
    message_id_t page[PAGE]; /* page_at..page_count are to be done; what found no room comes back */
    uint32_t page_at, page_count;
    progress_t progress;
} dead_run_t;

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* --- before */

static int count(dead_run_t *run, const letter_filter_t *filter, uint64_t *ret)
{
    uint64_t found = 0;
    dead_walk_t walk;
    dead_walk_init(&walk, run->link, filter, run->link->settings->limit);
    while (!walk.ended) {
        answer_t answer;
        if (dead_walk(&walk, ACT_COUNT, LETTERS_MAX, &answer) < 0)
            return -1;
        found += answer.buried.count;
        if (run->ids && answer.buried.count > 0)
            run->ids[run->ids_count++] = answer.question.filter.id;
    }
    run->missing = walk.missing > 0;
    *ret = found;
    return 0;
}

/* A line of the terminal, or a signal. */
static bool answered_yes(dead_link_t *link)
{
    char line[16] = "";
    struct pollfd items[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = link->signals_fd, .events = POLLIN}};
    while (!link->stopped && !(items[0].revents & (POLLIN | POLLHUP))) {
        if (poll(items, 2, -1) < 0)
            return false;
        dead_link_signals(link);
    }
    if (link->stopped) {
        fputc('\n', stderr);
        return false;
    }
    ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
    return n > 0 && (line[0] == 'y' || line[0] == 'Y');
}

/* EXIT_OK: it may be done. */
static int ask_permission(dead_run_t *run)
{
    const dead_settings_t *s = run->link->settings;
    bool harmless = run->found == 1 && (s->ids || s->filtered);
    if (s->yes || harmless)
        return EXIT_OK;
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        fprintf(stderr,
                "mandrill dead: %" PRIu64
                " dead letter%s would be %s: without a terminal to ask on, --yes says so "
                "(--dry-run shows which)\n",
                run->found, plural(run->found), run->deed->verb_past);
        return EXIT_USAGE;
    }
    fprintf(stderr, "%s %" PRIu64 " dead letter%s%s? [y/N] ", run->deed->ask, run->found, plural(run->found),
            run->deed->ask_end);
    if (answered_yes(run->link))
        return EXIT_OK;
    fprintf(stderr, "mandrill dead: nothing was %s\n", run->deed->verb_past);
    return EXIT_FAILED;
}

/* --- doing it */

/* What dies while this runs was not counted, nor seen by who said yes: it is not purged, nor done. Ages are
 * measured when the publisher looks, so those of the filter grow along. */
static letter_filter_t filter_now(const dead_run_t *run)
{
    letter_filter_t filter = run->link->settings->filter;
    uint64_t passed_ms = (uint64_t)(clock_ms() - run->counted_ms);
    if (run->deed->act == ACT_REDRIVE || run->link->settings->ids)
        return filter;
    filter.older_ms += passed_ms;
    if (filter.newer_ms > 0)
        filter.newer_ms += passed_ms;
    return filter;
}

static int fill_page(dead_run_t *run)
{
    answer_t answer;
    run->page_at = run->page_count = 0;
    while (run->ids_at < run->ids_count && run->page_count < PAGE)
        run->page[run->page_count++] = run->ids[run->ids_at++];
    if (run->ids)
        return 0;
    run->walk.filter = filter_now(run);
    if (dead_walk(&run->walk, ACT_LIST, PAGE, &answer) < 0)
        return -1;
    for (uint32_t i = 0; i < answer.letters_count && i < PAGE; i++)
        run->page[run->page_count++] = answer.letters[i].id;
    return 0;
}

static uint8_t legs_asked(const dead_run_t *run)
{
    return run->deed->act == ACT_DONE && run->link->settings->leg ? run->link->legs : 0;
}

/* Asks for as many as the rate allows. When the next is due. */
static int64_t put_due(dead_run_t *run)
{
    const dead_settings_t *s = run->link->settings;
    int64_t now_ms = clock_ms();
    if (now_ms < run->no_room_ms)
        return run->no_room_ms;
    if (run->due_ms < (double)(now_ms - BEHIND_MS_MAX))
        run->due_ms = (double)(now_ms - BEHIND_MS_MAX);
    while (run->page_at < run->page_count && letters_out(run->link->letters) < LETTERS_OUT_MAX &&
           run->due_ms <= (double)now_ms) {
        dead_t question = {
            .act = run->deed->act, .filter = filter_now(run), .max = 1, .legs = legs_asked(run)};
        question.filter.id = run->page[run->page_at++];
        letters_put(run->link->letters, &question);
        run->due_ms += 1000 / s->rate;
    }
    return run->due_ms > (double)now_ms ? (int64_t)run->due_ms + 1 : INT64_MAX;
}

static void take_answer(dead_run_t *run, const answer_t *answer)
{
    int64_t now_ms = clock_ms();
    if (answer->buried.count > 0) {
        run->done++;
        run->last_ms = now_ms;
    } else if (answer->buried.more) {
        /* No room in the publisher's memory yet. */
        run->page[--run->page_at] = answer->question.filter.id;
        run->no_room_ms = now_ms + AGAIN_MS;
    } else if (answer->repeated) {
        /* It was there a moment ago: the first time was the one that did it, its answer was lost. */
        run->done++;
    } else {
        run->gone++;
    }
}

static void show(dead_run_t *run, bool final)
{
    progress_show(&run->progress, 0, run->done, 0, clock_ms(), final);
}

/* Of the page. */
static bool anything_left(const dead_run_t *run)
{
    return run->page_at < run->page_count || letters_out(run->link->letters) > 0;
}

static bool is_over(const dead_run_t *run)
{
    return !anything_left(run) && (run->ids ? run->ids_at == run->ids_count : run->walk.ended);
}

/* 0, or -1: failed, which is told. */
static int do_all(dead_run_t *run)
{
    const dead_settings_t *s = run->link->settings;
    run->last_ms = clock_ms();
    while (!run->link->stopped && !is_over(run)) {
        answer_t answer;
        if (!anything_left(run) && fill_page(run) < 0)
            return -1;
        int64_t due_ms = put_due(run);
        int64_t show_ms = clock_ms() + AGAIN_MS;
        int r =
            anything_left(run) ? dead_link_wait(run->link, due_ms < show_ms ? due_ms : show_ms, &answer) : 0;
        if (r < 0)
            return -1;
        if (r > 0)
            take_answer(run, &answer);
        show(run, false);
        if (run->no_room_ms > run->last_ms + s->timeout_ms) {
            fprintf(stderr, "mandrill dead: the publisher has had no room for %g s: does a consumer run?\n",
                    (double)s->timeout_ms / 1000);
            return -1;
        }
    }
    return 0;
}

/* One question of purge_all: 1, 0 when it is to end at once, -1: failed. */
static int purge_some(dead_run_t *run, message_id_t after, answer_t *ret)
{
    const dead_t question = {.act = ACT_PURGE, .filter = filter_now(run), .after = after, .max = LETTERS_MAX};
    int r = 0;
    letters_put(run->link->letters, &question);
    while (r == 0 && !run->link->hurried) {
        r = dead_link_wait(run->link, clock_ms() + AGAIN_MS, ret);
        show(run, false);
    }
    return r;
}

/* All that the filter lets through may go by the thousand. When an answer was lost it is not known what that
 * question did: then what is left is counted. 0 or -1. */
static int purge_all(dead_run_t *run)
{
    bool lost = false;
    answer_t answer = {.buried.more = true};
    while (answer.buried.more && !run->link->stopped) {
        int r = purge_some(run, answer.buried.looked_to, &answer);
        if (r <= 0)
            return r;
        run->done += answer.buried.count;
        lost = lost || answer.repeated;
    }
    uint64_t left = 0;
    const letter_filter_t filter = filter_now(run);
    if (lost && !run->link->stopped && count(run, &filter, &left) == 0)
        run->done = run->found - (left < run->found ? left : run->found);
    else if (!run->link->stopped)
        run->gone = run->found - (run->done < run->found ? run->done : run->found);
    return 0;
}

/* What is out when somebody stops this is done by the publisher all the same: it is waited for, to be told.
 */
static void finish_out(dead_run_t *run)
{
    int64_t end_ms = clock_ms() + FINISH_MS;
    while (letters_out(run->link->letters) > 0 && clock_ms() < end_ms && !run->link->hurried) {
        answer_t answer;
        int r = dead_link_wait(run->link, end_ms, &answer);
        if (r < 0)
            return;
        if (r > 0)
            take_answer(run, &answer);
    }
}

static void tell_end(const dead_run_t *run)
{
    const dead_settings_t *s = run->link->settings;
    uint64_t left = run->found - (run->done + run->gone < run->found ? run->done + run->gone : run->found);
    uint64_t unsure = letters_out(run->link->letters) * (s->bulk ? (uint64_t)LETTERS_MAX : 1);
    unsure = unsure < left ? unsure : left;
    if (s->json)
        printf("{\"act\":\"%s\",\"found\":%" PRIu64 ",\"done\":%" PRIu64 ",\"gone\":%" PRIu64
               ",\"unanswered\":%" PRIu64 "}\n",
               run->deed->verb, run->found, run->done, run->gone, unsure);
    else
        printf("%" PRIu64 " of %" PRIu64 " dead letter%s %s\n", run->done, run->found, plural(run->found),
               run->deed->verb_past);
    if (run->gone > 0)
        fprintf(stderr, "mandrill dead: %" PRIu64 " %s no dead letter%s any more\n", run->gone,
                run->gone == 1 ? "was" : "were", plural(run->gone));
    if (unsure > 0)
        fprintf(stderr, "mandrill dead: of %" PRIu64 " more it is not known: their answers did not come\n",
                unsure);
    if (run->link->stopped && left > unsure)
        fprintf(stderr, "mandrill dead: stopped: %" PRIu64 " stay%s as they were\n", left - unsure,
                left - unsure == 1 ? "s" : "");
}

static int run_deed(dead_run_t *run)
{
    const dead_settings_t *s = run->link->settings;
    dead_walk_init(&run->walk, run->link, &s->filter, run->found);
    progress_init(&run->progress, run->found, clock_ms());
    run->progress.what = run->deed->verb_past;
    int r = s->bulk ? purge_all(run) : do_all(run);
    if (run->link->stopped)
        finish_out(run);
    if (run->progress.shown)
        show(run, true);
    tell_end(run);
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    return r == 0 && written && !run->link->stopped && !run->missing ? EXIT_OK : EXIT_FAILED;
}

static int dry_run(const dead_run_t *run)
{
    uint64_t shown;
    int exit_status = dead_list(run->link, &shown);
    if (shown > 0)
        fprintf(stderr, "mandrill dead: %" PRIu64 " dead letter%s would be %s\n", shown, plural(shown),
                run->deed->verb_past);
    return exit_status;
}

static int act(dead_run_t *run)
{
    if (count(run, &run->link->settings->filter, &run->found) < 0)
        return EXIT_FAILED;
    run->counted_ms = clock_ms();
    if (run->found == 0) {
        if (!run->missing)
            dead_tell_none(run->link->settings);
        return run->missing ? EXIT_FAILED : EXIT_OK;
    }
    int exit_status = ask_permission(run);
    return exit_status == EXIT_OK ? run_deed(run) : exit_status;
}

int dead_act(dead_link_t *link)
{
    const dead_settings_t *s = link->settings;
    dead_run_t run = {.link = link, .deed = &deeds[s->word]};
    if (s->dry_run)
        return dry_run(&run);
    if (s->ids && !(run.ids = calloc(s->ids_count, sizeof(*run.ids)))) {
        fputs("mandrill dead: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    int exit_status = act(&run);
    free(run.ids);
    return exit_status;
}

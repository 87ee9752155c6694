/* Going over letters, and what only looks at them: list and show. */
#include "cli/command.h"
#include "cli/dead.h"
#include "cli/human.h"
#include "cli/letter_text.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

void dead_walk_init(dead_walk_t *walk, dead_link_t *link, const letter_filter_t *filter, uint64_t limit)
{
    *walk = (dead_walk_t){.link = link, .filter = *filter, .left = limit};
    walk->ended = limit == 0;
}

/* Of the dead letters that are not there: which were meant. */
static void tell_which(const dead_settings_t *s)
{
    if (s->word == DEAD_DONE && s->leg)
        fprintf(stderr, " whose leg %s has ended badly", s->leg);
    else if (s->word == DEAD_DONE)
        fputs(" with a leg that has ended badly", stderr);
    fputs(s->filtered ? " that the filter lets through\n" : "\n", stderr);
}

/* One question of a walk and its answer. What has ended badly the letters themselves tell: to count them,
 * they are read. */
static int ask(const dead_walk_t *walk, dead_t *question, answer_t *ret)
{
    bool done = walk->link->settings->word == DEAD_DONE;
    question->act = done ? ACT_LIST : question->act;
    if (dead_link_ask(walk->link, question, ret) < 0)
        return -1;
    return done ? dead_done_keep(walk->link, ret) : 0;
}

static void tell_missing(const dead_walk_t *walk, message_id_t id)
{
    char text[MESSAGE_ID_TEXT];
    message_id_format(id, text);
    fprintf(stderr, "mandrill dead: %s is not among the dead letters", text);
    tell_which(walk->link->settings);
}

static int walk_id(dead_walk_t *walk, act_t act, answer_t *ret)
{
    const dead_settings_t *s = walk->link->settings;
    message_id_t id = s->ids[walk->next_id];
    dead_t question = {.act = act, .filter = walk->filter, .max = 1};
    question.filter.id = id;
    if (ask(walk, &question, ret) < 0)
        return -1;
    walk->next_id++;
    if (ret->buried.count == 0) {
        tell_missing(walk, id);
        walk->missing++;
    } else {
        walk->left--;
    }
    walk->ended = walk->next_id == s->ids_count || walk->left == 0;
    return 0;
}

int dead_walk(dead_walk_t *walk, act_t act, uint32_t max, answer_t *ret)
{
    if (walk->link->settings->ids)
        return walk_id(walk, act, ret);
    dead_t question = {.act = act,
                       .filter = walk->filter,
                       .after = walk->after,
                       .max = walk->left < max ? (uint32_t)walk->left : max};
    if (ask(walk, &question, ret) < 0)
        return -1;
    if (ret->buried.more && ret->buried.looked_to.stream == walk->after.stream &&
        ret->buried.looked_to.seq == walk->after.seq) {
        fputs("mandrill dead: the publisher says that there are more, and does not get on\n", stderr);
        return -1;
    }
    uint32_t found = act == ACT_LIST ? ret->letters_count : ret->buried.count;
    walk->left -= found < walk->left ? found : walk->left;
    walk->after = ret->buried.looked_to;
    walk->ended = !ret->buried.more || walk->left == 0;
    return 0;
}

/* Hosts are stored with their domain, and a glob stands for the whole. */
void dead_tell_none(const dead_settings_t *s)
{
    fputs("mandrill dead: no dead letters", stderr);
    tell_which(s);
    if (s->filter.host.len > 0 && !memchr(s->filter.host.bytes, '*', s->filter.host.len) &&
        !memchr(s->filter.host.bytes, '.', s->filter.host.len))
        fprintf(stderr, "mandrill dead: a host is compared whole, with its domain: --host '%.*s.*'\n",
                (int)s->filter.host.len, s->filter.host.bytes);
}

static bool can_write(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (errno != EPIPE) /* a reader that has seen enough is no failure worth a word */
        fprintf(stderr, "mandrill dead: standard output can't be written: %s\n", strerror(errno));
    return false;
}

static void print_json(const answer_t *answer, buffer_t *json)
{
    for (uint32_t i = 0; i < answer->letters_count; i++) {
        buffer_clear(json);
        letter_json(&answer->buried, &answer->letters[i], json);
        fwrite(json->data, 1, json->len, stdout);
    }
}

static void print_rows(letter_view_t *view, const answer_t *answer)
{
    view->names = &answer->buried;
    view->now_ms = clock_wall_ms();
    if (view->id_width == 0 && answer->letters_count > 0) {
        letter_widths(view, answer->letters, answer->letters_count);
        letter_head(view, stdout);
    }
    for (uint32_t i = 0; i < answer->letters_count; i++)
        letter_row(view, &answer->letters[i], stdout);
}

int dead_list(dead_link_t *link, uint64_t *ret_shown)
{
    const dead_settings_t *s = link->settings;
    letter_view_t view = {.columns = human_columns(STDOUT_FILENO)};
    dead_walk_t walk;
    buffer_t json;
    int exit_status = EXIT_OK;
    uint64_t shown = 0;
    buffer_init(&json);
    dead_walk_init(&walk, link, &s->filter, s->limit);
    while (!walk.ended && exit_status == EXIT_OK) {
        answer_t answer;
        if (dead_walk(&walk, ACT_LIST, LETTERS_MAX, &answer) < 0) {
            exit_status = EXIT_FAILED;
            break;
        }
        if (s->json)
            print_json(&answer, &json);
        else
            print_rows(&view, &answer);
        shown += answer.letters_count;
        if (json.failed || !can_write())
            exit_status = EXIT_FAILED;
    }
    buffer_done(&json);
    if (exit_status == EXIT_OK && shown == 0 && walk.missing == 0)
        dead_tell_none(s);
    *ret_shown = shown;
    return walk.missing > 0 ? EXIT_FAILED : exit_status;
}

int dead_show(dead_link_t *link)
{
    const dead_settings_t *s = link->settings;
    dead_walk_t walk;
    dead_walk_init(&walk, link, &s->filter, UINT64_MAX);
    for (bool first = true; !walk.ended; first = false) {
        answer_t answer;
        buffer_t json;
        if (dead_walk(&walk, ACT_LIST, 1, &answer) < 0)
            return EXIT_FAILED;
        if (answer.letters_count == 0)
            continue;
        letter_view_t view = {.names = &answer.buried, .now_ms = clock_wall_ms()};
        buffer_init(&json);
        if (s->json)
            print_json(&answer, &json);
        else if (!first)
            fputc('\n', stdout);
        if (!s->json)
            letter_page(&view, answer.letters, stdout);
        bool failed = json.failed;
        buffer_done(&json);
        if (failed || !can_write())
            return EXIT_FAILED;
    }
    return walk.missing > 0 ? EXIT_FAILED : EXIT_OK;
}

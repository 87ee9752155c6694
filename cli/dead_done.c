/* Which letters `done` is about: those of which a leg has ended badly, or the one that is named. */
#include "cli/dead.h"
#include <stdio.h>
#include <string.h>

/* The legs have names in each answer. 0: none of them is meant, which is told. */
static uint8_t find_leg(const char *name, const buried_t *names)
{
    for (uint32_t bit = 0; bit < names->legs_count; bit++) {
        if (strcmp(names->legs[bit], name) == 0)
            return (uint8_t)(1u << bit);
    }
    fprintf(stderr, "mandrill dead: --leg: \"%s\" is no leg of this outbox: expected", name);
    for (uint32_t bit = 0; bit < names->legs_count; bit++)
        fprintf(stderr, "%s %s",
                bit == 0                       ? ""
                : bit + 1 == names->legs_count ? " or"
                                               : ",",
                names->legs[bit]);
    fputc('\n', stderr);
    return 0;
}

int dead_done_keep(dead_link_t *link, answer_t *answer)
{
    const char *leg = link->settings->leg;
    uint32_t kept = 0;
    link->legs = leg ? find_leg(leg, &answer->buried) : UINT8_MAX;
    if (link->legs == 0)
        return -1;
    for (uint32_t i = 0; i < answer->letters_count; i++) {
        if (answer->letters[i].bad & link->legs)
            answer->letters[kept++] = answer->letters[i];
    }
    answer->letters_count = answer->buried.count = kept;
    return 0;
}

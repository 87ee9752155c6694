/* What the exit of a command means: rules of the configuration, "CODE=OUTCOME" or "CODE-CODE=OUTCOME". Pure.
 *
 * Without rules 0 is ok; unknown are 124 (timeout has ended the command), 128 and more (a shell or sudo says
 * so of what a signal has ended), and among these 255 (ssh says so of its own failures, and a reboot often
 * cuts the connection that asked for it); everything else is transient. Of rules for one code the last
 * counts. */
#ifndef MANDRILL_RESTART_EXIT_RULES_H
#define MANDRILL_RESTART_EXIT_RULES_H

#include <stddef.h>

enum { EXIT_CODES = 256 };

typedef enum { EXIT_OK, EXIT_TRANSIENT, EXIT_PERMANENT, EXIT_UNKNOWN } exit_meaning_t;

typedef struct {
    unsigned char of[EXIT_CODES]; /* exit_meaning_t */
} exit_rules_t;

/* 0, or -EINVAL when a rule is none, `*ret_bad` its index. */
int exit_rules_parse(exit_rules_t *ret, const char *const *rules, size_t count, size_t *ret_bad);
exit_meaning_t exit_rules_meaning(const exit_rules_t *r, int code);

#endif

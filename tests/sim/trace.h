/* What a run tells: a line for everything that happens, only when it is asked for (a run is repeated from its
 * seed), and the end of a run that broke an invariant. */
#ifndef MANDRILL_SIM_TRACE_H
#define MANDRILL_SIM_TRACE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdnoreturn.h>

enum { VERDICT_BYTES = 512 };

extern bool tracing;

/* Where the verdict of a broken run is left (VERDICT_BYTES), and the exit code that goes with it. */
void trace_verdict_to(char *text);
enum { EXIT_BROKEN = 3 };

void trace_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define trace(...) (tracing ? trace_line(__VA_ARGS__) : (void)0)

/* An invariant, by its name, does not hold: the end of this process. */
noreturn void broken(const char *invariant, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

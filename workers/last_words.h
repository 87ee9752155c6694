/* A task that kills the process (a fault in a library, abort()) has been told of just before it began, and
 * the frame may still be with libzmq's thread. So a fatal signal waits a moment, in the thread that it hit,
 * and the rest goes on meanwhile. Otherwise nobody would know which task did it, and it would be given again
 * and again without an end. (SIGKILL leaves no moment.) */
#ifndef MANDRILL_LAST_WORDS_H
#define MANDRILL_LAST_WORDS_H

enum { LAST_WORDS_MS = 100 };

/* For the whole process; whoever handled these signals before is called after the moment. */
void last_words_open(void);

#endif

/* What the end of a request means for whoever asked for something to be done. Pure.
 *
 *   2xx                  GOOD
 *   408 425 429          NOT_TAKEN: who answers so has done nothing, and takes it later
 *   503 and Retry-After  the same
 *   other 5xx            FAILED: nobody knows how far it came; a gateway's 502 or 504 may hide a success, and
 *                        its 503, too: some say it when the server's connection ended before its answer
 *   3xx, other 4xx       REFUSED: as often as it is asked. A redirect is not followed
 *   not reached          NOT_TAKEN: nothing was sent
 *   no answer            FAILED */
#ifndef MANDRILL_HTTP_ANSWERS_H
#define MANDRILL_HTTP_ANSWERS_H

#include "workers/http/client.h"

enum { ANSWER_TEXT_BYTES = 256 };

typedef enum { ANSWER_GOOD, ANSWER_NOT_TAKEN, ANSWER_FAILED, ANSWER_REFUSED } answer_t;

/* With a text for people: "the server answered 503: busy"; "" when it is GOOD. */
answer_t answer_judge(const http_answer_t *a, char text[static ANSWER_TEXT_BYTES]);

/* The first two words of a body: an id (`size` bytes of room), and seconds that something has been up, as in
 * "c0ffee 12.5", in ms; -1: there are none. -EPROTO when there is no such id. */
int answer_words(const http_answer_t *a, char *ret_id, size_t size, int64_t *ret_up_ms);

#endif

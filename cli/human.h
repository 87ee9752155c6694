/* Numbers for people. Pure but for human_columns(). */
#ifndef MANDRILL_HUMAN_H
#define MANDRILL_HUMAN_H

#include <stdint.h>

enum { HUMAN_TEXT = 32 };
/* "35 ms", "2.5 s", "12 s", "3 min", "2.5 h", "4.1 days". Returns text. */
char *human_duration(int64_t ms, char text[static HUMAN_TEXT]);
/* "500 bytes", "12.3 MiB". Returns text. */
char *human_bytes(int64_t bytes, char text[static HUMAN_TEXT]);
/* How wide a terminal is; 0: `fd` is none, or does not say. */
int human_columns(int fd);

#endif

/* The programs of the project in a run: each with the options that main() would have made, from open to
 * close.
 */
#ifndef MANDRILL_SIM_PROGRAMS_H
#define MANDRILL_SIM_PROGRAMS_H

#include "publisher/publisher.h"
#include "tests/sim/world.h"

void programs_open(void);
/* From the process's own turn: until it ends, the exit code. */
int program_run(process_t *p);
void program_gone(process_t *p, bool killed);
/* The turns of p->self may be looked into while the process is alive and it is not NULL. */
publisher_t *program_publisher(process_t *p);
int64_t consumer_now_ms(const process_t *p);
/* What it still has in hand; a program that is not open has nothing. */
uint32_t program_holds(const process_t *p);
/* Every message of the run has been stored. */
bool programs_published(void);

#endif

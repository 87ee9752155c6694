/* The hosts of exec_host.sh, in a folder of the test: what was done to them. */
#ifndef MANDRILL_TEST_EXEC_HOST_H
#define MANDRILL_TEST_EXEC_HOST_H

#include "tests/support/rig.h"

/* "<exec_host.sh> <folder> <rest>": a command, in a buffer of 3 * TEST_PATH_MAX; returns it. Makes the
 * folder. */
char *exec_host_command(rig_t *rig, const char *rest, char *command);
/* How often it was restarted. */
unsigned exec_host_restarts(const rig_t *rig, const char *host);
/* Restarts it by itself. */
void exec_host_restart(rig_t *rig, const char *host);
/* How often `text` stands in the log of calls: "<what> <host> <id>\n" each. */
unsigned exec_host_calls(const rig_t *rig, const char *text);
/* The most restarts that were under way at once. */
unsigned exec_host_most(const rig_t *rig);
/* Whether the command that restarts it, of one that hangs or is held, runs. */
bool exec_host_runs(const rig_t *rig, const char *host);
/* Lets those end that wait for it. */
void exec_host_go(rig_t *rig);

#endif

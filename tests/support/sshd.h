/* A real sshd of the test's own: its configuration and keys in the test's folder, on a free port of the
 * loopback, as whoever runs the test. Whoever logs in gets one command, whatever he asks for. */
#ifndef MANDRILL_TEST_SSHD_H
#define MANDRILL_TEST_SSHD_H

#include "tests/support/rig.h"

/* Whether there is one on this machine. */
bool sshd_is_here(void);
/* Started, and answers. `forced` is the command; what was asked for is in its SSH_ORIGINAL_COMMAND. */
process_t *sshd_start(rig_t *rig, const char *forced);
/* What a client needs: "-F <file>" makes every host this one, without a question. In a buffer of
 * TEST_PATH_MAX; returns it. */
char *sshd_client_file(const rig_t *rig, char *path);

#endif

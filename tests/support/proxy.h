/* The network between two programs, in the hands of a test: a TCP proxy in a thread of its own.
 *
 * A connection goes up (towards who was connected to) and down. Each way passes bytes, holds them back until
 * it passes again (a partition that TCP survives), or drops them: a connection that has lost bytes passes
 * nothing that way any more, not even its end, as behind a router that has forgotten it, and stays open until
 * its own ends give it up.
 *
 * Errors: what cannot be done fails the test. Ownership: the rig's; gone with it. */
#ifndef MANDRILL_TEST_PROXY_H
#define MANDRILL_TEST_PROXY_H

#include "tests/support/rig.h"

typedef struct proxy proxy_t;
typedef enum { PROXY_UP = 1, PROXY_DOWN = 2, PROXY_BOTH = 3 } proxy_ways_t;
typedef enum { PROXY_PASS, PROXY_HOLD, PROXY_DROP } proxy_mode_t;

/* In front of a tcp endpoint of the rig, by name: programs that are started from now on and connect to it
 * come through here. */
proxy_t *proxy_open(rig_t *rig, const char *endpoint_name);
void proxy_set(proxy_t *p, proxy_ways_t ways, proxy_mode_t mode);
/* Bytes are this long on their way, each way. */
void proxy_delay(proxy_t *p, int ms);
/* Nobody listens here; connections that there are stay. */
void proxy_refuse(proxy_t *p, bool refuse);
/* RST to these ends of every connection (PROXY_UP: who was connected to). An end that is left alone hears
 * nothing of it: half open. Returns how many connections there were. */
unsigned proxy_reset(proxy_t *p, proxy_ways_t ends);
/* Connections with both ends. */
unsigned proxy_connections(proxy_t *p);
/* Bytes that were passed on, up and down. */
uint64_t proxy_passed(proxy_t *p);

#endif

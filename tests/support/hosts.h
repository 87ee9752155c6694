/* Several hosts on this machine: network namespaces, each with an address and one link to a bridge, and names
 * that all of them look up. The test program moves into namespaces of its own, where the bridge and the file
 * of names lie, so nothing of this is seen outside, and all of it goes with the last process that is in
 * there, however that ended.
 *
 *   if (!hosts_allowed()) return HOSTS_SKIP;           first thing in main()
 *   host_t *h = host_new(rig);
 *   hosts_name("consumer", &h, 1);                     what the name stands for, wherever it is looked up
 *   host_enter(h); start_consumer(...); host_leave();  what is started in between runs there
 *   host_unplug(h);                                    no packet comes or goes, and nobody is told
 *
 * Errors: what cannot be done fails the test. Ownership: a host is the rig's, gone with the test. */
#ifndef MANDRILL_TEST_HOSTS_H
#define MANDRILL_TEST_HOSTS_H

#include "tests/support/rig.h"

/* What CTest takes for "skipped". */
enum { HOSTS_SKIP = 77, HOSTS_NAMES_MAX = 8, HOSTS_ADDRESSES_MAX = 8 };

typedef struct host host_t;

/* Moves this program into its namespaces; false, with a word on stdout why, where that is not allowed. Call
 * before there are threads. */
bool hosts_allowed(void);
/* The next lookup of `name` gives the addresses of these, at most HOSTS_ADDRESSES_MAX. */
void hosts_name(const char *name, host_t *const *hosts, unsigned n);

/* With an address that no other has had. */
host_t *host_new(rig_t *rig);
const char *host_address(const host_t *h);
void host_enter(const host_t *h);
void host_leave(void);
/* The link, at its far end: as a cable that is pulled out, and put in again. */
void host_unplug(host_t *h);
void host_plug(host_t *h);
/* The host goes, for good; what runs there hears nothing any more. */
void host_remove(host_t *h);

#endif

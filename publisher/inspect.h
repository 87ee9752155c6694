/* --inspect: what an outbox holds while no publisher runs over it. */
#ifndef MANDRILL_PUBLISHER_INSPECT_H
#define MANDRILL_PUBLISHER_INSPECT_H

/* Prints a JSON object on stdout: the keys of a status that a file can tell. 0 or -errno with `why`
 * (WHY_BYTES). Changes nothing; takes the lock, so a running publisher's outbox is refused. */
int inspect(const char *outbox, char *why);

#endif

/* Binding a Unix domain socket without taking it from a living process. For wire.c only. */
#ifndef MANDRILL_WIRE_IPC_H
#define MANDRILL_WIRE_IPC_H

#include <stdbool.h>
#include <sys/types.h>

/* Which file a bind made. */
typedef struct {
    bool made;
    dev_t device;
    ino_t inode;
} ipc_file_t;

/* Binds `socket` to ipc://PATH with mode 0600. libzmq removes whatever lies at PATH first; so: -EADDRINUSE
 * when a process listens there, -EEXIST when it is no socket. `why` has WHY_BYTES. */
int ipc_bind(void *socket, const char *endpoint, ipc_file_t *ret, char *why);
/* Removes the file, which libzmq leaves behind, unless another has taken its place. Before the socket is
 * closed: while it listens, nobody takes the path over. */
void ipc_unlink(const ipc_file_t *file, const char *endpoint);

#endif

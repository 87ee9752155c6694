/* A disk that fails when it is told to: an SQLite VFS over the system's, for the files of this process. As
 * with Linux, what a failed fsync did not write reads as if it had been, and no later fsync writes it. */
#ifndef MANDRILL_TEST_FAULTY_DISK_H
#define MANDRILL_TEST_FAULTY_DISK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int write_error, sync_error; /* SQLite's code for a failed write or fsync; 0: they work */
    bool log_syncs;              /* sync_error is the database's alone: a checkpoint fails, and no commit */
    int write_errno;             /* set for a failed write; 0: none */
    uint64_t fail_from; /* the first write (of those since the last reset) that fails; 0: the first of all */
    uint64_t writes, syncs; /* since the last reset */
    uint64_t unsynced;      /* writes to the log that no fsync has followed */
    uint64_t lost;          /* those whose fsync failed, until they are written anew and that is synced */
    uint64_t anew;          /* writes to the database since a loss, not synced */
} faulty_disk_t;

extern faulty_disk_t faulty_disk;

/* Every database that is opened from now on lies on it. */
void faulty_disk_mount(void);
/* Works again, and counts from 0; what is lost stays lost. */
void faulty_disk_reset(void);

#endif

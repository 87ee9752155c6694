#include "tests/contract/faulty_disk.h"

#include "tests/support/wait.h"
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

faulty_disk_t faulty_disk;

static sqlite3_vfs *under;
static sqlite3_vfs vfs;

typedef struct {
    sqlite3_file base;
    bool is_log;
    sqlite3_file *real; /* lies behind this one */
} file_t;

static sqlite3_file *real(sqlite3_file *f)
{
    return ((file_t *)f)->real;
}

static int on_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    faulty_disk.writes++;
    if (faulty_disk.write_error != 0 && faulty_disk.writes >= faulty_disk.fail_from) {
        errno = faulty_disk.write_errno;
        return faulty_disk.write_error;
    }
    faulty_disk.unsynced += ((file_t *)f)->is_log;
    faulty_disk.anew += !((file_t *)f)->is_log && faulty_disk.lost > 0;
    return real(f)->pMethods->xWrite(real(f), bytes, n, at);
}

static int on_sync(sqlite3_file *f, int flags)
{
    const bool is_log = ((file_t *)f)->is_log;
    faulty_disk.syncs++;
    if (faulty_disk.sync_error != 0 && !(faulty_disk.log_syncs && is_log)) {
        if (is_log) {
            faulty_disk.lost += faulty_disk.unsynced;
            faulty_disk.unsynced = 0;
        }
        return faulty_disk.sync_error;
    }
    if (is_log)
        faulty_disk.unsynced = 0;
    else if (faulty_disk.anew > 0)
        faulty_disk.lost = faulty_disk.anew = 0;
    return real(f)->pMethods->xSync(real(f), flags);
}

/* Everything else goes through. */
static int on_close(sqlite3_file *f)
{
    return real(f)->pMethods->xClose(real(f));
}
static int on_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), bytes, n, at);
}
static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real(f)->pMethods->xTruncate(real(f), size);
}
static int on_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return real(f)->pMethods->xFileSize(real(f), ret);
}
static int on_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}
static int on_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}
static int on_reserved(sqlite3_file *f, int *ret)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}
static int on_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}
static int on_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}
static int on_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, ret);
}
static int on_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}
static void on_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}
static int on_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {.iVersion = 2, /* without mmap: every byte comes by here */
                                           .xClose = on_close,
                                           .xRead = on_read,
                                           .xWrite = on_write,
                                           .xTruncate = on_truncate,
                                           .xSync = on_sync,
                                           .xFileSize = on_size,
                                           .xLock = on_lock,
                                           .xUnlock = on_unlock,
                                           .xCheckReservedLock = on_reserved,
                                           .xFileControl = on_control,
                                           .xSectorSize = on_sector,
                                           .xDeviceCharacteristics = on_device,
                                           .xShmMap = on_shm_map,
                                           .xShmLock = on_shm_lock,
                                           .xShmBarrier = on_shm_barrier,
                                           .xShmUnmap = on_shm_unmap};

static int on_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    file_t *file = (file_t *)f;
    (void)v;
    file->real = (sqlite3_file *)(file + 1);
    file->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    const int rc = under->xOpen(under, name, file->real, flags, ret_flags);
    f->pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

void faulty_disk_reset(void)
{
    faulty_disk = (faulty_disk_t){.lost = faulty_disk.lost};
}

void faulty_disk_mount(void)
{
    under = sqlite3_vfs_find(NULL);
    assert_non_null(under);
    vfs = *under;
    vfs.zName = "faulty";
    vfs.szOsFile = (int)sizeof(file_t) + under->szOsFile;
    vfs.xOpen = on_open;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
    faulty_disk_reset();
}

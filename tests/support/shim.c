#include "tests/support/shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

shim_control_t *shim_for(rig_t *rig, process_t *p)
{
    char file[PROCESS_NAME_MAX];

    snprintf(file, sizeof file, "%.32s.shim", p->name);
    int fd = open(rig_path(rig, file, p->shim), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(shim_control_t)), 0);
    /* Mapped until the test program ends: a few pages. */
    shim_control_t *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(s != MAP_FAILED);
    close(fd);
    return s;
}

void shim_fail(shim_control_t *s, uint32_t calls, uint64_t n, uint64_t times, int how)
{
    shim_mend(s);
    atomic_store(&s->calls, calls);
    atomic_store(&s->seen, 0);
    atomic_store(&s->fired, 0);
    atomic_store(&s->times, times);
    atomic_store(&s->how, how);
    atomic_store(&s->from, n);
}

void shim_mend(shim_control_t *s)
{
    atomic_store(&s->from, 0);
}

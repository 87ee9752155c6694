#include "tests/faults/shim/shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static shim_control_t *control;

shim_control_t *shim_control(void)
{
    return control;
}

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv(SHIM_VARIABLE);
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (map == MAP_FAILED) {
        /* A test without its faults would pass for nothing. */
        fprintf(stderr, "shim: cannot map '%s'\n", path != NULL ? path : SHIM_VARIABLE);
        _exit(125);
    }
    close(fd);
    control = map;
}

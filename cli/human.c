#include "cli/human.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

char *human_duration(int64_t ms, char text[static HUMAN_TEXT])
{
    if (ms < 100)
        snprintf(text, HUMAN_TEXT, "%" PRId64 " ms", ms);
    else if (ms < 10000)
        snprintf(text, HUMAN_TEXT, "%.1f s", (double)ms / 1000);
    else if (ms < 120000)
        snprintf(text, HUMAN_TEXT, "%" PRId64 " s", ms / 1000);
    else if (ms < 7200000)
        snprintf(text, HUMAN_TEXT, "%" PRId64 " min", ms / 60000);
    else if (ms < 2 * 86400000LL)
        snprintf(text, HUMAN_TEXT, "%.1f h", (double)ms / 3600000);
    else
        snprintf(text, HUMAN_TEXT, "%.1f days", (double)ms / 86400000);
    return text;
}

char *human_bytes(int64_t bytes, char text[static HUMAN_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        n /= 1024;
    snprintf(text, HUMAN_TEXT, "%.*f %s", unit > 0 && n < 100 ? 1 : 0, n, units[unit]);
    return text;
}

int human_columns(int fd)
{
    struct winsize size;
    return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

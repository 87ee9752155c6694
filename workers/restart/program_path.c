#include "workers/restart/program_path.h"

#include "common/core/message.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usual_folders[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static bool can_run(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* NULL: no memory, as below. */
static char *join(const char *folder, size_t len, const char *name)
{
    const size_t size = len + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        snprintf(path, size, "%.*s/%s", (int)len, folder, name);
    return path;
}

/* Links stay what they are: what they lead to may change with an update. */
static char *make_absolute(const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    char *here = getcwd(NULL, 0);
    char *whole = here != NULL ? join(here, strlen(here), path) : NULL;
    free(here);
    return whole;
}

static int look_in_folders(const char *folders, const char *program, char **ret_path)
{
    for (const char *f = folders, *end; f != NULL; f = end != NULL ? end + 1 : NULL) {
        end = strchr(f, ':');
        const size_t len = end != NULL ? (size_t)(end - f) : strlen(f);
        char *path = len > 0 ? join(f, len, program) : join(".", 1, program);
        if (path == NULL)
            return -ENOMEM;
        if (can_run(path)) {
            *ret_path = make_absolute(path);
            free(path);
            return *ret_path != NULL ? 0 : -ENOMEM;
        }
        free(path);
    }
    return -ENOENT;
}

int program_find(const char *program, char **ret_path, char *why)
{
    const char *folders = getenv("PATH");
    char *path = NULL, shown[96];
    const char *what = "is in no folder of PATH as a program that can be run";
    int error = 0;
    if (strchr(program, '/') == NULL) {
        error = look_in_folders(folders != NULL ? folders : usual_folders, program, &path);
    } else if (!can_run(program)) {
        error = access(program, F_OK) == 0 ? -EACCES : -ENOENT;
        what = error == -EACCES ? "is no program that can be run" : "is not there";
    } else {
        path = make_absolute(program);
        error = path != NULL ? 0 : -ENOMEM;
    }
    if (error != 0)
        snprintf(why, WHY_BYTES, "'%s' %s", text_escape(program, strlen(program), shown, sizeof shown),
                 error == -ENOMEM ? "could not be looked up: no memory" : what);
    else
        *ret_path = path;
    return error;
}

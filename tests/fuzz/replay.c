/* Runs a fuzz target once over each of the named files, and the files of the named folders, without a fuzzer:
 * so that any compiler keeps what fuzzing has found, and every change of an interface meets the targets. */
#include "tests/fuzz/input.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, PATH_BYTES = 1024 };

static unsigned files;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    if (f == NULL || bytes == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t len = fread(bytes, 1, FILE_BYTES_MAX, f);
    fclose(f);
    printf("%s, %zu bytes\n", path, len);
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    files++;
}

static void run_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return; /* nothing has been found by this target yet */
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[PATH_BYTES];
        struct stat st;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
            run_file(name);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISREG(st.st_mode))
            run_file(argv[i]);
        else
            run_folder(argv[i]);
    }
    printf("%u files\n", files);
    return files > 0 ? 0 : 1;
}

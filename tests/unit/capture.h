/* What a call writes to a standard stream, as text: capture_begin(STDERR_FILENO), the call, capture_end().
 * One at a time. */
#ifndef MANDRILL_TESTS_CAPTURE_H
#define MANDRILL_TESTS_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    FILE *file;
    int stream, saved;
    char text[65536];
} capture;

static inline void capture_begin(int stream)
{
    fflush(NULL);
    capture.file = tmpfile();
    capture.stream = stream;
    capture.saved = dup(stream);
    if (!capture.file || capture.saved < 0 || dup2(fileno(capture.file), stream) < 0)
        abort();
}

static inline const char *capture_end(void)
{
    fflush(NULL);
    if (dup2(capture.saved, capture.stream) < 0)
        abort();
    close(capture.saved);
    rewind(capture.file);
    size_t n = fread(capture.text, 1, sizeof(capture.text) - 1, capture.file);
    capture.text[n] = '\0';
    fclose(capture.file);
    return capture.text;
}

#endif

/* One program under test: started in a process group of its own, its stdout and stderr each in a file, which
 * later starts append to.
 *
 * Errors: whatever cannot be done fails the test. Ownership: the arguments are copied. */
#ifndef MANDRILL_TEST_PROCESS_H
#define MANDRILL_TEST_PROCESS_H

#include "tests/support/wait.h"
#include <stdbool.h>
#include <sys/types.h>

enum { PROCESS_ARGUMENTS_MAX = 64, PROCESS_NAME_MAX = 48, TEST_PATH_MAX = 256 };

typedef struct {
    char name[PROCESS_NAME_MAX];
    char program[TEST_PATH_MAX];
    char out[TEST_PATH_MAX], log[TEST_PATH_MAX], announce[TEST_PATH_MAX];
    char in[TEST_PATH_MAX];   /* a file for stdin; "": /dev/null */
    char shim[TEST_PATH_MAX]; /* the file of its shim (shim.h); "": none */
    char *arguments[PROCESS_ARGUMENTS_MAX + 1];
    pid_t pid; /* 0: does not run */
    int status;
    unsigned starts;
    int guard; /* where the guard hears of it; -1: nowhere */
} process_t;

/* Fills in names and files below `dir`; `arguments` ends with NULL. */
void process_init(process_t *p, const char *dir, const char *name, const char *program,
                  const char *const *arguments, int guard);
void process_done(process_t *p);
void process_start(process_t *p);
bool process_running(process_t *p);
void process_signal(process_t *p, int signal);
/* kill -9, and gone when it returns. */
void process_kill(process_t *p);
/* Its exit code, or 128 + the signal that ended it. */
int process_wait(process_t *p, int timeout_ms);
/* SIGTERM and process_wait. */
int process_stop(process_t *p);
/* What the last process_wait returned. */
int process_code(const process_t *p);

/* Whether it has announced itself since it was started. */
bool process_is_announced(const process_t *p);
/* Waits until it has announced `key` and returns the value in a buffer of TEST_PATH_MAX. */
void process_announced(process_t *p, const char *key, char *value);
/* How often `text` stands in its log, or on its stdout. */
unsigned process_log_count(const process_t *p, const char *text);
unsigned process_out_count(const process_t *p, const char *text);
/* The whole file as a string to be freed; "" when it does not exist. */
char *test_read_file(const char *path);
void test_write_file(const char *path, const char *text, size_t len);

#endif

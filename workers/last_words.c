#include "workers/last_words.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static struct sigaction former[NUMBERS];

/* Only what a signal handler may call. */
static void wait_a_moment(int number, siginfo_t *info, void *context)
{
    const int error = errno;
    const struct timespec moment = {.tv_nsec = LAST_WORDS_MS * 1000000L};
    (void)context;
    nanosleep(&moment, NULL);
    for (size_t i = 0; i < NUMBERS; i++)
        if (numbers[i] == number)
            sigaction(number, &former[i], NULL);
    /* The instruction that failed is run again and fails again; one that was sent has to be sent again. */
    if (info->si_code <= 0)
        raise(number);
    errno = error;
}

void last_words_open(void)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        struct sigaction action = {.sa_sigaction = wait_a_moment, .sa_flags = SA_SIGINFO};
        sigemptyset(&action.sa_mask);
        sigaction(numbers[i], &action, &former[i]);
    }
}

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/sim/fiber.h"
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum { STACK_BYTES = 1024 * 1024 };
#else
enum { STACK_BYTES = 256 * 1024 };
#endif
enum { GUARD_BYTES = 64 * 1024 };

struct fiber {
    uint8_t *mapping; /* GUARD_BYTES that nothing may touch, then the stack */
    void (*run)(void *arg);
    void *arg;
    ucontext_t beginning;
    jmp_buf inside;
    bool begun, ended;
    void *fake_stack; /* AddressSanitizer's */
};

/* Only the first step onto a stack goes by ucontext, which costs two system calls a switch; setjmp() costs
 * none. */
static jmp_buf outside;
static fiber_t *entering;

#ifdef WITH_ASAN
static void *outside_fake_stack;
static const void *outside_bottom;
static size_t outside_bytes;
#endif

static void before_inside(const fiber_t *f)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&outside_fake_stack, f->mapping + GUARD_BYTES, STACK_BYTES);
#else
    (void)f;
#endif
}

static void after_inside(void)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(outside_fake_stack, NULL, NULL);
#endif
}

static void now_inside(const fiber_t *f)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &outside_bottom, &outside_bytes);
#else
    (void)f;
#endif
}

static void before_outside(fiber_t *f, bool for_ever)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &f->fake_stack, outside_bottom, outside_bytes);
#else
    (void)f, (void)for_ever;
#endif
}

fiber_t *fiber_new(void)
{
    fiber_t *f = calloc(1, sizeof *f);
    if (f == NULL)
        abort();
    f->mapping =
        mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->mapping == MAP_FAILED || mprotect(f->mapping, GUARD_BYTES, PROT_NONE) != 0)
        abort();
    f->ended = true;
    return f;
}

void fiber_destroy(fiber_t **ref)
{
    fiber_t *f = *ref;
    if (f == NULL)
        return;
    munmap(f->mapping, GUARD_BYTES + STACK_BYTES);
    free(f);
    *ref = NULL;
}

noreturn void fiber_leave(fiber_t *f)
{
    f->ended = true;
    before_outside(f, true);
    longjmp(outside, 1);
}

static void enter(void)
{
    fiber_t *f = entering;
    f->fake_stack = NULL;
    now_inside(f);
    f->run(f->arg);
    fiber_leave(f);
}

void fiber_begin(fiber_t *f, void (*run)(void *arg), void *arg)
{
    f->run = run;
    f->arg = arg;
    f->begun = f->ended = false;
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(f->mapping + GUARD_BYTES, STACK_BYTES);
#endif
    if (getcontext(&f->beginning) != 0)
        abort();
    f->beginning.uc_stack.ss_sp = f->mapping + GUARD_BYTES;
    f->beginning.uc_stack.ss_size = STACK_BYTES;
    f->beginning.uc_link = NULL;
    makecontext(&f->beginning, enter, 0);
}

void fiber_resume(fiber_t *f)
{
    if (setjmp(outside) == 0) {
        before_inside(f);
        if (f->begun)
            longjmp(f->inside, 1);
        f->begun = true;
        entering = f;
        setcontext(&f->beginning);
        abort();
    }
    after_inside();
}

bool fiber_ended(const fiber_t *f)
{
    return f->ended;
}

void fiber_yield(fiber_t *f)
{
    if (setjmp(f->inside) == 0) {
        before_outside(f, false);
        longjmp(outside, 1);
    }
    now_inside(f);
}

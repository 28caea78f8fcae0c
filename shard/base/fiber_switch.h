/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stacks, and going from one to another within a thread: what fiber.c stands on.
 *
 * swapcontext(3) makes a system call each time, for a signal mask that is the same
 * everywhere here. So the switch is a few instructions for x86-64 and aarch64 (what the
 * ABI says a function must keep, as in the coroutines of Boost.Context and of QEMU), and
 * ucontext(3) elsewhere. The sanitizers are told of every switch; without that they take
 * the new stack for a wild pointer, or its accesses for those of another thread.
 *
 * Threads: a context is entered by one thread at a time.
 */
#ifndef DOUSHARD_BASE_FIBER_SWITCH_H
#define DOUSHARD_BASE_FIBER_SWITCH_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__)
#define FIBER_SWITCH_OWN 1
#else
#define FIBER_SWITCH_OWN 0
#include <ucontext.h>
#endif

/* Where a thread of control stands while it does not run. */
struct fiber_context {
#if FIBER_SWITCH_OWN
    void *sp; /* its registers are on its stack */
#else
    ucontext_t ucontext;
#endif
    char *
        low; /* its stack, for the sanitizers; of a thread's own stack once it was left */
    size_t bytes;
    void *fake_stack; /* of the address sanitizer */
    void *tsan; /* of the thread sanitizer; owned by a context with a stack of ours */
};

/* Map a stack of at least *BYTES with room below it that may not be touched, so that an
 * overflow is a SIGSEGV and no wrong data. *BYTES becomes what there is. Returns the low
 * end; NULL: no memory. fiber_stack_free() ends it. */
char *fiber_stack_new(size_t *bytes) MUST_CHECK;

/* LOW and BYTES are those of fiber_stack_new(). */
void fiber_stack_free(char *low, size_t bytes);

/* CONTEXT becomes one that runs ENTRY on the stack at LOW when it is first switched to.
 * ENTRY may not return, and begins with fiber_switched(). fiber_context_release() ends
 * it. */
void fiber_context_init(struct fiber_context *context, char *low, size_t bytes,
                        void (*entry)(void));

/* CONTEXT will not be switched to any more. Its stack is the caller's to free. */
void fiber_context_release(struct fiber_context *context);

/* CONTEXT becomes that of the calling thread on its own stack, to come back to. */
void fiber_context_of_thread(struct fiber_context *context);

/* Leave FROM, which is the one that runs, for TO. Returns when somebody switches back. */
void fiber_switch(struct fiber_context *from, struct fiber_context *to);

/* The first thing that ENTRY calls; FROM is what was left for it. */
void fiber_switched(struct fiber_context *from);

#endif

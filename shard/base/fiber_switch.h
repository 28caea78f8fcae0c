/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stacks, and switching between them within a thread: the base of fiber.c.
 *
 * swapcontext(3) makes a system call each time, for a signal mask that is the same
 * everywhere here. So on x86-64 and aarch64 the switch is a few instructions (saving the
 * callee-saved registers, like the coroutines of Boost.Context and QEMU), and elsewhere
 * ucontext(3). The sanitizers are told of every switch; otherwise they would report the
 * new stack as a wild pointer, or its accesses as another thread's.
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

/* The state of a thread of control that is not running. */
struct fiber_context {
#if FIBER_SWITCH_OWN
    void *sp; /* its registers are on its stack */
#else
    ucontext_t ucontext;
#endif
    char *low; /* its stack, for the sanitizers; of a thread's own stack known after the
                * first switch */
    size_t bytes;
    void *fake_stack; /* of the address sanitizer */
    void *tsan; /* of the thread sanitizer; owned by a context with a stack of ours */
};

/* Map a stack of at least *BYTES with a guard area below, so that an overflow is a
 * SIGSEGV instead of corrupt data. *BYTES becomes its size. Returns the low end, for
 * fiber_stack_free(); NULL: no memory. */
char *fiber_stack_new(size_t *bytes) MUST_CHECK;

/* LOW and BYTES are those of fiber_stack_new(). */
void fiber_stack_free(char *low, size_t bytes);

/* Prepare CONTEXT to run ENTRY on the stack at LOW when it is first switched to. ENTRY
 * must not return, and begins with fiber_switched(). Call fiber_context_release() at the
 * end. */
void fiber_context_init(struct fiber_context *context, char *low, size_t bytes,
                        void (*entry)(void));

/* CONTEXT will not be switched to any more. The caller frees its stack. */
void fiber_context_release(struct fiber_context *context);

/* CONTEXT becomes that of the calling thread on its own stack, to switch back to. */
void fiber_context_of_thread(struct fiber_context *context);

/* Switch from FROM, the running context, to TO. Returns when something switches back. */
void fiber_switch(struct fiber_context *from, struct fiber_context *to);

/* The first thing that ENTRY calls; FROM is the context that was left. */
void fiber_switched(struct fiber_context *from);

#endif

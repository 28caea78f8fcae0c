/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stacks, and switching between them within a thread. */
#include "shard/base/fiber_switch.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* ---- Annotations for the sanitizers ---- */

static void leaving(struct fiber_context *from, const struct fiber_context *to)
{
    (void)from;
    (void)to;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* TO runs again. */
static void arrived(const struct fiber_context *to)
{
    (void)to;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(to->fake_stack, NULL, NULL);
#endif
}

void fiber_switched(struct fiber_context *from)
{
    (void)from;
#if defined(__SANITIZE_ADDRESS__)
    const void *low = NULL;
    __sanitizer_finish_switch_fiber(NULL, &low, &from->bytes);
    from->low = (char *)(uintptr_t)low;
#endif
}

/* ---- Stacks ---- */

/* Larger than any frame of a library function that may skip it without touching it. */
#define GUARD_BYTES ((size_t)64 << 10)

char *fiber_stack_new(size_t *bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (*bytes + page - 1) / page * page;
    char *base = mmap(NULL, GUARD_BYTES + usable, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(base, GUARD_BYTES, PROT_NONE) != 0) {
        (void)munmap(base, GUARD_BYTES + usable);
        return NULL;
    }
    *bytes = usable;
#if defined(__SANITIZE_ADDRESS__)
    __lsan_register_root_region(base + GUARD_BYTES, usable);
#endif
    return base + GUARD_BYTES;
}

void fiber_stack_free(char *low, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_unregister_root_region(low, bytes);
    ASAN_UNPOISON_MEMORY_REGION(low, bytes);
#endif
    CHECK(munmap(low - GUARD_BYTES, GUARD_BYTES + bytes) == 0);
}

/* ---- The switch ---- */

#if FIBER_SWITCH_OWN

/* Push the callee-saved registers, store the stack pointer at *SAVE, and do the reverse
 * with the stack TO. */
void fiber_switch_stacks(void **save, void *to);

#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_switch_stacks\n"
        ".hidden fiber_switch_stacks\n"
        ".type fiber_switch_stacks, @function\n"
        "fiber_switch_stacks:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size fiber_switch_stacks, .-fiber_switch_stacks\n");

/* Control words (as at start), six registers, the address to go on at, and its return
 * address, 0, which ends every backtrace. At that entry the stack is as after a call.
 */
#define FRAME_WORDS 9
static void fill_frame(uintptr_t *frame, void (*entry)(void))
{
    frame[0] = (uintptr_t)0x037f << 32 | 0x1f80;
    frame[7] = (uintptr_t)entry;
    frame[8] = 0;
}
#else
__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_switch_stacks\n"
        ".hidden fiber_switch_stacks\n"
        ".type fiber_switch_stacks, %function\n"
        "fiber_switch_stacks:\n"
        ".cfi_startproc\n"
        "    hint #34\n" /* bti c */
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x2, sp\n"
        "    str x2, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size fiber_switch_stacks, .-fiber_switch_stacks\n");

/* x19 to x28, frame pointer, the address to go on at, d8 to d15. */
#define FRAME_WORDS 20
static void fill_frame(uintptr_t *frame, void (*entry)(void))
{
    frame[11] = (uintptr_t)entry;
}
#endif

static void prepare(struct fiber_context *context, void (*entry)(void))
{
    uintptr_t top = ((uintptr_t)context->low + context->bytes) & ~(uintptr_t)15;
    /* Even, so that the stack pointer is a multiple of 16 without the frame, except for
     * the return address on x86-64, which is never popped. */
    uintptr_t *frame = (uintptr_t *)top - FRAME_WORDS;

    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    fill_frame(frame, entry);
    context->sp = frame;
}

#define SWAP(from, to) fiber_switch_stacks(&(from)->sp, (to)->sp)

#else

static void prepare(struct fiber_context *context, void (*entry)(void))
{
    CHECK(getcontext(&context->ucontext) == 0);
    context->ucontext.uc_stack.ss_sp = context->low;
    context->ucontext.uc_stack.ss_size = context->bytes;
    context->ucontext.uc_link = NULL;
    makecontext(&context->ucontext, entry, 0);
}

#define SWAP(from, to) CHECK(swapcontext(&(from)->ucontext, &(to)->ucontext) == 0)

#endif

void fiber_context_init(struct fiber_context *context, char *low, size_t bytes,
                        void (*entry)(void))
{
    memset(context, 0, sizeof *context);
    context->low = low;
    context->bytes = bytes;
    prepare(context, entry);
#if defined(__SANITIZE_THREAD__)
    context->tsan = __tsan_create_fiber(0);
#endif
}

void fiber_context_release(struct fiber_context *context)
{
    (void)context;
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(context->tsan);
#endif
}

void fiber_context_of_thread(struct fiber_context *context)
{
    memset(context, 0, sizeof *context);
#if defined(__SANITIZE_THREAD__)
    context->tsan = __tsan_get_current_fiber();
#endif
}

void fiber_switch(struct fiber_context *from, struct fiber_context *to)
{
    leaving(from, to);
    SWAP(from, to);
    arrived(from);
}

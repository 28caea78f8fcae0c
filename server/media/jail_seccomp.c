/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The system calls that a program in the jail may use: those for reading one file,
 * computing and writing to a pipe. Anything else fails with EPERM; processes cannot be
 * made, only threads. bubblewrap installs the filter just before it starts the
 * program. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/media/jail.h"

/* A name that the libseccomp of the machine does not know on this architecture is left
 * out (SCMP_SYS() yields a negative pseudo number, which the library then drops). */
// clang-format off
static const int allowed[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
    SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(munlock),
    /* files that are open */
    SCMP_SYS(close), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek),
    SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd),
    SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe2),
    SCMP_SYS(fadvise64), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
    /* threads and their synchronisation */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(arch_prctl), SCMP_SYS(gettid),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(membarrier),
    /* signals to oneself, limits that can only shrink, time, chance */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall),
    SCMP_SYS(setrlimit), SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(getrusage),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(times), SCMP_SYS(getrandom),
    /* who and where am I */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getcpu), SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    /* for bubblewrap, which starts the program and waits for it under the same filter;
     * the program has nothing else to execute */
    SCMP_SYS(execve), SCMP_SYS(wait4), SCMP_SYS(exit), SCMP_SYS(exit_group),
};
// clang-format on

static int add_rules(scmp_filter_ctx filter, bool may_write)
{
    int error = 0;
    for (size_t i = 0; i < ARRAY_LEN(allowed) && error == 0; i++) {
        if (allowed[i] >= 0) {
            error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        }
    }
    /* Opening files, normally for reading only: otherwise the input could be opened for
     * writing.
     */
    const scmp_datum_t writes = may_write ? 0 : O_ACCMODE | O_CREAT | O_TRUNC;
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, writes, O_RDONLY));
    }
    if (error == 0 && may_write) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ftruncate), 0);
    }
    if (error == 0 && SCMP_SYS(open) >= 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, writes, O_RDONLY));
    }
    /* Threads, never processes. clone3() hides its flags from the filter: told that the
     * kernel has none, the C library falls back to clone(). */
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    /* Only questions to a terminal: is it one, how wide is it. */
    const unsigned long asked[] = {0x5401 /* TCGETS */, 0x5413 /* TIOCGWINSZ */};
    for (size_t i = 0; i < ARRAY_LEN(asked) && error == 0; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                 SCMP_A1(SCMP_CMP_EQ, asked[i], 0));
    }
    return error;
}

/* The compiled FILTER. */
static void *export_program(scmp_filter_ctx filter, size_t *len)
{
    void *program = NULL;
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    off_t size = seccomp_export_bpf(filter, fd) == 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (size > 0) {
        program = malloc((size_t)size);
    }
    if (program != NULL && pread(fd, program, (size_t)size, 0) != size) {
        free(program);
        program = NULL;
    }
    (void)close(fd);
    *len = (size_t)size;
    return program;
}

void *jail_seccomp_program(bool may_write, size_t *len)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return NULL;
    }
    void *program =
        add_rules(filter, may_write) == 0 ? export_program(filter, len) : NULL;
    seccomp_release(filter);
    return program;
}

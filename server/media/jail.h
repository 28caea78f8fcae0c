/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Run one program on one untrusted file where it can do no harm: inside prlimit and
 * bubblewrap, with an allow-list of system calls, a deadline, and a limit for its output.
 *
 * Inside there is no network, no other process, no environment, nothing writable, and no
 * file but the program, its libraries and the input, which is open for reading as
 * descriptor 0 and named JAIL_INPUT; and, if the limits name one, the output, which is
 * descriptor 1 and named JAIL_OUTPUT. */
#ifndef DOUSHARD_MEDIA_JAIL_H
#define DOUSHARD_MEDIA_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct jail;

/* The names of input and output inside the jail. */
#define JAIL_INPUT  "/proc/self/fd/0"
#define JAIL_OUTPUT "/proc/self/fd/1"

/* How much of the program's standard error is kept. */
#define JAIL_STDERR_BYTES 2048

/* Largest number of arguments of the program. */
#define JAIL_ARGS_MAX 64

/* Where util-linux has prlimit. */
#define JAIL_PRLIMIT "/usr/bin/prlimit"

/* The limits of one run. */
struct jail_limits {
    const char *prlimit_path; /* the two wrappers */
    const char *bwrap_path;
    int cpu_s;           /* CPU time, after which the kernel kills the program */
    size_t memory_bytes; /* address space */
    size_t stdout_bytes; /* a program that writes more is killed */
    int64_t deadline_ms; /* monotonic; the program is killed then */
    /* 0: standard output is captured. Otherwise the program may open JAIL_OUTPUT, the
     * file OUTPUT_FD, for writing, and make it this long. */
    uint64_t file_bytes;
    int output_fd; /* the caller's; not used when file_bytes is 0 */
};

enum jail_end {
    JAIL_EXITED,    /* by itself; exit_status says how */
    JAIL_KILLED,    /* by a signal: CPU or memory limit, forbidden system call, kill from
                     * outside */
    JAIL_TIMED_OUT, /* by us, at the deadline */
    JAIL_TOO_LOUD,  /* by us, it wrote more than stdout_bytes */
    JAIL_BROKEN     /* it was not started, or we had no memory for its output; `errors`
                     * says why */
};

struct jail_result {
    enum jail_end end;
    int exit_status; /* JAIL_EXITED: 0..255 */
    char *output;    /* malloc'ed, the caller frees; NULL when it wrote nothing */
    size_t output_len;
    char errors[JAIL_STDERR_BYTES + 1]; /* standard error, cut, NUL-terminated */
};

/* Prepare the filter of system calls. NULL: libseccomp refused or no memory. */
struct jail *jail_new(void) MUST_CHECK;

/* *JAIL becomes NULL; NULL is allowed. */
void jail_free(struct jail **jail);

/* Run ARGV (NULL-terminated; ARGV[0] is the absolute path of the program) on the file
 * INPUT_FD, or on nothing when that is -1. Fills RESULT; jail_result_release() it. Blocks
 * until the program and everything it started is gone, at the latest shortly after the
 * deadline. Thread-safe. */
void jail_run(const struct jail *jail, const struct jail_limits *limits,
              const char *const argv[], int input_fd, struct jail_result *result);

void jail_result_release(struct jail_result *result);

/* The filter as the kernel takes it, for jail.c: an array of struct sock_filter, LEN
 * bytes, malloc'ed. MAY_WRITE: files may be opened for writing; in the jail that is only
 * the output, and the input if its mode allows. NULL: libseccomp refused or no memory.
 */
void *jail_seccomp_program(bool may_write, size_t *len) MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Places at which a test may stop this process, to kill it or others just then. */
#ifndef DOUSHARD_BASE_FAILPOINT_H
#define DOUSHARD_BASE_FAILPOINT_H

/* The environment variable that names some: NAME:WHEN:N, with commas between; at most 4.
 */
#define FAILPOINT_VARIABLE "DOUSHARD_FAILPOINT"

/* Stop (SIGSTOP) at the N-th time that the place NAME:WHEN is passed by any thread, if
 * the environment says so, and, told to go on (SIGCONT), at the next such place; nothing
 * else ever happens. Who tests sees the state T in /proc/PID/stat. Thread-safe. */
void failpoint(const char *name, const char *when);

#endif

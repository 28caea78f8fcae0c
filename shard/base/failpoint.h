/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Places at which a test may stop this process, to kill it or others at that moment. */
#ifndef DOUSHARD_BASE_FAILPOINT_H
#define DOUSHARD_BASE_FAILPOINT_H

/* The environment variable that names such places: NAME:WHEN:N, with commas between; at
 * most 4.
 */
#define FAILPOINT_VARIABLE "DOUSHARD_FAILPOINT"

/* Stop (SIGSTOP) the N-th time that any thread passes the place NAME:WHEN, if the
 * environment says so; after SIGCONT stop at the next place that it names. Otherwise do
 * nothing. A test sees the state T in /proc/PID/stat. Thread-safe. */
void failpoint(const char *name, const char *when);

#endif
